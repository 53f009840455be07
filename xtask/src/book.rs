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
    fs::write(book.join("src/SUMMARY.md"), from_root(&chapters))?;

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

fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a file without a folder")?;
    fs::create_dir_all(parent)?;
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
