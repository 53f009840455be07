//! What is in the packages: one list for both kinds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::build::Built;
use crate::process::workspace;

/// A file of the packages.
pub struct File {
    pub source: PathBuf,
    /// Below `/`.
    pub target: String,
    pub mode: u32,
    /// The administrator's: an upgrade leaves changes alone.
    pub is_config: bool,
}

/// Documents and what goes with them.
const DOC: &str = "usr/share/doc/sccm-agent";

/// What lies in the checkout, by its path there.
const FROM_CHECKOUT: [(&str, &str); 9] = [
    (
        "deploy/systemd/sccm-agent.service",
        "usr/lib/systemd/system/sccm-agent.service",
    ),
    (
        "deploy/systemd/sccm-agent.sysusers",
        "usr/lib/sysusers.d/sccm-agent.conf",
    ),
    (
        "deploy/systemd/sccm-agent.tmpfiles",
        "usr/lib/tmpfiles.d/sccm-agent.conf",
    ),
    (
        "deploy/package/lintian-overrides",
        "usr/share/lintian/overrides/sccm-agent",
    ),
    (
        "deploy/package/copyright",
        "usr/share/doc/sccm-agent/copyright",
    ),
    ("README.md", "usr/share/doc/sccm-agent/README.md"),
    (
        "deploy/README.md",
        "usr/share/doc/sccm-agent/deploy/README.md",
    ),
    ("deploy/package/default", "etc/default/sccm-agent"),
    ("deploy/package/policy.toml", "etc/sccm-agent/policy.toml"),
];

/// Folders of the checkout, with all that is in them.
const FOLDERS: [&str; 5] = [
    "docs",
    "deploy/ansible",
    "deploy/container",
    "deploy/grafana",
    "deploy/prometheus",
];

/// Where shells look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/sccm-agent"),
    ("zsh", "usr/share/zsh/vendor-completions/_sccm-agent"),
    (
        "fish",
        "usr/share/fish/vendor_completions.d/sccm-agent.fish",
    ),
];

/// All files, in the order of their paths.
pub fn all(built: &Built) -> Result<Vec<File>> {
    let mut files = vec![File {
        mode: 0o755,
        ..file(built.agent.clone(), "usr/sbin/sccm-agent")
    }];
    for (source, target) in FROM_CHECKOUT {
        files.push(file(workspace().join(source), target));
    }
    for folder in FOLDERS {
        for source in below(&workspace().join(folder))? {
            let name = source.strip_prefix(workspace())?;
            let target = format!("{DOC}/{}", name.display());
            files.push(file(source.clone(), &target));
        }
    }
    for paper in &built.papers {
        let name = paper.file_name().context("a paper without a name")?;
        files.push(file(paper.clone(), &format!("{DOC}/{}", name.display())));
    }
    files.push(file(
        built.changelog.clone(),
        &format!("{DOC}/changelog.gz"),
    ));
    for page in below(&built.manual.join("man"))? {
        let name = page.file_name().context("a page without a name")?;
        let target = format!("usr/share/man/man8/{}", name.display());
        files.push(file(page.clone(), &target));
    }
    for (shell, target) in COMPLETIONS {
        let folder = built.manual.join("completions").join(shell);
        let completions = below(&folder)?;
        let source = completions.first().context("a shell without completions")?;
        files.push(file(source.clone(), target));
    }
    files.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(files)
}

fn file(source: PathBuf, target: &str) -> File {
    File {
        source,
        is_config: target.starts_with("etc/"),
        target: target.to_owned(),
        mode: 0o644,
    }
}

/// Every file in a folder and below.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = folder.read_dir();
    for entry in entries.with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_in_the_checkout_and_nothing_of_it_is_enforced() {
        for (source, _) in FROM_CHECKOUT {
            assert!(workspace().join(source).is_file(), "{source}");
        }
        for folder in FOLDERS {
            assert!(!below(&workspace().join(folder)).unwrap().is_empty());
        }
        let policy = workspace().join("deploy/package/policy.toml");
        let policy = std::fs::read_to_string(policy).unwrap();
        let comments = |line: &str| line.is_empty() || line.starts_with('#');
        assert!(policy.lines().all(comments), "{policy}");
    }
}
