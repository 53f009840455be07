//! What is read of a good file, and what is said of a bad one, and where.

mod bad_rules;
mod bad_values;
mod good;
mod hooks;
mod merging;

use super::*;
use crate::policy::WrittenPolicy;
use std::path::PathBuf;

/// Reads files that are not there, the first of them the policy file.
fn read(texts: &[&str]) -> Result<SitePolicy, Problems> {
    read_with_notice(texts).map(|read| read.policy)
}

fn read_with_notice(texts: &[&str]) -> Result<Read, Problems> {
    let names = ["policy.toml", "10.toml", "20.toml"];
    let files: Vec<PolicyFile> = names
        .iter()
        .zip(texts)
        .map(|(name, text)| PolicyFile {
            path: PathBuf::from(name),
            text: (*text).to_owned(),
        })
        .collect();
    read_all(&files, Path::new(""), Budget::default())
}

/// A policy that is good once `text` is.
fn with_entry(text: &str) -> String {
    format!(
        "{text}\n[[protect]]\nname = \"dp\"\nroles = [\"distribution-point\"]\naddresses = [\"10.2.0.0/24\"]\n"
    )
}

#[track_caller]
fn good(text: &str) -> SitePolicy {
    let read = read(&[&with_entry(text)]);
    let policy = read.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let kept = serde_json::to_string(&WrittenPolicy::of(&policy)).unwrap();
    let kept: WrittenPolicy = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.policy().as_ref(), Ok(&policy), "kept as written");
    policy
}

/// Asserts that one mistake is found, at `line:column`, in words that have `parts`.
#[track_caller]
fn refused(text: &str, location: &str, parts: &[&str]) {
    let Err(problems) = read(&[text]) else {
        panic!("not refused: {}", &text[..text.len().min(2000)])
    };
    assert_eq!(problems.list().len(), 1, "{text}\n{problems}");
    let problem = problems.list()[0].to_string();
    let message = problem.strip_prefix(&format!("policy.toml:{location}: "));
    let message = message.unwrap_or_else(|| panic!("{text}\nnot at {location}: {problem}"));
    for part in parts {
        assert!(message.contains(part), "{text}\nlacks {part}: {message}");
    }
}
