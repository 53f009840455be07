//! What the emulated machine has for a system: one archive in memory.
//!
//! The test programs and the agent are this machine's own builds, so they bring
//! this machine's shared libraries along, at the same paths; so do the tools that
//! the tests start.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::package::{self, Kernel};
use super::selection::{Program, SELECTION, Selected};
use super::{machine, modules};
use crate::process::{command, output, run, search_path};

/// The modules that the tests need, besides what these build on.
const MODULES: &[&str] = &[
    "veth",
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "8021q",
    "bridge",
    "bonding",
    // The cards, and the bus of two of them.
    "virtio_pci",
    "virtio_net",
    "vmxnet3",
    "wireguard",
    "sit",
];

/// What the tests start, besides busybox's own.
const TOOLS: &[&str] = &["ip", "tc", "bridge", "ethtool", "setpriv", "wg"];

/// Where the tests are, beside the agent; and the list of them for `init.sh`.
const TESTS: &str = "tests";

/// Writes the archive for a kernel and returns its path.
///
/// # Errors
/// A file that is missing or a program that fails, by name.
pub fn build(kernel: &Kernel, busybox: &Path, programs: &[Program]) -> Result<PathBuf> {
    let path = package::folder().join(format!("{}.initramfs", kernel.release()));
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let mut contents = Contents {
        archive: Archive::new(BufWriter::new(file)),
        directories: BTreeSet::new(),
        libraries: BTreeSet::new(),
    };
    contents.fill(kernel, busybox, programs)?;
    contents.archive.finish().context("writing the initramfs")?;
    Ok(path)
}

struct Contents<W: Write> {
    archive: Archive<W>,
    /// What is in the archive already.
    directories: BTreeSet<String>,
    libraries: BTreeSet<PathBuf>,
}

impl<W: Write> Contents<W> {
    fn fill(&mut self, kernel: &Kernel, busybox: &Path, programs: &[Program]) -> Result<()> {
        self.add("init", include_bytes!("init.sh"))?;
        self.copy(busybox, "bin/busybox")?;
        // In this order the shell lists them.
        for (number, module) in modules::needed(kernel, MODULES)?.iter().enumerate() {
            let name = &module.name;
            self.add(&format!("modules/{number:03}-{name}.ko"), &module.contents)?;
        }
        for tool in TOOLS {
            self.program(&find(tool)?, &format!("usr/sbin/{tool}"))?;
        }
        for program in programs {
            self.program(&program.path, &format!("{TESTS}/{}", program.name))?;
        }
        self.add(&format!("{TESTS}/list"), list().as_bytes())?;
        // Where its test, built here, will look for it; and where `init.sh` does.
        let budget = machine::budget();
        let target = budget.to_str().context("the checkout's path is no text")?;
        self.copy(&budget, target.trim_start_matches('/'))?;
        self.archive
            .link(&format!("{TESTS}/verifier-budget"), target)?;
        Ok(())
    }

    /// Adds a program without its debug information, and the libraries that it needs.
    fn program(&mut self, program: &Path, to: &str) -> Result<()> {
        let stripped = package::folder().join("stripped");
        run(command("strip").arg("-o").arg(&stripped).arg(program))?;
        self.copy(&stripped, to)?;
        fs::remove_file(&stripped).with_context(|| format!("removing {}", stripped.display()))?;
        // Each line names a library and its path, or the loader's path, and an address.
        for word in output(command("ldd").arg(program))?.split_whitespace() {
            let library = Path::new(word);
            if library.is_absolute() && self.libraries.insert(library.to_path_buf()) {
                self.copy(library, word.trim_start_matches('/'))?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let contents = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.add(to, &contents)
    }

    /// Adds a file, and the directories above it.
    fn add(&mut self, path: &str, contents: &[u8]) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            if self.directories.insert(path[..end].to_owned()) {
                self.archive.directory(&path[..end])?;
            }
        }
        self.archive
            .file(path, contents)
            .with_context(|| format!("writing {path} to the initramfs"))
    }
}

/// The selection, a line for each program.
fn list() -> String {
    let line =
        |selected: &Selected| format!("{} {}\n", selected.name, selected.arguments.join(" "));
    SELECTION.iter().map(line).collect()
}

/// Where a tool of this machine is.
fn find(tool: &str) -> Result<PathBuf> {
    env::split_paths(&search_path())
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
        .with_context(|| format!("{tool} is not installed"))
}
