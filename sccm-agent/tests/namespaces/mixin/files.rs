//! What promtool says about the files, and about the text of a scrape.

use std::fs::File;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::deploy;

fn promtool(arguments: &[&str], input: Option<File>) -> Result<Output> {
    let mut command = Command::new("promtool");
    command
        .args(arguments)
        .current_dir(deploy().join("prometheus"));
    if let Some(input) = input {
        command.stdin(input);
    }
    command
        .output()
        .context("promtool is missing: `cargo xtask test` installs it")
}

/// Asserts that promtool finds nothing to complain about: no advice either.
pub fn assert_clean_metrics(text: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    let output = promtool(&["check", "metrics"], Some(file.reopen()?))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.is_empty(), "{said}");
    Ok(())
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() -> Result<()> {
    for arguments in [
        &["check", "rules", "--lint-fatal", "rules.yml", "alerts.yml"][..],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let output = promtool(arguments, None)?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn promtool_rejects_what_is_not_clean() -> Result<()> {
    let counter = "# HELP x_seconds Time.\n# TYPE x_seconds counter\nx_seconds 1\n";
    ensure!(assert_clean_metrics(counter).is_err(), "no `_total`");
    Ok(())
}

/// Every alert has a test, in which it fires.
#[test]
fn every_alert_is_tested() -> Result<()> {
    let tests = super::read("prometheus/alerts.test.yml")?;
    let alerts = super::read("prometheus/alerts.yml")?;
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    ensure!(names.len() > 5, "{names:?}");
    for name in names {
        ensure!(tests.contains(name), "{name} has no test");
    }
    Ok(())
}
