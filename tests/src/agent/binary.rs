//! Where the program to test is: beside this one, and not older than its sources.
//!
//! Cargo builds the binaries of another package neither for `cargo test` nor for
//! `cargo test -p sccm-tests`, so nobody else notices one that is missing or stale. Cargo leaves
//! the list of what went into a binary in a file beside it, in the syntax of `make`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

const NAME: &str = "sccm-agent";

/// The program's path. It is looked for once.
pub(super) fn find() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(|| look().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn look() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // Tests are in target/PROFILE/deps, programs in target/PROFILE.
    let directory = this
        .ancestors()
        .skip(1)
        .find(|directory| !directory.ends_with("deps"))
        .context("this program is in no directory")?;
    let binary = directory.join(NAME);
    if !binary.exists() {
        bail!("{} is missing: run `cargo build` first", binary.display());
    }
    let built = fs::metadata(&binary)?.modified()?;
    let list = directory.join(NAME).with_extension("d");
    let list = fs::read_to_string(&list)
        .with_context(|| format!("{} is missing: run `cargo build` first", list.display()))?;
    for source in sources(&list) {
        if newest(&source) > Some(built) {
            bail!(
                "{} is older than {}: run `cargo build` first",
                binary.display(),
                source.display()
            );
        }
    }
    Ok(binary)
}

/// What stands behind the colon: paths with a space between them, and a backslash before a space
/// that belongs to one.
fn sources(list: &str) -> Vec<PathBuf> {
    let (_, paths) = list.split_once(": ").unwrap_or_default();
    paths
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|path| path.replace('\0', " ").into())
        .collect()
}

/// When a file, or the newest file below a directory, was changed; none if it is gone.
fn newest(path: &Path) -> Option<SystemTime> {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).ok()?.modified().ok();
    };
    entries
        .flatten()
        .filter_map(|entry| newest(&entry.path()))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_sources_is_read() {
        let list = "/a/out: /a/one.rs /with\\ space/two.rs\n";
        let expected: [&Path; 2] = ["/a/one.rs".as_ref(), "/with space/two.rs".as_ref()];
        assert_eq!(sources(list), expected);
    }

    #[test]
    fn a_directory_is_as_new_as_its_newest_file() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest(directory.path()), None);
        fs::create_dir(directory.path().join("inner")).unwrap();
        let file = directory.path().join("inner/file");
        fs::write(&file, "").unwrap();
        assert!(newest(&file).is_some());
        assert_eq!(newest(directory.path()), newest(&file));
        assert_eq!(newest(&directory.path().join("gone")), None);
    }
}
