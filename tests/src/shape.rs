//! What is printed as JSON has the shape that `docs/schemas` says.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::agent::Finished;

macro_rules! schemas {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../docs/schemas/", $name, ".json")))),*]
    };
}

/// Part of the program: where other kernels are tested there is no `docs`.
const SCHEMAS: [(&str, &str); 22] = schemas![
    "answer",
    "blocked",
    "catalog",
    "catalog-diff",
    "check",
    "coverage",
    "diff",
    "doctor",
    "explain",
    "failure",
    "flows",
    "flows-load",
    "learn",
    "openings",
    "openings-live",
    "outcome",
    "replay",
    "role",
    "roles",
    "status",
    "unused",
    "version"
];

/// Checks a value against the schema of this name.
///
/// # Errors
/// No such schema, or the value is not of its shape: the first place where it is not.
pub fn check(name: &str, value: &Value) -> Result<()> {
    let schema = SCHEMAS.iter().find(|(known, _)| *known == name);
    let (_, schema) = schema.with_context(|| format!("no schema is called {name}"))?;
    let validator = jsonschema::validator_for(&serde_json::from_str(schema)?)?;
    if let Err(error) = validator.validate(value) {
        let place = error.instance_path().to_string();
        anyhow::bail!("not as docs/schemas/{name}.json says, at `{place}`: {error}: {value}");
    }
    Ok(())
}

/// Checks what a command printed, where it was told `-o json`.
pub(crate) fn check_output(command: &[String], finished: &Finished) -> Result<()> {
    if !command.windows(2).any(|pair| pair == ["-o", "json"]) {
        return Ok(());
    }
    let value: Value = serde_json::from_str(&finished.stdout)
        .with_context(|| format!("not JSON: {command:?}: {finished:?}"))?;
    if value.get("error").is_some() {
        ensure!(value["code"] == finished.code.unwrap_or(-1), "{finished:?}");
        return check("failure", &value);
    }
    let names = command.iter().map(String::as_str);
    let mut names = names.skip_while(|word| word.starts_with('-'));
    let name = match (names.next(), names.next()) {
        (Some("reload" | "promote" | "confirm" | "rollback"), _) => "outcome",
        (Some("catalog"), Some("diff")) => "catalog-diff",
        (Some("flows"), _) if command.iter().any(|word| word == "--load") => "flows-load",
        (Some("openings"), _) if !command.iter().any(|word| word == "--read") => "openings-live",
        (Some("roles"), Some(role)) if !role.starts_with('-') => "role",
        (name, _) => name.unwrap_or_default(),
    };
    check(name, &value).with_context(|| format!("{command:?}"))
}

/// The words of a command line.
pub(crate) fn words(command: &Command) -> Vec<String> {
    let word = |word: &OsStr| word.to_string_lossy().into_owned();
    command.get_args().map(word).collect()
}
