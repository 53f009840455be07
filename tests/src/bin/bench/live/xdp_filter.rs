//! xdp-filter of Debian's xdp-tools, which knows ports, addresses and Ethernet addresses.
//!
//! It keeps its state below /sys/fs/bpf, so it runs in a mount namespace of its own, with a BPF
//! file system there that goes with it. Its programs stay at the card until their namespace goes.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Line;
use super::filter::{Installed, TCP, UDP};
use crate::child::{Background, run, wait_until};

/// At work, until it is dropped.
pub struct AtWork {
    /// Keeps the mount namespace.
    holder: Background,
}

impl AtWork {
    /// Loads it, with all features or only those that the ports need.
    pub fn new(line: &Line, all: bool) -> Result<Self> {
        let mut holder = line.receiver.command("unshare");
        holder.args(["--mount", "sh", "-c"]);
        holder.arg("mount -t bpf bpf /sys/fs/bpf && exec cat");
        let holder = Background::start(&mut holder)?;
        // It says that it has mounted by becoming `cat`, which waits.
        let name = format!("/proc/{}/comm", holder.id());
        let is_mounted = || fs::read_to_string(&name).is_ok_and(|name| name == "cat\n");
        wait_until(is_mounted, "a BPF file system for xdp-filter")?;
        let this = Self { holder };
        let features = if all { "all" } else { "tcp,udp" };
        run(this
            .inside("xdp-filter")
            .args(["load", "--mode", "native", "--policy", "deny"])
            .args(["--features", features, "eth0"]))?;
        for (protocol, ports) in [("tcp", TCP), ("udp", UDP)] {
            // It takes one port at a time, and finds it in an array: of a range its ends will do,
            // because the others would cost a packet nothing.
            for port in ports.split([',', '-']).map(str::trim) {
                let port = ["port", port, "--proto", protocol, "--mode", "dst"];
                run(this.inside("xdp-filter").args(port))?;
            }
        }
        Ok(this)
    }

    /// A command in both namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["--target", &holder, "--mount", "--net", program]);
        command
    }
}

impl Installed for AtWork {
    fn dropped(&self) -> Result<Option<u64>> {
        let text = run(self.inside("xdp-filter").arg("status"))?;
        let mut words = text.split_whitespace();
        words.find(|word| *word == "XDP_DROP");
        let packets = words.next().and_then(|number| number.parse().ok());
        packets
            .map(Some)
            .with_context(|| format!("no count in {text}"))
    }
}
