//! The real kernel program, loaded but attached to nothing, run frame by frame.
//!
//! `BPF_PROG_TEST_RUN` hands a frame to the loaded program and returns what it decided. Maps,
//! policy and counters are those that the agent uses, in a BPF file system of this test's own.
//!
//! Outbound frames, and inbound ones at TC, go through a TC program the same way. The kernel takes the Ethernet header
//! off the buffer that it makes for a test run, and puts it back in front for the programs of
//! layer 2 (`bpf_prog_test_run_skb`, net/bpf/test_run.c): they see what a TC hook sees.
//!
//! The kernel runs no frame that is shorter than an Ethernet header ([`SHORTEST_FRAME`]), and none
//! at TC that names IP but has no room for its header ([`runs_at_tc`]).

mod counted;
mod judged;
mod settings;

use anyhow::{Context as _, Result, ensure};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp};
use sccm_agent::kernel::{
    FlowCount, FlowTable, IngressAt, Loader, Maps, PinDir, Programs, Unnoted, create_maps,
};
use sccm_agent::policy::Compiled;
use sccm_common::abi::map;
use sccm_common::blocked::BlockedFlow;
use sccm_common::capture::Order;
use sccm_common::counter::Direction;
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_common::fragment::{FragmentKey, FragmentState};
use sccm_common::policy::BANKS;
use sccm_common::question::{BUCKETS, Words};
use sccm_common::tftp::{TransferKey, TransferState};
use sccm_common::wire::ethernet::{HEADER, Header};
use sccm_common::{Hook, Reason};

pub use counted::{Counts, Place};
pub use judged::{Action, Judged, OnHost};
pub use settings::Settings;

use crate::bpffs::BpfMount;
use crate::flows::Flows;
use crate::ingress;

/// The interface that the frames seem to come through.
pub const INTERFACE: &str = "tested0";

/// The kernel refuses a test run with less (`ETH_HLEN`, net/bpf/test_run.c).
pub const SHORTEST_FRAME: usize = 14;

/// The longest frame that the kernel surely takes for a test run at TC: a page, without what it puts
/// before and behind (`bpf_test_init`, net/bpf/test_run.c).
const LONGEST_AT_TC: usize = 3500;

/// Whether the kernel takes the frame for a test run of a TC program. It fills in a socket from
/// the IP header, and newer kernels (6.18 is one) refuse a frame that ends before.
#[must_use]
pub fn runs_at_tc(frame: &[u8]) -> bool {
    let ip_header = match frame.get(12..14) {
        Some([0x08, 0x00]) => 20,
        Some([0x86, 0xdd]) => 40,
        _ => 0,
    };
    (SHORTEST_FRAME + ip_header..=LONGEST_AT_TC).contains(&frame.len())
}

/// The programs of one interface over maps of their own; all of it ends with this value.
pub struct Datapath {
    programs: Programs,
    at: IngressAt,
    place: sccm_common::Place,
    maps: Maps,
    pins: PinDir,
    /// What the counters said when they were last looked at.
    counted: Counts,
    _mount: BpfMount,
}

impl Datapath {
    /// Loads the programs. They have no policy until one is published.
    pub fn load() -> Result<Self> {
        Self::load_at(sccm_common::Place::Host)
    }

    /// [`Datapath::load`], for an interface at this place.
    pub fn load_at(place: sccm_common::Place) -> Result<Self> {
        Self::load_with(place, DEFAULT_CAPACITY)
    }

    /// [`Datapath::load_at`], with room for so many flows.
    pub fn load_with(place: sccm_common::Place, flow_capacity: u32) -> Result<Self> {
        let mount = BpfMount::new()?;
        let pins = PinDir::new(mount.path().join("agent"));
        pins.create()?;
        create_maps(&pins, flow_capacity)?;
        let mut loader = Loader::new(&pins);
        let mut maps = Maps::open(&pins)?;
        // Not slot 0, so that a program that ignores its slot counts in the wrong place.
        maps.claim_slot("other0", 1)?;
        let slot = maps.claim_slot(INTERFACE, 2)?;
        let mut programs = loader.load(slot, place, IngressAt::Xdp)?;
        let at = ingress::program();
        if at == IngressAt::Tc {
            programs.also_at(at)?;
        }
        Ok(Self {
            programs,
            at,
            place,
            maps,
            pins,
            counted: Counts::default(),
            _mount: mount,
        })
    }

    /// Compiles a policy and makes it the active one. Counters and flows stay.
    pub fn publish(&mut self, settings: &Settings) -> Result<Compiled> {
        let compiled = settings.compile(self.maps.service_names()?)?;
        self.maps.publish(&compiled)?;
        Ok(compiled)
    }

    /// Compiles a policy and has it judge beside the active one.
    pub fn shadow(&mut self, settings: &Settings) -> Result<()> {
        let compiled = settings.compile(self.maps.service_names()?)?;
        self.maps.cast_shadow(&compiled)
    }

    /// Ends that.
    pub fn end_shadow(&mut self) -> Result<()> {
        self.maps.end_shadow()
    }

    /// What the shadow's counters say since it began.
    pub fn shadow_counts(&self) -> Result<Counts> {
        Ok(Counts::of(self.maps.shadow_counters()?))
    }

    /// The XDP program, for [`run`] on several CPUs at once.
    pub fn ingress(&mut self) -> Result<&Xdp> {
        Ok(self.programs.xdp()?)
    }

    /// Runs the ingress program of the tests' hook ([`ingress::VARIABLE`]) on a frame, and returns its
    /// decision.
    ///
    /// # Errors
    /// When the kernel refuses the run, and for any action but passing the frame on, and drop.
    pub fn run_inbound(&mut self, frame: &[u8]) -> Result<Action> {
        match self.at {
            IngressAt::Tc if runs_at_tc(frame) => run_tc(self.programs.tc()?, frame),
            _ => run(self.ingress()?, frame),
        }
    }

    /// Runs the egress program on a frame, and returns its decision.
    ///
    /// # Errors
    /// When the kernel refuses the run, and for any action but leaving the frame to others, and drop.
    pub fn run_outbound(&mut self, frame: &[u8]) -> Result<Action> {
        run_tc(self.programs.classifier()?, frame)
    }

    /// [`Datapath::run_inbound`], and what the counters say about it.
    ///
    /// # Errors
    /// Also when not exactly one counter rose, by one packet and the frame's length.
    pub fn judge_inbound(&mut self, frame: &[u8]) -> Result<Judged> {
        let action = self.run_inbound(frame)?;
        self.counted_once(action, Hook::Ingress.direction(self.place), frame)
    }

    /// [`Datapath::run_outbound`], and what the counters say about it.
    ///
    /// # Errors
    /// Also when not exactly one counter rose, by one packet and the frame's length.
    pub fn judge_outbound(&mut self, frame: &[u8]) -> Result<Judged> {
        let action = self.run_outbound(frame)?;
        self.counted_once(action, Direction::Outbound, frame)
    }

    /// [`Datapath::run_outbound`] for a frame that a gateway lets into its segment from somebody
    /// whom it did not judge before: it is counted with what comes in.
    ///
    /// # Errors
    /// As above.
    pub fn judge_passing(&mut self, frame: &[u8]) -> Result<Judged> {
        let action = self.run_outbound(frame)?;
        self.counted_once(action, Direction::Inbound, frame)
    }

    fn counted_once(
        &mut self,
        action: Action,
        direction: Direction,
        frame: &[u8],
    ) -> Result<Judged> {
        let place = self.newly_counted()?.only(frame.len())?;
        ensure!(place.interface == INTERFACE, "counted at {place:?}");
        ensure!(place.direction == direction, "counted at {place:?}");
        Ok(Judged::counted(action, place))
    }

    /// The counters that rose since this was last asked, and by how much.
    ///
    /// # Errors
    /// When the counters cannot be read, or one fell.
    pub fn newly_counted(&mut self) -> Result<Counts> {
        let now = Counts::of(self.maps.counters()?);
        let risen = now.since(&self.counted)?;
        self.counted = now;
        Ok(risen)
    }

    /// How many flows the kernel remembers.
    pub fn flows(&self) -> Result<usize> {
        Ok(Flows::open(&self.pins)?.all().len())
    }

    /// How many flows are alive, and how many have made way, as metrics tell.
    pub fn flow_count(&self) -> Result<FlowCount> {
        FlowTable::open(&self.pins)?.count()
    }

    /// The flows and their phases, in the order of their keys.
    pub fn flow_phases(&self) -> Result<Vec<String>> {
        let flows = Flows::open(&self.pins)?.all().into_iter();
        let mut phases: Vec<_> = flows
            .map(|(key, state)| format!("{key:?} {:?}", state.phase()))
            .collect();
        phases.sort();
        Ok(phases)
    }

    /// How many first fragments the kernel remembers.
    pub fn fragments(&self) -> Result<usize> {
        self.entries::<FragmentKey, FragmentState>(map::FRAGMENTS.name)
    }

    /// How many transfers and expectations of them the kernel remembers.
    pub fn transfers(&self) -> Result<usize> {
        self.entries::<TransferKey, TransferState>(map::TRANSFERS.name)
    }

    /// Where the maps are pinned.
    #[must_use]
    pub fn pins(&self) -> &PinDir {
        &self.pins
    }

    /// Orders refused packets, as a process does that then dies.
    pub fn order(&self, order: Order) -> Result<()> {
        let mut map: Array<MapData, Order> = self.open(map::ORDER.name)?;
        Ok(map.set(0, order, 0)?)
    }

    /// The flows that were refused, of all CPUs.
    pub fn blocked(&self) -> Result<Vec<BlockedFlow>> {
        self.maps.blocked()
    }

    /// The flows that the shadow judges otherwise, of all CPUs.
    pub fn shadow_flows(&self) -> Result<Vec<BlockedFlow>> {
        self.maps.shadow_flows()
    }

    /// Packets of such flows that were not noted.
    pub fn shadow_suppressed(&self) -> Result<u64> {
        let unnoted = self.maps.shadow_unnoted()?.into_iter();
        Ok(unnoted.map(|unnoted| unnoted.suppressed).sum())
    }

    /// What this reason did not note.
    ///
    /// # Errors
    /// When the map cannot be read, or the reason lets packets pass.
    pub fn unnoted(&self, reason: Reason) -> Result<Unnoted> {
        let mut all = self.maps.unnoted()?.into_iter();
        let of_it = all.find(|unnoted| unnoted.reason == reason);
        of_it.with_context(|| format!("{reason:?} refuses nothing"))
    }

    /// Makes every flow seem silent for `seconds`, instead of waiting for it.
    ///
    /// # Errors
    /// When the map cannot be written, or the kernel has not been up for as long.
    pub fn age_flows(&mut self, seconds: u32) -> Result<()> {
        let flows = Flows::open(&self.pins)?;
        for (key, state) in flows.all() {
            let seen = state.seen().checked_sub(seconds);
            let seen = seen.context("the kernel came up only just now")?;
            flows.set(&key, state.at(seen))?;
        }
        Ok(())
    }

    /// Lets all questions seem to have been asked so many seconds earlier.
    ///
    /// # Errors
    /// When the table cannot be read or written, or the kernel came up only just now.
    pub fn age_questions(&mut self, seconds: u32) -> Result<()> {
        let mut questions: Array<MapData, Words> = self.open(map::QUESTIONS.name)?;
        for bucket in 0..BUCKETS {
            let mut words = questions.get(&bucket, 0)?;
            let [written, _, slots @ ..] = &mut words;
            if *written == 0 {
                continue;
            }
            let earlier = written.checked_sub(seconds);
            *written = earlier.context("the kernel came up only just now")?;
            for slot in slots.iter_mut().filter(|slot| **slot != 0) {
                *slot = *slot & !0xff | slot.wrapping_sub(seconds) & 0xff;
            }
            questions.set(bucket, words, 0)?;
        }
        Ok(())
    }

    /// Spoils the word that names the active policy, as foreign hands on the maps could.
    pub fn lose_policy(&mut self) -> Result<()> {
        let mut active: Array<MapData, u32> = self.open(map::ACTIVE.name)?;
        Ok(active.set(0, BANKS, 0)?)
    }

    fn entries<K: Pod, V: Pod>(&self, name: &str) -> Result<usize> {
        let map: HashMap<MapData, K, V> = self.open(name)?;
        let mut count = 0;
        for key in map.keys() {
            key?;
            count += 1;
        }
        Ok(count)
    }

    fn open<T: TryFrom<Map, Error = MapError>>(&self, name: &str) -> Result<T> {
        let data = MapData::from_pin(self.pins.map(name))?;
        Ok(T::try_from(Map::from_map_data(data)?)?)
    }
}

/// What the kernel should note of a frame in which it finds no IP packet.
#[must_use]
pub fn link_header(frame: &[u8]) -> Header {
    let mut bytes = [0; HEADER];
    for (byte, value) in bytes.iter_mut().zip(frame) {
        *byte = *value;
    }
    Header::of(&bytes, frame.len() as u32)
}

/// Runs the XDP program on a frame, and returns its decision.
///
/// # Errors
/// When the kernel refuses the run, and for any XDP action but pass and drop.
pub fn run(program: &Xdp, frame: &[u8]) -> Result<Action> {
    let run = program.test_run(options(frame));
    let run = run.with_context(|| format!("running a frame of {} bytes", frame.len()))?;
    Action::of_xdp(run.return_value)
}

fn run_tc(program: &SchedClassifier, frame: &[u8]) -> Result<Action> {
    let run = program.test_run(options(frame));
    let run = run.with_context(|| format!("running a frame of {} bytes", frame.len()))?;
    Action::of_tc(run.return_value)
}

fn options(frame: &[u8]) -> TestRunOptions<'_> {
    TestRunOptions {
        data_in: Some(frame),
        ..TestRunOptions::default()
    }
}
