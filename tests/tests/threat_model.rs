//! `docs/threat-model.md` names the test behind each statement: each of them is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The names of tests and of their modules in a text: what is in backticks, made of lower-case
/// words with underscores, behind the last `::`.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let path = |text: &&str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b"_: ".contains(&b))
    };
    let names = quoted
        .filter(path)
        .filter_map(|path| path.rsplit([':', ' ']).next());
    names.filter(|name| name.contains('_')).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_test_that_the_threat_model_names_is_there() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/threat-model.md"))?;
    let names = named(&text);
    assert!(names.len() > 20, "{names:?}");
    let mut files = Vec::new();
    for folder in [
        "sccm-common/src",
        "sccm-agent/src",
        "sccm-agent/tests",
        "tests",
    ] {
        sources(&root.join(folder), &mut files)?;
    }
    let files = files.iter().map(fs::read_to_string);
    let code = files.collect::<Result<Vec<_>, _>>()?.concat();
    for name in names {
        let [test, module] = [format!("fn {name}()"), format!("mod {name};")];
        assert!(code.contains(&test) || code.contains(&module), "{name}");
    }
    Ok(())
}
