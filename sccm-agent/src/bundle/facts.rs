//! What no command prints: every counter, and what the kernel has loaded.

use crate::kernel::loaded::{self, LoadedMap, LoadedProgram};
use crate::kernel::{PinDir, Reading};
use crate::state;
use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use sccm_common::counter::Direction;
use serde::Serialize;
use std::fs;

/// `counters.json` of a support bundle.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counters {
    /// Those above zero, since the maps were made.
    counters: Vec<Counted>,
}

/// Packets that ended alike.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    /// The interface.
    interface: String,
    /// `inbound` or `outbound`, seen from the protected system.
    direction: &'static str,
    /// Counted in observe mode: what had a reason to be dropped passed.
    observed: bool,
    /// Label of the reason.
    reason: &'static str,
    /// The service, such as `tcp/http`, if the reason is counted by service.
    service: Option<String>,
    /// The other end, if the policy gave it no right.
    peer: Option<String>,
    /// Packets.
    packets: u64,
    /// Bytes of them.
    bytes: u64,
}

impl Counters {
    pub(super) fn read(pins: &PinDir) -> Result<Self> {
        let readings = state::open(pins)?.counters()?;
        Ok(Self {
            counters: readings.into_iter().map(counted).collect(),
        })
    }
}

fn counted(reading: Reading) -> Counted {
    let service = reading.service;
    Counted {
        interface: reading.interface,
        direction: match reading.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        },
        observed: reading.observing,
        reason: reading.reason.label(),
        service: service.map(|name| format!("{}/{}", name.protocol, name.service)),
        peer: reading.peer,
        packets: reading.count.packets,
        bytes: reading.count.bytes,
    }
}

/// `kernel.json` of a support bundle.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KernelFacts {
    /// What the kernel calls its release.
    release: String,
    /// What it calls its version.
    version: String,
    /// The kind of machine.
    machine: String,
    /// `/proc/version`: by what it was compiled.
    compiled: Option<String>,
    /// What the distribution calls itself.
    distribution: Option<String>,
    /// Its programs, whoever loaded them.
    programs: Vec<LoadedProgram>,
    /// Its maps, whoever made them.
    maps: Vec<LoadedMap>,
}

impl KernelFacts {
    /// Reads them. What the kernel tells only others is a line in `errors`.
    pub(super) fn read(errors: &mut Vec<String>) -> Result<Self> {
        let name = uname().context("asking for the kernel's version")?;
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let mut refused = |error: anyhow::Error| errors.push(format!("kernel.json: {error:#}"));
        let programs = loaded::programs().map_err(&mut refused);
        let maps = loaded::maps().map_err(&mut refused);
        let compiled = fs::read_to_string("/proc/version").ok();
        Ok(Self {
            release: text(name.release()),
            version: text(name.version()),
            machine: text(name.machine()),
            compiled: compiled.map(|text| text.trim().to_owned()),
            distribution: distribution(),
            programs: programs.unwrap_or_default(),
            maps: maps.unwrap_or_default(),
        })
    }
}

/// As os-release(5) has it.
fn distribution() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}
