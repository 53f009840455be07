//! Loads the programs of one interface. Attaching them is the next step (`attach`).

use super::{PinDir, clock, object};
use anyhow::{Context as _, Result, anyhow, ensure};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use sccm_common::Place;
use sccm_common::abi::{PLACE_GLOBAL, SLOT_GLOBAL, TICK_GLOBAL, map, program};
use sccm_common::counter::MAX_INTERFACES;
use std::sync::OnceLock;
use std::thread;

// The loader borrows the values of globals as long as it lives.
static TICK: OnceLock<u64> = OnceLock::new();
static NUMBERS: [u32; MAX_INTERFACES as usize] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Loads programs over the maps of one directory of pins. A new loader parses the types of the
/// running kernel, which takes longer than checking a policy.
pub struct Loader {
    loader: EbpfLoader<'static>,
}

impl Loader {
    /// Loads nothing yet.
    #[must_use]
    pub fn new(pins: &PinDir) -> Self {
        let mut loader = EbpfLoader::new();
        for shape in map::ALL {
            loader.map_pin_path(shape.name, pins.map(shape.name));
        }
        Self { loader }
    }

    /// Loads the programs for the card at `slot`, over the pinned maps.
    pub fn load(&mut self, slot: u32, place: Place, at: IngressAt) -> Result<Programs> {
        let names = Names {
            xdp: program::XDP,
            tc: program::TC,
            egress: program::EGRESS,
        };
        self.load_both(slot, place, names, at)
    }

    /// The same for a card whose frames have no Ethernet header. It has none at XDP.
    pub fn load_tunnel(&mut self, slot: u32, place: Place) -> Result<Programs> {
        let names = Names {
            xdp: program::XDP,
            tc: program::TC_IP,
            egress: program::EGRESS_IP,
        };
        self.load_both(slot, place, names, IngressAt::Tc)
    }

    /// The same for a card with VLANs of its own, which are in the table of `slot`.
    pub fn load_trunk(&mut self, slot: u32, at: IngressAt) -> Result<Programs> {
        // Each VLAN has its own place; like this one, a trunk has no fast path.
        let place = Place::Loopback;
        let names = Names {
            xdp: program::XDP_TRUNK,
            tc: program::TC_TRUNK,
            egress: program::EGRESS_TRUNK,
        };
        self.load_both(slot, place, names, at)
    }

    fn load_both(
        &mut self,
        slot: u32,
        place: Place,
        names: Names,
        at: IngressAt,
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
        let mut programs = Programs { ebpf, names };
        programs.verify(&[names.ingress(at), names.egress])?;
        Ok(programs)
    }
}

/// Both programs of one card, loaded. The programs of all cards share the pinned maps.
pub struct Programs {
    ebpf: Ebpf,
    names: Names,
}

/// Where an ingress program runs: each hook has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngressAt {
    Xdp,
    Tc,
}

#[derive(Debug, Clone, Copy)]
struct Names {
    xdp: &'static str,
    tc: &'static str,
    egress: &'static str,
}

impl Names {
    const fn ingress(self, at: IngressAt) -> &'static str {
        match at {
            IngressAt::Xdp => self.xdp,
            IngressAt::Tc => self.tc,
        }
    }
}

impl Programs {
    /// Loads the ingress program of another hook, too.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn also_at(&mut self, at: IngressAt) -> Result<()> {
        self.verify(&[self.names.ingress(at)])
    }

    /// Loads them at the same time: most of a start is the kernel's verifier at work.
    fn verify(&mut self, names: &[&str]) -> Result<()> {
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

    /// The ingress program at XDP.
    pub fn xdp(&mut self) -> Result<&mut Xdp> {
        self.program(self.names.xdp)
    }

    /// The ingress program at TC.
    pub fn tc(&mut self) -> Result<&mut SchedClassifier> {
        self.program(self.names.tc)
    }

    /// The egress program.
    pub fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        self.program(self.names.egress)
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
