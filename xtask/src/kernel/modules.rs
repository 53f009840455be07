//! Modules of a kernel, in the order in which they can be loaded. What each builds on it says
//! itself: the list of that, `modules.dep`, is made when a kernel is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::package::{self, Kernel};
use crate::process::{bytes, command};

/// Before the names of what a module builds on, in its section `.modinfo`; a zero byte ends them.
const NEEDS: &[u8] = b"\0depends=";

/// A module that is a file.
pub struct Module {
    /// As `lsmod` calls it, but for dashes.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What is in it, unpacked.
    pub contents: Vec<u8>,
}

/// These modules and what they build on, each behind what it builds on. What is built in is not
/// among them.
///
/// # Errors
/// The kernel has no such module, or a file cannot be read.
pub fn needed(kernel: &Kernel, names: &[&str]) -> Result<Vec<Module>> {
    let list = kernel.modules().join("modules.builtin");
    let built_in =
        fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let mut files = BTreeMap::new();
    collect(&kernel.modules().join("kernel"), &mut files)?;
    let store = Store {
        busybox: package::busybox()?,
        built_in: built_in.lines().filter_map(name).collect(),
        files,
    };
    let mut found = Vec::new();
    for name in names {
        store
            .add(name, &mut found)
            .with_context(|| format!("Linux {}", kernel.release()))?;
    }
    Ok(found)
}

struct Store<'l> {
    busybox: PathBuf,
    built_in: BTreeSet<&'l str>,
    files: BTreeMap<String, PathBuf>,
}

impl Store<'_> {
    fn add(&self, name: &str, to: &mut Vec<Module>) -> Result<()> {
        if self.built_in.contains(name) || to.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let path = self.files.get(name);
        let path = path.with_context(|| format!("there is no module {name}"))?;
        let contents = self.unpacked(path)?;
        for other in needs(&contents).with_context(|| format!("what {name} needs"))? {
            self.add(&other, to)?;
        }
        to.push(Module {
            name: name.to_owned(),
            path: path.clone(),
            contents,
        });
        Ok(())
    }

    /// The contents of a file; newer kernels have compressed ones.
    fn unpacked(&self, module: &Path) -> Result<Vec<u8>> {
        if module.extension().is_none_or(|extension| extension != "xz") {
            return fs::read(module).with_context(|| format!("reading {}", module.display()));
        }
        let mut unpack = command(&self.busybox);
        bytes(unpack.args(["unxz", "-c"]).arg(module))
    }
}

/// The name of a module, by its file's path.
fn name(path: &str) -> Option<&str> {
    let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
    Some(name)
}

/// The files of modules in a folder and those below, by name.
fn collect(folder: &Path, to: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, to)?;
        } else if let Some(name) = path.to_str().and_then(name) {
            to.insert(name.to_owned(), path);
        }
    }
    Ok(())
}

/// What a module builds on, by its contents.
fn needs(contents: &[u8]) -> Result<Vec<String>> {
    let found = contents
        .windows(NEEDS.len())
        .position(|window| window == NEEDS);
    let names = &contents[found.context("it does not say")? + NEEDS.len()..];
    let names = names.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = str::from_utf8(names).context("it is no text")?;
    let names = names.split(',').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_behind_what_it_builds_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("a.ko", "license=GPL\0depends=c-c,b,built_in\0"),
            ("b.ko", "license=GPL\0depends=c-c\0name=b\0"),
            ("c-c.ko", "license=GPL\0depends=\0"),
            ("d.ko", "license=GPL\0depends=e\0"),
            ("f.ko", "license=GPL\0"),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut store = Store {
            busybox: PathBuf::new(),
            built_in: BTreeSet::from(["built_in"]),
            files: BTreeMap::new(),
        };
        collect(folder.path(), &mut store.files).unwrap();
        let mut found = Vec::new();
        for name in ["a", "b"] {
            store.add(name, &mut found).unwrap();
        }
        let names: Vec<_> = found.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["c-c", "b", "a"]);
        for missing in ["d", "f", "g"] {
            assert!(store.add(missing, &mut found).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_module_is_called_as_its_file() {
        for path in ["kernel/net/a/b-c.ko", "b-c.ko", "/x.ko/b-c.ko.xz"] {
            assert_eq!(name(path), Some("b-c"), "{path}");
        }
        assert_eq!(name("kernel/modules.order"), None);
    }
}
