//! The programs of one interface, verified and loaded, attached to nothing yet.

use super::{PinDir, clock, object};
use anyhow::{Context as _, Result, anyhow, ensure};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use sccm_common::Place;
use sccm_common::abi::{PLACE_GLOBAL, SLOT_GLOBAL, TICK_GLOBAL, map, program};
use sccm_common::counter::MAX_INTERFACES;
use std::sync::OnceLock;
use std::thread;

// The loader borrows what it sets a global to, for as long as it lives.
static TICK: OnceLock<u64> = OnceLock::new();
static NUMBERS: [u32; MAX_INTERFACES as usize] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Makes maps and programs over one directory of pins. A new one parses the types of the
/// running kernel, which takes longer than to check a policy.
pub struct Loader {
    loader: EbpfLoader<'static>,
}

impl Loader {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(pins: &PinDir) -> Self {
        let mut loader = EbpfLoader::new();
        for name in map::ALL {
            loader.map_pin_path(name, pins.map(name));
        }
        Self { loader }
    }

    /// Creates and pins the maps, with room for `flow_capacity` flows, without a program.
    ///
    /// # Errors
    /// The kernel refuses a map.
    pub fn create_maps(&mut self, flow_capacity: u32) -> Result<()> {
        self.loader
            .map_max_entries(map::FLOWS, flow_capacity)
            .load(object::object())
            .context("creating the kernel's maps")?;
        Ok(())
    }

    /// Has the kernel verify the programs for the interface of `slot`, over the
    /// pinned maps.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load(&mut self, slot: u32, place: Place) -> Result<Programs> {
        self.load_both(slot, place, [program::XDP, program::EGRESS])
    }

    /// The same for a card whose VLANs are told apart by the table of `slot`.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load_trunk(&mut self, slot: u32) -> Result<Programs> {
        // The place is that of each VLAN.
        let place = Place::Host;
        let names = [program::XDP_TRUNK, program::EGRESS_TRUNK];
        self.load_both(slot, place, names)
    }

    fn load_both(
        &mut self,
        slot: u32,
        place: Place,
        [xdp, egress]: [&'static str; 2],
    ) -> Result<Programs> {
        let tick = clock::tick()?;
        let slot = NUMBERS.get(slot as usize);
        let slot = slot.with_context(|| format!("there are {MAX_INTERFACES} slots"))?;
        let ebpf = self
            .loader
            .override_global(SLOT_GLOBAL, slot, true)
            .override_global(PLACE_GLOBAL, &NUMBERS[place as usize], true)
            .override_global(TICK_GLOBAL, TICK.get_or_init(|| tick), true)
            .load(object::object())
            .context("opening the kernel's maps")?;
        let mut programs = Programs { ebpf, xdp, egress };
        programs.verify()?;
        Ok(programs)
    }
}

/// A copy of both programs that knows its slot. Copies share the pinned maps.
pub struct Programs {
    ebpf: Ebpf,
    xdp: &'static str,
    egress: &'static str,
}

impl Programs {
    /// Hands both to the kernel at once: nearly all of a start is its verifier at work.
    fn verify(&mut self) -> Result<()> {
        let names = [self.xdp, self.egress];
        thread::scope(|scope| {
            let programs = self.ebpf.programs_mut();
            let loads: Vec<_> = programs
                .filter(|(name, _)| names.contains(name))
                .map(|(_, program)| scope.spawn(|| load(program)))
                .collect();
            ensure!(loads.len() == names.len(), "the object lacks a program");
            loads.into_iter().try_for_each(|load| {
                load.join()
                    .map_err(|_| anyhow!("loading a program failed"))?
            })
        })
    }

    /// The ingress program.
    ///
    /// # Errors
    /// The object lacks it: a build that went wrong.
    pub fn xdp(&mut self) -> Result<&mut Xdp> {
        self.program(self.xdp)
    }

    /// The egress program.
    ///
    /// # Errors
    /// The object lacks it: a build that went wrong.
    pub fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        self.program(self.egress)
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

fn load(program: &mut Program) -> Result<()> {
    match program {
        Program::Xdp(program) => program.load().context("loading the XDP program"),
        program => {
            let program: &mut SchedClassifier = program.try_into()?;
            program.load().context("loading the TC program")
        }
    }
}
