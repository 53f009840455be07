//! The real programs with a policy, as descriptors to run.
//!
//! The tests' `Datapath` runs one frame and looks at its fate; measuring needs the programs
//! themselves, both of them, and the kernel memory of the maps below them.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapInfo;
use sccm_agent::kernel::{IngressAt, Loader, Maps, OpeningTable, PinDir, Programs, create_maps};
use sccm_agent::policy::Compiled;
use sccm_common::abi::map;
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_common::{Hook, Place, Reason};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;

use crate::sys::{self, Run};

/// Programs of one host, with maps of their own and of the default capacity.
pub struct World {
    programs: Programs,
    ingress: IngressAt,
    maps: Maps,
    pins: PinDir,
    _mount: BpfMount,
}

impl World {
    /// Loads the programs of a host, and publishes a policy.
    pub fn new(settings: &Settings) -> Result<Self> {
        Self::at(settings, Place::Host, IngressAt::Xdp)
    }

    /// The same at another place, or with what comes in at another hook.
    pub fn at(settings: &Settings, place: Place, ingress: IngressAt) -> Result<Self> {
        let mount = BpfMount::new()?;
        let pins = PinDir::new(mount.path().join("agent"));
        pins.create()?;
        create_maps(&pins, DEFAULT_CAPACITY)?;
        let mut loader = Loader::new(&pins);
        let mut maps = Maps::open(&pins)?;
        let slot = maps.claim_slot("measured0", 1)?;
        let programs = loader.load(slot, place, ingress)?;
        let policy = settings.compile(maps.service_names()?)?;
        maps.publish(&policy)?;
        Ok(Self {
            programs,
            ingress,
            maps,
            pins,
            _mount: mount,
        })
    }

    /// Publishes another policy.
    pub fn publish(&mut self, policy: &Compiled) -> Result<()> {
        self.maps.publish(policy).map(|_| ())
    }

    /// The hook whose program is of the same type, for [`floor`]: both hooks of TC run one type.
    pub fn kind(&self, hook: Hook) -> Hook {
        match (hook, self.ingress) {
            (Hook::Ingress, IngressAt::Xdp) => Hook::Ingress,
            (Hook::Ingress, IngressAt::Tc) | (Hook::Egress, _) => Hook::Egress,
        }
    }

    /// The program of a hook.
    pub fn program(&mut self, hook: Hook) -> Result<BorrowedFd<'_>> {
        Ok(match hook {
            Hook::Ingress if self.ingress == IngressAt::Tc => self.programs.tc()?.fd()?.as_fd(),
            Hook::Ingress => self.programs.xdp()?.fd()?.as_fd(),
            Hook::Egress => self.programs.classifier()?.fd()?.as_fd(),
        })
    }

    /// Runs the program of a hook on one packet, `repeat` times.
    pub fn run(&mut self, hook: Hook, packet: &Packet, repeat: u32) -> Result<Run> {
        sys::test_run(self.program(hook)?, &packet.build(), repeat)
    }

    /// How many packets ended for this reason.
    pub fn counted(&self, reason: Reason) -> Result<u64> {
        let readings = self.maps.counters()?;
        let readings = readings.iter().filter(|reading| reading.reason == reason);
        Ok(readings.map(|reading| reading.count.packets).sum())
    }

    /// How many packets were counted, for whatever reason.
    pub fn counted_altogether(&self) -> Result<u64> {
        let readings = self.maps.counters()?;
        Ok(readings.iter().map(|reading| reading.count.packets).sum())
    }

    /// Says that an interface at this place judges all that comes in.
    pub fn came_in_by(&mut self, interface: u32, place: Place, translates: bool) -> Result<()> {
        let said = if translates { place as u32 } else { 0 };
        self.maps
            .write_entrances(&BTreeMap::from([(interface, said)]))
    }

    /// How many answers of a mapper opened a port.
    pub fn handed_out(&self) -> Result<u64> {
        let outcomes = OpeningTable::open(&self.pins)?.outcomes()?;
        let opened = outcomes.iter().filter(|(outcome, _)| outcome.is_ok());
        Ok(opened.map(|(_, count)| count).sum())
    }

    /// The kernel memory of each map: name, bytes.
    pub fn memory(&self) -> Result<Vec<(&'static str, u64)>> {
        map::ALL
            .iter()
            .map(|map| Ok((map.name, self.memory_of(map.name)?)))
            .collect()
    }

    fn memory_of(&self, name: &str) -> Result<u64> {
        let map = MapInfo::from_pin(self.pins.map(name))?.fd()?;
        let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let value = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        let value = value.with_context(|| format!("{path} names no memory"))?;
        let bytes = value.trim().parse()?;
        ensure!(bytes > 0, "{name} has no memory at all");
        Ok(bytes)
    }
}
