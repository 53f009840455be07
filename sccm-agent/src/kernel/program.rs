//! The programs of one interface, verified and loaded, attached to nothing yet.

use super::{PinDir, object};
use anyhow::{Context as _, Result};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use sccm_common::abi::{SLOT_GLOBAL, map, program};

/// A copy of both programs that knows its slot. Copies share the pinned maps.
pub struct Programs {
    ebpf: Ebpf,
}

impl Programs {
    /// Creates and pins the maps, without a program.
    ///
    /// # Errors
    /// The kernel refuses a map.
    pub fn create_maps(pins: &PinDir) -> Result<()> {
        open(pins, 0).map(drop)
    }

    /// Has the kernel verify the programs for the interface of `slot`, over the
    /// pinned maps.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load(pins: &PinDir, slot: u32) -> Result<Self> {
        let mut programs = Self {
            ebpf: open(pins, slot)?,
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
        self.program(program::INBOUND)
    }

    /// The program that notes what leaves.
    ///
    /// # Errors
    /// The object lacks it: a build that went wrong.
    pub fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        self.program(program::OUTBOUND)
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

fn open(pins: &PinDir, slot: u32) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    loader.override_global(SLOT_GLOBAL, &slot, true);
    for name in map::ALL {
        loader.map_pin_path(name, pins.map(name));
    }
    loader
        .load(object::object())
        .context("creating the kernel's maps")
}
