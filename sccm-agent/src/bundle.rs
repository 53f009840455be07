//! `sccm-agent support-bundle`: all that somebody needs who is to help, in one archive.
//!
//! Reads, and changes nothing. What other commands print is asked of them, each in a process of its own with a
//! time limit: what hangs or fails costs its own part, and a line in `errors.txt`.

mod archive;
mod ask;
mod facts;
mod hide;

pub use facts::{Counters, KernelFacts};

use crate::capture::Target;
use crate::changed::Changed;
use crate::config;
use crate::decisions::StateFile;
use crate::files;
use crate::kernel::{Found, PinDir};
use anyhow::{Context as _, Result, anyhow, ensure};
use ask::ask;
use hide::Hidden;
use serde::Serialize;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Flows of `blocked.json`.
const MOST_FLOWS: &str = "10000";

/// Lines of `log.txt`.
const MOST_LINES: &str = "20000";

const NO_POLICY: &str = "policy: no file is known: the agent has flags in place of one, or another \
                         --state-dir; name the file with --config";

const NO_LOG: &str =
    "log.txt: left out, because it may hold [names] of the policy, which could not be read";

/// What is to be collected.
pub struct Wish {
    /// Where programs and maps are.
    pub pins: PinDir,
    /// Where the agent keeps its decisions.
    pub state_dir: PathBuf,
    /// The policy file; else the one that the agent read.
    pub config: Option<PathBuf>,
    /// Replace addresses, and their names.
    pub hide_addresses: bool,
}

/// What came of it.
pub struct Summary {
    /// Files in the archive.
    pub parts: usize,
    /// Lines of `errors.txt`.
    pub errors: usize,
}

/// What a policy calls addresses.
struct Names {
    known: Vec<String>,
    /// No others can be in the policy's files.
    all: bool,
}

/// The parts of the archive, with their paths in it.
#[derive(Default)]
struct Bundle {
    parts: Vec<(String, Vec<u8>)>,
    errors: Vec<String>,
}

/// Collects, and writes the archive.
///
/// # Errors
/// The file cannot be made, and then nothing was changed; or it cannot be written whole.
pub async fn write(wish: &Wish, target: &Target) -> Result<Summary> {
    let mut output = target.open()?;
    let mut bundle = Bundle::default();
    let names = bundle.policy(wish).await;
    bundle.commands(wish);
    bundle.facts(wish);
    match wish.hide_addresses && !names.all {
        true => bundle.errors.push(NO_LOG.to_owned()),
        false => bundle.log(),
    }
    let errors = bundle.errors.len();
    let lines = bundle.errors.iter().map(|line| format!("{line}\n"));
    let lines: String = lines.collect();
    bundle.add("errors.txt", lines.into_bytes());
    if wish.hide_addresses {
        bundle.hide(&mut Hidden::new(&names.known));
    }
    let archive = archive::pack(&bundle.parts).context(Changed)?;
    ensure!(
        output.write(&archive).context(Changed)?,
        anyhow!("the reader has gone").context(Changed)
    );
    Ok(Summary {
        parts: bundle.parts.len(),
        errors,
    })
}

impl Bundle {
    fn add(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.parts.push((path.into(), bytes));
    }

    /// Adds a part, or the line that says why there is none.
    fn take(&mut self, path: &str, read: Result<Vec<u8>>) {
        match read {
            Ok(bytes) => self.add(path, bytes),
            Err(error) => self.errors.push(format!("{path}: {error:#}")),
        }
    }

    fn take_json<T: Serialize>(&mut self, path: &str, read: Result<T>) {
        let text = read.and_then(|value| Ok(serde_json::to_vec_pretty(&value)?));
        self.take(path, text);
    }

    /// The policy's files. Returns the names that it gives to addresses, as far as they can be told.
    async fn policy(&mut self, wish: &Wish) -> Names {
        let state = StateFile::new(&wish.state_dir, &wish.pins);
        let mut names = Names {
            known: state.names(),
            all: true,
        };
        let Some(path) = wish.config.clone().or_else(|| state.policy_file()) else {
            self.errors.push(NO_POLICY.to_owned());
            return names;
        };
        let file = path.clone();
        let read = move || {
            let texts = config::texts(&file)?;
            let lists = config::lists(&file, &texts);
            Ok((texts, lists))
        };
        let (texts, lists) = match files::in_time(read).await {
            Ok(read) => read,
            Err(error) => {
                self.errors.push(format!("policy: {error:#}"));
                names.all = false;
                return names;
            }
        };
        for (file, text) in texts {
            match hide::names(&text) {
                Some(told) => names.known.extend(told),
                None => names.all = false,
            }
            if wish.hide_addresses && !names.all {
                self.errors.push(format!(
                    "policy: {} is not TOML, so its [names] cannot be replaced: it is left out",
                    file.display()
                ));
            } else {
                self.add(inside(&path, &file), text.into_bytes());
            }
        }
        for (file, text) in lists {
            let to = inside(&path, &file);
            self.take(&to, text.map(String::into_bytes));
        }
        names
    }

    /// What other commands print.
    fn commands(&mut self, wish: &Wish) {
        let live = match wish.pins.look() {
            Ok(Found::Nothing) => None,
            _ => Some("--live"),
        };
        let state_dir = wish.state_dir.as_os_str();
        for (path, words, has_pins) in [
            ("version.json", vec!["version"], false),
            ("status.json", vec!["status"], true),
            (
                "doctor.json",
                ["doctor"].into_iter().chain(live).collect(),
                true,
            ),
            ("blocked.json", vec!["blocked", "--limit", MOST_FLOWS], true),
        ] {
            // This program, also where its file has been replaced meanwhile.
            let mut command = Command::new("/proc/self/exe");
            command.args(&words).args(["-o", "json"]);
            if has_pins {
                command.arg("--pin-dir").arg(wish.pins.path());
            }
            if words == ["status"] {
                command.arg("--state-dir").arg(state_dir);
            }
            self.take(path, ask(command));
        }
    }

    fn facts(&mut self, wish: &Wish) {
        self.take_json("counters.json", Counters::read(&wish.pins));
        let facts = KernelFacts::read(&mut self.errors);
        self.take_json("kernel.json", facts);
    }

    /// What the unit has logged within a day.
    fn log(&mut self) {
        let mut command = Command::new("journalctl");
        command.args(["--unit", "sccm-agent", "--since", "-1d"]);
        command.args(["--lines", MOST_LINES, "--no-pager", "--no-hostname"]);
        command.args(["--output", "short-iso"]);
        self.take("log.txt", ask(command));
    }

    fn hide(&mut self, hidden: &mut Hidden) {
        for (path, bytes) in &mut self.parts {
            *path = hidden.hide(path);
            *bytes = hidden.hide(&String::from_utf8_lossy(bytes)).into_bytes();
        }
    }
}

/// Where a file of the policy is in the archive.
fn inside(policy: &Path, file: &Path) -> String {
    let folder = policy.parent().unwrap_or(Path::new(""));
    let name = file.strip_prefix(folder).unwrap_or(file);
    let mut inside = PathBuf::from("policy");
    // Whoever unpacks it finds everything below one folder.
    for part in name.components() {
        match part {
            Component::Normal(part) => inside.push(part),
            Component::ParentDir => inside.push("up"),
            _ => {}
        }
    }
    inside.display().to_string()
}
