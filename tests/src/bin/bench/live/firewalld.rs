//! Debian's firewalld as it comes: its default zone, which refuses with an ICMP error; or another one,
//! whose cards it trusts.
//!
//! It wants a system bus. It gets one of its own, in a directory that goes with it.

use std::fs;

use anyhow::Result;
use sccm_tests::netns::Namespace;
use tempfile::TempDir;

use super::filter::Installed;
use crate::child::{Background, run, wait_until};

/// At work, until it is dropped.
pub struct AtWork {
    _daemon: Background,
    _bus: Background,
    _directory: TempDir,
}

impl AtWork {
    /// Starts the bus and the daemon on a host, and waits until its rules are there. `trusted`: cards
    /// between which everything passes.
    pub fn new(host: &Namespace, trusted: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let configuration = directory.path().join("bus.conf");
        let socket = directory.path().join("bus");
        let address = format!("unix:path={}", socket.display());
        fs::write(&configuration, bus(&address))?;
        let mut dbus = host.command("dbus-daemon");
        dbus.args(["--nofork", "--nopidfile", "--config-file"]);
        let bus = Background::start(dbus.arg(&configuration))?;
        wait_until(|| socket.exists(), "its bus")?;

        let mut firewalld = host.command("firewalld");
        firewalld.args(["--nofork", "--nopid", "--system-config"]);
        firewalld.arg(directory.path());
        let daemon = Background::start(firewalld.env("DBUS_SYSTEM_BUS_ADDRESS", &address))?;
        let is_running = || {
            let mut ask = host.command("firewall-cmd");
            ask.arg("--state").env("DBUS_SYSTEM_BUS_ADDRESS", &address);
            ask.output().is_ok_and(|output| output.status.success())
        };
        wait_until(is_running, "firewalld")?;
        for card in trusted {
            let mut add = host.command("firewall-cmd");
            add.args(["--zone", "trusted", "--add-interface", card]);
            run(add.env("DBUS_SYSTEM_BUS_ADDRESS", &address))?;
        }
        Ok(Self {
            _daemon: daemon,
            _bus: bus,
            _directory: directory,
        })
    }
}

impl Installed for AtWork {
    /// It counts nothing.
    fn dropped(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// A bus on which everybody may do everything; only root can reach it.
fn bus(address: &str) -> String {
    format!(
        "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\"/>\
         <allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>"
    )
}
