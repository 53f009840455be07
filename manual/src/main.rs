//! `sccm-manual DIR`: writes manual pages to `DIR/man`, and completions to `DIR/completions`.
//!
//! Both come from the definition of the command line, so they say what the program does. The program
//! itself carries neither.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

/// Commands for who administers the machine: /usr/sbin, and this section of the manual.
const SECTION: &str = "8";

/// Shells, each with the folder of its completions.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash"),
    (Shell::Zsh, "zsh"),
    (Shell::Fish, "fish"),
];

fn main() -> Result<()> {
    let directory = env::args_os().nth(1).context("usage: sccm-manual DIR")?;
    write(&PathBuf::from(directory))
}

fn write(directory: &Path) -> Result<()> {
    let mut command = sccm_agent::cli::definition();
    for (shell, name) in SHELLS {
        let into = directory.join("completions").join(name);
        make(&into)?;
        let name = command.get_name().to_owned();
        generate_to(shell, &mut command, name, into)?;
    }
    let into = directory.join("man");
    make(&into)?;
    command.build();
    let name = command.get_name().to_owned();
    write_pages(&command, name.leak(), &into)
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))
}

/// A page for the command, and for each below it.
fn write_pages(command: &Command, name: &'static str, into: &Path) -> Result<()> {
    for below in command.get_subcommands() {
        if below.get_name() != "help" {
            write_pages(below, format!("{name}-{}", below.get_name()).leak(), into)?;
        }
    }
    let file = into.join(format!("{name}.{SECTION}"));
    let version = env!("CARGO_PKG_VERSION");
    let page = command.clone().disable_help_subcommand(true);
    // Pages name themselves as files are called, and list no `help` of their own.
    let page = page.name(name).version(version);
    let mut text = Vec::new();
    Man::new(page).section(SECTION).render(&mut text)?;
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{read_dir, read_to_string};

    #[test]
    fn each_command_has_a_page_and_each_shell_its_completions() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let pages = directory.path().join("man");
        for command in sccm_agent::cli::definition().get_subcommands() {
            let page = pages.join(format!("sccm-agent-{}.8", command.get_name()));
            let text = read_to_string(&page).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
        }
        let whole = read_to_string(pages.join("sccm-agent.8")).unwrap();
        assert!(whole.contains("sccm\\-agent\\-enforce(8)"), "{whole}");
        let diff = read_to_string(pages.join("sccm-agent-catalog-diff.8")).unwrap();
        assert!(diff.contains(".TH sccm-agent-catalog-diff 8"), "{diff}");
        for (_, shell) in SHELLS {
            let mut files = read_dir(directory.path().join("completions").join(shell)).unwrap();
            let file = files.next().unwrap().unwrap().path();
            assert!(
                read_to_string(file)
                    .unwrap()
                    .contains("wait-for-interfaces")
            );
        }
    }
}
