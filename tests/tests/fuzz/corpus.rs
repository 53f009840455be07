//! Every input that the coverage-guided fuzzers (`fuzz/`) have kept, once more.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sccm_tests::probes::{self, Web};

fn kept(target: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
    let inputs = entries.map(|entry| Ok(fs::read(entry?.path())?));
    let inputs: Vec<_> = inputs.collect::<Result<_>>()?;
    assert!(!inputs.is_empty(), "nothing is kept of {target}");
    Ok(inputs)
}

#[test]
fn policy_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for input in kept("policy")? {
        probes::policy(folder.path(), &input);
    }
    Ok(())
}

#[test]
fn frames() -> Result<()> {
    kept("packet")?
        .iter()
        .for_each(|input| probes::packet(input));
    Ok(())
}

#[test]
fn requests() -> Result<()> {
    let web = Web::start()?;
    kept("http")?.iter().for_each(|input| web.probe(input));
    Ok(())
}
