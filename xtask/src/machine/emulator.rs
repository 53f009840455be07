//! The emulated machine: one processor, a disk whose changes are forgotten, and two cards.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use super::folder;
use super::wire::{INSIDE, OUTSIDE, Side};
use crate::process::{command, line};

/// What every machine has. One processor: two that patch their code while they boot sometimes trip
/// over each other when they are emulated.
const MACHINE: &[&str] = &[
    "-accel",
    "tcg",
    "-cpu",
    "max",
    "-smp",
    "1",
    "-m",
    "1024",
    "-nodefaults",
    "-display",
    "none",
    // Commands of ours, such as to pull a card.
    "-monitor",
    "stdio",
];

/// For the kernel. The disk's driver is built in, so there is no initramfs.
const PARAMETERS: &str = "console=ttyS0 loglevel=4 no_timer_check root=/dev/nvme0n1 rw mitigations=off \
     systemd.show_status=0";

pub struct Emulator {
    running: Child,
    /// Where the second serial port is.
    pub shell: PathBuf,
}

impl Emulator {
    /// Starts it; its console is a file, for people.
    pub fn start(name: &str, kernel: &Path, image: &Path) -> Result<Self> {
        let shell = folder().join(format!("{name}.shell"));
        if shell.exists() {
            fs::remove_file(&shell).with_context(|| format!("removing {}", shell.display()))?;
        }
        let console = folder().join(format!("{name}.console"));
        let mut emulator = command("qemu-system-x86_64");
        emulator.args(MACHINE).arg("-kernel").arg(kernel);
        emulator.args(["-append", PARAMETERS, "-drive"]);
        emulator.arg(format!(
            "file={},format=raw,if=none,id=disk,snapshot=on",
            image.display()
        ));
        emulator.args(["-device", "nvme,drive=disk,serial=root"]);
        for side in [&OUTSIDE, &INSIDE] {
            let name = side.name;
            emulator.arg("-netdev");
            emulator.arg(format!(
                "tap,id={name},ifname={name},script=no,downscript=no"
            ));
            emulator.args(["-device", &card(side)]);
        }
        emulator.args(["-serial", &format!("file:{}", console.display())]);
        emulator.args([
            "-serial",
            &format!("unix:{},server=on,wait=off", shell.display()),
        ]);
        emulator.stdin(Stdio::piped()).stdout(Stdio::null());
        let running = emulator.spawn();
        let running = running.with_context(|| format!("starting {}", line(&emulator)))?;
        Ok(Self { running, shell })
    }

    /// Pulls a card out.
    pub fn pull(&mut self, side: &Side) -> Result<()> {
        self.tell(&format!("device_del card-{}", side.name))
    }

    /// Plugs a card in.
    pub fn plug(&mut self, side: &Side) -> Result<()> {
        self.tell(&format!("device_add {}", card(side)))
    }

    fn tell(&mut self, order: &str) -> Result<()> {
        let monitor = self.running.stdin.as_mut().context("no monitor")?;
        writeln!(monitor, "{order}").context("writing to the emulator's monitor")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn card(side: &Side) -> String {
    let (name, card) = (side.name, side.card);
    format!("virtio-net-pci,id=card-{name},netdev={name},mac={card},romfile=")
}
