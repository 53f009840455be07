//! The programs of one interface, verified and loaded, attached to nothing yet.

use super::{PinDir, clock, object};
use anyhow::{Context as _, Result};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use sccm_common::Place;
use sccm_common::abi::{PLACE_GLOBAL, SLOT_GLOBAL, TICK_GLOBAL, map, program};

/// A copy of both programs that knows its slot. Copies share the pinned maps.
pub struct Programs {
    ebpf: Ebpf,
    arriving: &'static str,
    leaving: &'static str,
}

impl Programs {
    /// Creates and pins the maps, with room for `flow_capacity` flows, without a program.
    ///
    /// # Errors
    /// The kernel refuses a map.
    pub fn create_maps(pins: &PinDir, flow_capacity: u32) -> Result<()> {
        let mut loader = loader(pins);
        loader.map_max_entries(map::FLOWS, flow_capacity);
        loader
            .load(object::object())
            .context("creating the kernel's maps")?;
        Ok(())
    }

    /// Has the kernel verify the programs for the interface of `slot`, over the
    /// pinned maps.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load(pins: &PinDir, slot: u32, place: Place) -> Result<Self> {
        Self::load_with(pins, slot, place, program::ARRIVING, program::LEAVING)
    }

    /// The same for a card whose VLANs are told apart by the table of `slot`.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load_trunk(pins: &PinDir, slot: u32) -> Result<Self> {
        // The place is that of each VLAN.
        let place = Place::Host;
        let (arriving, leaving) = (program::ARRIVING_TRUNK, program::LEAVING_TRUNK);
        Self::load_with(pins, slot, place, arriving, leaving)
    }

    fn load_with(
        pins: &PinDir,
        slot: u32,
        place: Place,
        arriving: &'static str,
        leaving: &'static str,
    ) -> Result<Self> {
        let ebpf = loader(pins)
            .override_global(SLOT_GLOBAL, &slot, true)
            .override_global(PLACE_GLOBAL, &(place as u32), true)
            .override_global(TICK_GLOBAL, &clock::tick()?, true)
            .load(object::object())
            .context("opening the kernel's maps")?;
        let mut programs = Self {
            ebpf,
            arriving,
            leaving,
        };
        programs.xdp()?.load().context("loading the XDP program")?;
        programs
            .classifier()?
            .load()
            .context("loading the TC program")?;
        Ok(programs)
    }

    /// The program that judges what arrives.
    ///
    /// # Errors
    /// The object lacks it: a build that went wrong.
    pub fn xdp(&mut self) -> Result<&mut Xdp> {
        self.program(self.arriving)
    }

    /// The program that notes what leaves.
    ///
    /// # Errors
    /// The object lacks it: a build that went wrong.
    pub fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        self.program(self.leaving)
    }

    pub(super) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn program<'a, P>(&'a mut self, name: &str) -> Result<&'a mut P>
    where
        &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = self
            .ebpf
            .program_mut(name)
            .with_context(|| format!("the object has no program {name}"))?;
        Ok(program.try_into()?)
    }
}

fn loader<'a>(pins: &PinDir) -> EbpfLoader<'a> {
    let mut loader = EbpfLoader::new();
    for name in map::ALL {
        loader.map_pin_path(name, pins.map(name));
    }
    loader
}
