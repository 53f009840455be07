//! Every relative link of the documents leads to a file, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::root;

/// What is looked through: files, and folders with all that is in them.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "deploy",
];

/// The paths of all documents, by the folder of the checkout.
fn documents() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = DOCUMENTS.iter().map(PathBuf::from).collect();
    while let Some(path) = left.pop() {
        let whole = root().join(&path);
        if whole.is_dir() {
            for entry in fs::read_dir(&whole)? {
                left.push(path.join(entry?.file_name()));
            }
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The lines of a text that are no code.
fn prose(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    };
    text.lines().filter(is_prose).collect()
}

/// Where the links of a line lead: `[text](target)`, and the attributes of pictures.
fn targets(line: &str) -> Vec<String> {
    // What is in backticks is no link.
    let mut shown = String::new();
    for (number, part) in line.split('`').enumerate() {
        shown.push_str(if number % 2 == 0 { part } else { "code" });
    }
    let mut found = Vec::new();
    for (begin, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
        let parts = shown.split(begin).skip(1);
        found.extend(parts.filter_map(|part| Some(part.split_once(end)?.0.to_owned())));
    }
    found
}

/// The names of a document's headings in links, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let name: String = heading.trim().chars().filter(kept).collect();
        let name = name.to_lowercase().replace(' ', "-");
        let times = seen.entry(name.clone()).or_default();
        found.insert(match *times {
            0 => name,
            times => format!("{name}-{times}"),
        });
        *times += 1;
    }
    found
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a link in `document`, if anything.
fn flaw(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = document.parent().unwrap_or(Path::new(""));
    let path = match file {
        "" => document.to_owned(),
        file => plain(&folder.join(file)),
    };
    let whole = root().join(&path);
    if !whole.exists() {
        return Some("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    match fs::read_to_string(&whole) {
        Ok(text) if anchors(&text).contains(anchor) => None,
        Ok(_) => Some("the file has no such heading".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() -> Result<()> {
    let mut links = 0;
    let mut flaws = Vec::new();
    for document in documents()? {
        let text = fs::read_to_string(root().join(&document))?;
        for target in prose(&text).into_iter().flat_map(targets) {
            links += 1;
            if let Some(flaw) = flaw(&document, &target) {
                flaws.push(format!("{}: {target}: {flaw}", document.display()));
            }
        }
    }
    assert!(links > 100, "{links}");
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    Ok(())
}

#[test]
fn the_book_has_every_page_and_none_twice() -> Result<()> {
    let text = fs::read_to_string(root().join("docs/SUMMARY.md"))?;
    let mut chapters = BTreeSet::new();
    for target in text.lines().flat_map(targets) {
        let path = plain(&Path::new("docs").join(&target));
        assert!(chapters.insert(path), "{target} is there twice");
    }
    for document in documents()? {
        let is_page = document.starts_with("docs") && !document.ends_with("SUMMARY.md");
        assert!(
            !is_page || chapters.contains(&document),
            "docs/SUMMARY.md lacks {}",
            document.display()
        );
    }
    let missing = chapters.iter().find(|path| !root().join(path).exists());
    assert_eq!(missing, None);
    Ok(())
}

#[test]
fn a_heading_has_the_name_that_browsers_know_it_by() {
    let text = "# What `check` says: all, and more\n```\n# no heading\n```\n## Twice\n## Twice\n";
    let expected = ["what-check-says-all-and-more", "twice", "twice-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}

#[test]
fn a_link_to_what_is_not_there_is_found() {
    let flaw = |target| flaw(Path::new("docs/README.md"), target).is_some();
    assert!(flaw("no-such-page.md") && flaw("policy.md#no-such-heading"));
    assert!(!flaw("policy.md#files") && !flaw("../README.md") && !flaw("https://example.com"));
}
