//! What a machine goes through with the package, in this order, in one life of the emulator.
//!
//! Each step says what the manual says (docs/service.md, docs/upgrade.md, docs/uninstall.md), and
//! fails where it is otherwise.

mod boots;
mod faults;
mod life;

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::emulator::Emulator;
use super::probe::{Probe, Seen};
use super::shell::Shell;
use super::{until, wire};
use crate::network;
use crate::process::step;

/// What is tried.
pub struct Given {
    pub name: &'static str,
    pub kernel: PathBuf,
    pub image: PathBuf,
}

/// How long something may take until it is so, on an emulated machine beside other builds.
const PATIENCE: Duration = Duration::from_secs(600);

/// The machine, and the hosts beside it.
struct Trial {
    emulator: Emulator,
    shell: Shell,
    probe: Probe,
}

type Scenario = fn(&mut Trial) -> Result<()>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("installing enforces nothing", life::install),
    ("enabled, it enforces", life::enable),
    ("a reload, and one with a mistake", life::reload),
    ("a reboot is never open", boots::reboot),
    ("an upgrade under traffic", life::upgrade),
    (
        "agents that are killed, and one that hangs",
        faults::crashes,
    ),
    (
        "starts that are refused, one by a certificate that cannot be read",
        faults::refused,
    ),
    ("a full disk", faults::full_disk),
    (
        "a boot without policy file and card, which comes late",
        boots::late_card,
    ),
    ("removed and purged, it leaves nothing", life::remove),
];

/// All of it.
///
/// # Errors
/// The first step that went otherwise.
pub fn all(given: &Given) -> Result<()> {
    network::leave()?;
    wire::make()?;
    let emulator = Emulator::start(given.name, &given.kernel, &given.image)?;
    let shell = Shell::connect(&emulator.shell)?;
    let probe = Probe::start()?;
    let mut trial = Trial {
        emulator,
        shell,
        probe,
    };
    trial.shell.wait_for_boot()?;
    for (name, scenario) in SCENARIOS {
        step(&format!("{}: {name}", given.name));
        let begun = Instant::now();
        let result = scenario(&mut trial);
        if result.is_err() {
            // For whoever mends it.
            let look = "systemctl status sccm-agent; journalctl -b -n 40 --no-hostname; \
                        networkctl; ip -d link; sccm-agent status";
            if let Ok((_, seen)) = trial.shell.attempt(look) {
                eprintln!("{seen}");
            }
        }
        result?;
        eprintln!("    {} s", begun.elapsed().as_secs());
    }
    Ok(())
}

impl Trial {
    /// The machine's shell.
    fn run(&mut self, lines: &str) -> Result<String> {
        self.shell.run(lines)
    }

    /// Changes the machine while everything is enforced: nothing forbidden slips through, and what is
    /// allowed arrives, whole.
    fn unharmed(&mut self, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let before = self.probe.settle()?;
        change(self)?;
        let seen = self.probe.settle()? - before;
        nothing_slipped(seen)?;
        ensure!(
            seen.allowed > 0 && seen.allowed == seen.passed && seen.broken == 0,
            "allowed packets were lost: {seen:?}"
        );
        eprintln!("    {seen:?}");
        Ok(())
    }

    /// Waits until what is allowed passes.
    fn flows(&self) -> Result<()> {
        let flows = |seen: Seen| seen.passed > 10 && seen.conversations > 2;
        self.probe.wait("allowed packets pass", PATIENCE, flows)
    }

    /// Nothing is enforced: both kinds pass. It shows that the probe would see what slips through.
    fn is_open(&self) -> Result<()> {
        let open = |seen: Seen| seen.slipped > 10 && seen.answered > 0 && seen.passed > 10;
        self.probe.wait("forbidden packets pass", PATIENCE, open)
    }

    /// Waits until a command succeeds on the machine.
    fn until(&mut self, what: &str, lines: &str) -> Result<()> {
        let look = || {
            // Looking takes the one processor from what is waited for.
            sleep(Duration::from_secs(2));
            Ok((self.shell.attempt(lines)?.0 == 0).then_some(()))
        };
        until(what, PATIENCE, look)
    }

    /// A moment of the machine, in microseconds since it booted.
    fn moment(&mut self, lines: &str) -> Result<i64> {
        let printed = self.run(lines)?;
        let number = printed.trim().parse();
        number.map_err(|_| anyhow!("`{lines}` printed no moment: {printed}"))
    }
}

fn nothing_slipped(seen: Seen) -> Result<()> {
    ensure!(
        seen.forbidden > 0 && seen.slipped == 0 && seen.answered == 0,
        "forbidden packets slipped through, or were answered: {seen:?}"
    );
    Ok(())
}

/// Milliseconds of microseconds.
fn milliseconds(moment: i64) -> i64 {
    moment / 1000
}
