//! `cargo xtask docs`: a book of the documents.
//!
//! They lie where people look for them in the checkout, and refer to each other from there. So the
//! book is made of a copy, with the same folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{command, is_installed, run, step, workspace};
use crate::tool::MDBOOK;

/// What is in the book, or what its pages refer to: files, and folders with all that is in them.
const SOURCES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs",
    "deploy",
];

/// The list of chapters, which mdBook looks for at the root.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Makes `target/docs` anew.
pub fn make() -> Result<()> {
    let book = workspace().join("target/book");
    let into = workspace().join("target/docs");
    for old in [&book, &into] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    for source in SOURCES {
        copy(&workspace().join(source), &book.join("src").join(source))?;
    }
    copy(&workspace().join("book.toml"), &book.join("book.toml"))?;
    let chapters = fs::read_to_string(workspace().join(SUMMARY)).context(SUMMARY)?;
    fs::remove_file(book.join("src").join(SUMMARY))?;
    fs::write(book.join("src/SUMMARY.md"), to_index(&from_root(&chapters)))?;

    let mdbook = match is_installed("mdbook") {
        true => PathBuf::from("mdbook"),
        false => MDBOOK.ensure()?,
    };
    step("making the book");
    run(command(mdbook).arg("build").arg(&book))?;
    fs::rename(book.join("html"), &into)?;
    step(&format!("made {}", into.join("index.html").display()));
    Ok(())
}

/// Chapters that are named as from `docs`, named as from the folder above.
fn from_root(chapters: &str) -> String {
    let named = chapters.replace("](", "](docs/");
    named.replace("](docs/../", "](")
}

/// A text whose links to a folder's README lead to its index: mdBook calls that page so, and does
/// not mend what links to it.
fn to_index(text: &str) -> String {
    let text = text.replace("README.md)", "index.md)");
    text.replace("README.md#", "index.md#")
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let about = || format!("copying {}", from.display());
    fs::create_dir_all(to.parent().with_context(about)?)?;
    if from.extension().is_none_or(|kind| kind != "md") {
        fs::copy(from, to).with_context(about)?;
        return Ok(());
    }
    let to = match to.ends_with("README.md") {
        true => to.with_file_name("index.md"),
        false => to.to_owned(),
    };
    let text = fs::read_to_string(from).with_context(about)?;
    fs::write(to, to_index(&text)).with_context(about)
}
