//! The last run, in docs/benchmarks.md and docs/benchmarks.svg.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::plot;
use crate::report::Report;

/// Behind this line stands the run, to the end of the file.
const MARK: &str = "## The last run\n";

/// Writes both.
pub fn write(report: &Report) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = docs.join("benchmarks.md");
    let text = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let (before, _) = text.split_once(MARK).context("the page has no last run")?;
    let run = report.text();
    let text = format!("{before}{MARK}\n```text\n{}\n```\n", run.trim_end());
    fs::write(&page, text).with_context(|| format!("writing {}", page.display()))?;
    if let Some((live, floor)) = report.live() {
        plot::draw(live, floor, &docs.join("benchmarks.svg"))?;
    }
    Ok(())
}
