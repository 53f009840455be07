//! The programs that the kernel runs: one copy for each kind of card, over the same maps.
//!
//! What a program decides comes back from `BPF_PROG_TEST_RUN`; why, only the counters tell. They
//! are read at the end of a case, where each must have risen by exactly the packets and bytes that
//! the verdict in this process gave it. What it has noted is compared entry by entry, and removed,
//! so that every case begins with nothing known.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::{TestRun as _, TestRunOptions};
use sccm_agent::kernel::{
    HandedOut, IngressAt, Loader, Maps, OpeningTable, PinDir, Programs, create_maps,
};
use sccm_agent::policy::{Compiled, address_of};
use sccm_common::Place;
use sccm_common::abi::map;
use sccm_common::counter::{
    Counter, Direction, PAGE_COUNTERS, PAGES, PEER_COUNTERS, Page, PeerPage, describe,
    describe_peer, index, page, peer_index,
};
use sccm_common::flow::FlowState;
use sccm_common::fragment::FragmentKey;
use sccm_common::opening::{OpeningKey, SETS, Set};
use sccm_common::question::{BUCKETS, Words};
use sccm_common::tftp::TransferKey;
use sccm_common::trunk::VlanTable;
use sccm_tests::bpffs::BpfMount;
use sccm_tests::datapath::{Action, SHORTEST_FRAME, runs_at_tc};
use sccm_tests::flows::Flows;

use crate::case::{Spot, Step};
use crate::native::{Counted, Native};
use crate::slots::Slots;

/// Flows that the table has room for; no case has nearly as many.
const FLOWS: u32 = 16_384;

/// Programs and maps of one thread.
pub struct Kernel {
    programs: Vec<(Spot, Programs)>,
    pub maps: Maps,
    pub slots: Slots,
    counters: PerCpuArray<MapData, Page>,
    peer_counters: PerCpuArray<MapData, PeerPage>,
    flows: Flows,
    fragments: HashMap<MapData, FragmentKey, u64>,
    transfers: HashMap<MapData, TransferKey, u64>,
    questions: Array<MapData, Words>,
    opening_sets: Array<MapData, Set>,
    /// By which questions and openings find their places.
    secret: u64,
    openings: OpeningTable,
    /// By page and place, those by peer behind the others: what was counted before, or will have
    /// been.
    counted: Vec<Vec<Counter>>,
    _mount: BpfMount,
}

impl Kernel {
    /// Loads everything. There is no policy yet.
    pub fn load() -> Result<Self> {
        let mount = BpfMount::new()?;
        let pins = PinDir::new(mount.path().join("agent"));
        pins.create()?;
        create_maps(&pins, FLOWS)?;
        let mut loader = Loader::new(&pins);
        let mut maps = Maps::open(&pins)?;
        let slots = Slots::claim(&mut maps)?;
        let mut vlans: Array<MapData, VlanTable> = open(&pins, map::VLANS.name)?;
        vlans.set(slots.of(Spot::Trunk), *slots.vlans(), 0)?;
        let mut programs = Vec::new();
        for (spot, place) in [
            (Spot::Host, Some(Place::Host)),
            (Spot::Uplink, Some(Place::Uplink)),
            (Spot::Segment, Some(Place::Segment)),
            (Spot::Trunk, None),
        ] {
            let (slot, at) = (slots.of(spot), IngressAt::Xdp);
            let mut loaded = match place {
                Some(place) => loader.load(slot, place, at)?,
                None => loader.load_trunk(slot, at)?,
            };
            loaded.also_at(IngressAt::Tc)?;
            programs.push((spot, loaded));
        }
        Ok(Self {
            programs,
            maps,
            slots,
            counters: open(&pins, map::COUNTERS.name)?,
            peer_counters: open(&pins, map::PEER_COUNTERS.name)?,
            flows: Flows::open(&pins)?,
            fragments: open(&pins, map::FRAGMENTS.name)?,
            transfers: open(&pins, map::TRANSFERS.name)?,
            questions: open(&pins, map::QUESTIONS.name)?,
            opening_sets: open(&pins, map::OPENINGS.name)?,
            secret: open::<Array<MapData, u64>>(&pins, map::SECRET.name)?.get(&0, 0)?,
            openings: OpeningTable::open(&pins)?,
            counted: vec![vec![Counter::default(); PAGE_COUNTERS + PEER_COUNTERS]; PAGES as usize],
            _mount: mount,
        })
    }

    /// Makes a policy the active one.
    pub fn publish(&mut self, compiled: &Compiled) -> Result<()> {
        self.maps.publish(compiled).map(drop)
    }

    /// Runs a frame; `None` if the kernel makes no test of such a frame.
    pub fn run(&mut self, step: &Step) -> Result<Option<Action>> {
        let options = |frame| TestRunOptions {
            data_in: Some(frame),
            ..TestRunOptions::default()
        };
        match step {
            // Every second frame at TC: the flows that one hook notes, the other finds.
            Step::Arrives(spot, frame) if runs_at_tc(frame) && is_odd(frame) => {
                let run = self.of(*spot)?.tc()?.test_run(options(frame))?;
                Action::of_tc(run.return_value).map(Some)
            }
            Step::Arrives(spot, frame) if frame.len() >= SHORTEST_FRAME => {
                let run = self.of(*spot)?.xdp()?.test_run(options(frame))?;
                Action::of_xdp(run.return_value).map(Some)
            }
            Step::Leaves(spot, frame) if runs_at_tc(frame) => {
                let run = self.of(*spot)?.classifier()?.test_run(options(frame))?;
                Action::of_tc(run.return_value).map(Some)
            }
            Step::Arrives(..) | Step::Leaves(..) | Step::Waits(_) => Ok(None),
        }
    }

    /// Expects a frame of `bytes` to have been counted so.
    pub fn expect(&mut self, counted: &Counted, observing: bool, bytes: usize) {
        let Counted {
            slot,
            direction,
            verdict,
        } = *counted;
        let place = match peer_index(direction, verdict) {
            Some(place) => PAGE_COUNTERS + place,
            None => index(verdict.reason, verdict.service),
        };
        let page = page(slot, direction, observing) as usize;
        let counter = &mut self.counted[page][place];
        counter.packets += 1;
        counter.bytes += bytes as u64;
    }

    /// Whether every counter is what it was expected to be; a difference is told once.
    pub fn check_counters(&mut self) -> Result<()> {
        let mut wrong = Vec::new();
        for slot in self.slots.all() {
            for direction in [Direction::Inbound, Direction::Outbound] {
                for observing in [false, true] {
                    self.check_page(page(slot, direction, observing), &mut wrong)?;
                }
            }
        }
        ensure!(wrong.is_empty(), "the kernel counted {}", wrong.join("; "));
        Ok(())
    }

    fn check_page(&mut self, page: u32, wrong: &mut Vec<String>) -> Result<()> {
        let cpus = self.counters.get(&page, 0)?;
        let by_peer = self.peer_counters.get(&page, 0)?;
        for (place, expected) in self.counted[page as usize].iter_mut().enumerate() {
            let mut found = Counter::default();
            for (counters, by_peer) in cpus.iter().zip(by_peer.iter()) {
                let counter = match place.checked_sub(PAGE_COUNTERS) {
                    Some(place) => by_peer[place],
                    None => counters[place],
                };
                found.packets += counter.packets;
                found.bytes += counter.bytes;
            }
            if found != *expected {
                let what = match place.checked_sub(PAGE_COUNTERS) {
                    Some(place) => format!("{:?}", describe_peer(place)),
                    None => format!("{:?}", describe(place)),
                };
                wrong.push(format!(
                    "{found:?} instead of {expected:?} at page {page}, {what}"
                ));
                *expected = found;
            }
        }
        Ok(())
    }

    /// Lets everything that is noted seem as much older.
    pub fn wait(&mut self, native: &Native<'_>, seconds: u32) -> Result<()> {
        for key in native.tables.state.flows.borrow().keys() {
            let state = self.flows.get(key);
            let state = state.with_context(|| format!("no {key:?}"))?;
            let seen = state.seen().checked_sub(seconds);
            let seen = seen.context("the kernel's clock is too young")?;
            self.flows.set(key, state.at(seen))?;
        }
        for key in native.tables.state.fragments.borrow().keys() {
            let seen = self
                .fragments
                .get(key, 0)
                .with_context(|| format!("no {key:?}"))?;
            self.fragments.insert(key, seen - u64::from(seconds), 0)?;
        }
        self.questions(native, |words| {
            let (written, slots) = (words[0], &mut words[2..]);
            for slot in slots.iter_mut().filter(|slot| **slot != 0) {
                *slot = *slot & !0xff | slot.wrapping_sub(seconds) & 0xff;
            }
            words[0] = written - seconds;
        })?;
        self.change_openings(native, |set| {
            for word in set.words.iter_mut().filter(|word| **word != 0) {
                // The highest 29 bits are the time.
                *word -= u64::from(seconds) << 35;
            }
        })?;
        for key in native.tables.state.transfers.borrow().keys() {
            let mut state = self
                .transfers
                .get(key, 0)
                .with_context(|| format!("no {key:?}"))?;
            // The lowest bits are the time.
            state -= u64::from(seconds);
            self.transfers.insert(key, state, 0)?;
        }
        Ok(())
    }

    /// Compares what is noted, and forgets it.
    pub fn check_memory(&mut self, native: &Native<'_>) -> Result<()> {
        for (key, state) in native.tables.state.flows.borrow().iter() {
            let found = self.flows.get(key);
            let found = found.with_context(|| format!("no {key:?}"))?;
            let said = |state: FlowState| (state.phase(), state.acknowledged());
            let (found, expected) = (said(found), said(state.get()));
            ensure!(found == expected, "{key:?} is {found:?}, not {expected:?}");
            self.flows.remove(key)?;
        }
        for key in native.tables.state.fragments.borrow().keys() {
            self.fragments
                .remove(key)
                .with_context(|| format!("no {key:?}"))?;
        }
        for (key, state) in native.tables.state.transfers.borrow().iter() {
            let found = self
                .transfers
                .get(key, 0)
                .with_context(|| format!("no {key:?}"))?;
            // SAFETY: it is this word.
            let expected: u64 = unsafe { std::mem::transmute(*state) };
            // The lowest 30 bits are the time.
            ensure!(
                found >> 30 == expected >> 30,
                "{key:?} is {found:#x}, not {expected:#x}"
            );
            self.transfers.remove(key)?;
        }
        self.questions(native, |words| words.fill(0))?;
        self.check_openings(native)?;
        self.change_openings(native, |set| set.words.fill(0))?;
        let more = (
            self.flows.all(),
            keys(&self.fragments)?,
            keys(&self.transfers)?,
        );
        if !(more.0.is_empty() && more.1.is_empty() && more.2.is_empty()) {
            bail!("the kernel also knows {more:?}");
        }
        Ok(())
    }

    /// Changes the buckets of all questions that were noted.
    fn questions(&mut self, native: &Native<'_>, mut change: impl FnMut(&mut Words)) -> Result<()> {
        let keys = native.tables.state.questions.borrow();
        let buckets: BTreeSet<u32> = keys.keys().map(|key| key.place(self.secret).0).collect();
        for bucket in buckets {
            let mut words = self.questions.get(&bucket, 0)?;
            change(&mut words);
            self.questions.set(bucket, words, 0)?;
        }
        Ok(())
    }

    /// Compares the ports that are open because they were handed out.
    fn check_openings(&self, native: &Native<'_>) -> Result<()> {
        let state = &native.tables.state;
        let timeouts = &native.tables.policy.timeouts;
        let known = state.openings.borrow();
        let alive = known.iter().filter_map(|(key, (opening, how, _))| {
            let is_alive = opening.is_alive(timeouts, state.now.get());
            is_alive.then_some((*key, (opening.is_used(), Some(*how))))
        });
        let expected: std::collections::HashMap<_, _> = alive.collect();
        // What only a shadow has opened, this process knows nothing of.
        let found = self.openings.read()?.into_iter();
        let found = found.filter(|one| !one.of_candidate);
        let found = found.map(|one| (key_of(&one), (one.opening.used.is_some(), one.opening.how)));
        let found: std::collections::HashMap<_, _> = found.collect();
        ensure!(
            found == expected,
            "openings are {found:?}, not {expected:?}"
        );
        Ok(())
    }

    /// Changes the sets of all openings that were noted, also of those that only a shadow knows.
    fn change_openings(
        &mut self,
        native: &Native<'_>,
        mut change: impl FnMut(&mut Set),
    ) -> Result<()> {
        let keys = native.tables.state.openings.borrow();
        let found: Vec<OpeningKey> = self.openings.read()?.iter().map(key_of).collect();
        let keys = keys.keys().chain(&found);
        let sets: BTreeSet<u32> = keys.map(|key| key.place(self.secret).0).collect();
        for number in sets {
            let mut set = self.opening_sets.get(&number, 0)?;
            change(&mut set);
            self.opening_sets.set(number, set, 0)?;
        }
        Ok(())
    }

    /// Forgets everything, after a difference.
    pub fn forget(&mut self) -> Result<()> {
        // Told or not, the next case begins with what is.
        let _ = self.check_counters();
        self.flows
            .all()
            .iter()
            .try_for_each(|(key, _)| self.flows.remove(key))?;
        keys(&self.fragments)?
            .iter()
            .try_for_each(|key| self.fragments.remove(key))?;
        keys(&self.transfers)?
            .iter()
            .try_for_each(|key| self.transfers.remove(key))?;
        for bucket in 0..BUCKETS {
            self.questions.set(bucket, [0; size_of::<Words>() / 4], 0)?;
        }
        for number in 0..SETS {
            let mut set = self.opening_sets.get(&number, 0)?;
            set.words.fill(0);
            self.opening_sets.set(number, set, 0)?;
        }
        Ok(())
    }

    fn of(&mut self, spot: Spot) -> Result<&mut Programs> {
        let mut programs = self.programs.iter_mut();
        let found = programs.find(|(at, _)| *at == spot);
        Ok(&mut found.context("a program for each spot")?.1)
    }
}

fn key_of(one: &HandedOut) -> OpeningKey {
    let opening = &one.opening;
    let ((family, client), (_, server)) = (address_of(opening.client), address_of(opening.server));
    let key = OpeningKey::new(family, client, server, opening.port);
    match one.of_candidate {
        true => key.of_candidate(),
        false => key,
    }
}

/// Of the sum of its bytes: the same in every run of a case.
fn is_odd(frame: &[u8]) -> bool {
    frame
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
        % 2
        == 1
}

fn keys<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>) -> Result<Vec<K>> {
    Ok(map.keys().collect::<Result<_, _>>()?)
}

fn open<T: TryFrom<Map, Error = MapError>>(pins: &PinDir, name: &str) -> Result<T> {
    let data = MapData::from_pin(pins.map(name))?;
    Ok(T::try_from(Map::from_map_data(data)?)?)
}
