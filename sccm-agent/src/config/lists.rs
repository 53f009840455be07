//! The lists of addresses that the files of a policy name, for who looks at a policy from elsewhere.

use super::files::{Budget, folder_of};
use crate::policy::prefix;
use anyhow::{Result, anyhow};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Stands for a line of a list that is none: it may be of a file that is no list, such as a key.
const NO_ADDRESS: &str = "# no address: left out\n";

/// The lists that these files of the policy at `path` name, each once: their addresses, one a line, and nothing
/// else that is in them.
pub fn lists(path: &Path, texts: &[(PathBuf, String)]) -> Vec<(PathBuf, Result<String>)> {
    let mut names = BTreeSet::new();
    for (_, text) in texts {
        if let Ok(table) = text.parse::<Table>() {
            named(&Value::Table(table), &mut names);
        }
    }
    let mut budget = Budget::default();
    let read = |name: String| {
        let path = folder_of(path).join(name);
        let text = budget.read(&path).map(|file| addresses(&file.text));
        (path, text.map_err(|problem| anyhow!("{problem}")))
    };
    names.into_iter().map(read).collect()
}

/// Notes what stands behind `file =`, wherever that is.
fn named(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                match value {
                    Value::String(name) if key == "file" => {
                        names.insert(name.clone());
                    }
                    _ => named(value, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| named(value, names)),
        _ => {}
    }
}

fn addresses(text: &str) -> String {
    let mut found = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match prefix(content) {
            Ok(_) => {
                found += content;
                found.push('\n');
            }
            Err(_) => found += NO_ADDRESS,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lists_are_found_wherever_they_are_named_and_hold_addresses_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "clients.txt",
            "\u{feff}10.1.0.0/16 # of the second floor\n\n# all\n2001:db8::7\n",
        );
        write("server.key", "-----BEGIN PRIVATE KEY-----\n");
        let policy = "[peers]\nclient = { file = \"clients.txt\", except = [\"10.1.0.9\"] }\n\
                      [[allow]]\nfrom = { file = \"server.key\" }\n";
        let more = "[peers]\nconsole = { file = \"clients.txt\" }\nsite-server = { file = \"gone.txt\" }\n";
        let path = folder.path().join("policy.toml");
        let texts = [policy, more].map(|text| (path.clone(), text.to_owned()));
        let read = lists(&path, &texts).into_iter().map(|(path, text)| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, text.ok())
        });
        let clients = "10.1.0.0/16\n2001:db8::7\n".to_owned();
        let expected = [
            ("clients.txt".to_owned(), Some(clients)),
            ("gone.txt".to_owned(), None),
            ("server.key".to_owned(), Some(NO_ADDRESS.to_owned())),
        ];
        assert_eq!(read.collect::<Vec<_>>(), expected);
    }
}
