//! The emulated machine: two processors, memory, serial ports, and network cards.
//!
//! The first port is the console, for people. The second takes what `init.sh` says
//! about the tests, the third the verifier budget as it was measured.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::UPDATE;
use super::cards;
use super::package::{self, Kernel};
use crate::process::{command, line, workspace};

/// How long everything may take. Beside other builds it took twenty minutes.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What every machine has.
const MACHINE: &[&str] = &[
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "3072",
    "-nodefaults",
    "-display",
    "none",
    // A panic asks for a restart, and gets the end.
    "-no-reboot",
];

/// For the kernel: where to speak, no more than errors, to ask for a restart one second
/// after a panic, and no tunnels that nobody made.
const PARAMETERS: &str = "console=ttyS0 loglevel=4 panic=1 fb_tunnels=none";

/// The name of the first port.
const CONSOLE: &str = "console";

/// The first line of a machine that has booted.
const BEGUN: &str = "begun";

/// The last line of a machine that has run every test.
const DONE: &str = "done";

/// How often a machine may be started. Two emulated processors that patch their code while they
/// boot sometimes trip over each other, before anything of ours runs.
const BOOTS: u32 = 3;

/// Boots the kernel, waits until its tests have run, and takes over the budget that
/// they recorded if they were told to `update` it.
///
/// # Errors
/// The tests that failed, or that they did not come to an end.
pub fn run(kernel: &Kernel, initramfs: &Path, update: bool) -> Result<()> {
    let (verdict, measured) = (port(kernel, "verdict"), port(kernel, "budget"));
    // Parameters that the kernel does not know become the environment of /init.
    let parameters = match update {
        true => format!("{PARAMETERS} {UPDATE}=1"),
        false => PARAMETERS.to_owned(),
    };
    let mut emulator = command("qemu-system-x86_64");
    emulator.args(MACHINE).arg("-kernel").arg(kernel.image());
    emulator.arg("-initrd").arg(initramfs);
    emulator
        .args(["-append", &parameters])
        .args(cards::arguments());
    for file in [&port(kernel, CONSOLE), &verdict, &measured] {
        emulator
            .arg("-serial")
            .arg(format!("file:{}", file.display()));
    }
    let mut said = String::new();
    for boot in 1..=BOOTS {
        wait(&mut emulator)?;
        said = read(&verdict)?;
        if said.lines().next() == Some(BEGUN) {
            break;
        }
        eprintln!("==> the machine did not boot ({boot} of {BOOTS} times)");
    }
    judge(&said)?;
    if update {
        fs::write(budget(), read(&measured)?).context("recording the verifier budget")?;
    }
    Ok(())
}

/// Prints what the kernel and the tests said.
///
/// # Errors
/// The file cannot be read.
pub fn show(kernel: &Kernel) -> Result<()> {
    let path = port(kernel, CONSOLE);
    let copied = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut io::stdout()));
    copied.with_context(|| format!("showing {}", path.display()))?;
    Ok(())
}

/// Where what a machine writes to a port goes.
fn port(kernel: &Kernel, name: &str) -> PathBuf {
    package::folder().join(format!("{}.{name}", kernel.release()))
}

/// The file that says what the verifier of each kernel needs; the test of that name
/// compares with it.
pub fn budget() -> PathBuf {
    workspace().join("tests/verifier-budget.toml")
}

/// Runs the emulator to its end, or to that of everybody's patience.
fn wait(emulator: &mut Command) -> Result<()> {
    emulator.stdin(Stdio::null());
    let started = emulator.spawn();
    let mut running = started.with_context(|| format!("starting {}", line(emulator)))?;
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = running.try_wait()? {
            ensure!(status.success(), "`{}` failed: {status}", line(emulator));
            return Ok(());
        }
        if Instant::now() > end {
            running.kill()?;
            running.wait()?;
            bail!(
                "the machine was ended after {} minutes",
                LIMIT.as_secs() / 60
            );
        }
        sleep(Duration::from_millis(100));
    }
}

/// Whether all tests passed, by what `init.sh` wrote: [`BEGUN`], a line for each that
/// failed, and [`DONE`].
fn judge(verdict: &str) -> Result<()> {
    let mut lines = verdict.lines();
    ensure!(lines.next() == Some(BEGUN), "the machine did not boot");
    let mut lines: Vec<&str> = lines.collect();
    ensure!(
        lines.pop() == Some(DONE),
        "the machine ended before its tests did: the reason is in its last words"
    );
    ensure!(lines.is_empty(), "failed: {}", lines.join(", "));
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_means_success() {
        assert!(judge("begun\ndone\n").is_ok());
        let begun = ["", "fixtures\n", "fixtures\ndone\n", "done\nfixtures\n"];
        for failed in begun.map(|rest| format!("begun\n{rest}")) {
            assert!(judge(&failed).is_err(), "{failed:?}");
        }
        assert!(judge("").is_err() && judge("done\n").is_err());
        let error = judge("begun\nfixtures\nclsact\ndone\n").unwrap_err();
        assert_eq!(error.to_string(), "failed: fixtures, clsact");
    }
}
