use super::*;
use crate::address::Family;
use crate::packet::Protocol;
use loom::sync::Arc;
use loom::thread;
use std::collections::HashSet;
use std::vec::Vec;

const NOW: u32 = 1_000_000;

const HASH: Hash = Hash {
    sets: 32_768,
    keys: [
        0x5851_f42d_4c95_7f2d,
        0x1405_7b7e_f767_814f,
        0x2545_f491_4f6c_dd1d,
        0xda3e_39cb_94b9_5bdb,
        0x9fb2_1c65_1e98_df25,
        0xcb24_d0a5_c88c_35b3,
    ],
};

fn key(local: u64, peer: u64, port: u16) -> FlowKey {
    let address = |low| Address { high: 0, low };
    let (local, peer) = (address(local), address(peer));
    FlowKey::new(Family::V4, local, peer, (port, 80), Protocol::TCP)
}

fn open(seen: u32) -> FlowState {
    FlowState::new(Phase::Open, seen)
}

/// All flows are still missed that are not closed.
fn lives(state: FlowState, protocol: u8) -> bool {
    assert_eq!(Protocol(protocol), Protocol::TCP);
    state.phase() != Phase::Closed
}

fn empty() -> Vec<AtomicU64> {
    (0..WORDS).map(|_| AtomicU64::new(0)).collect()
}

fn add_to(set: &[AtomicU64], key: FlowKey, state: FlowState) -> Added {
    add(set, HASH.seat(&key), || key, state, lives)
}

fn state_in(set: &[AtomicU64], key: FlowKey) -> Option<FlowState> {
    let found = find(set, HASH.seat(&key), || key)?;
    assert_eq!(flow_at(set, found.way), Some((key, found.state)));
    Some(found.state)
}

#[test]
fn a_flow_is_found_by_its_whole_key_and_nothing_else() {
    let set = &*empty();
    let own = key(1, 2, 40_000);
    assert_eq!(state_in(set, own), None);
    assert_eq!(add_to(set, own, open(NOW)), Added::Fresh);
    assert_eq!(state_in(set, own), Some(open(NOW)));
    let (local, peer) = (own.local, own.peer);
    for other in [
        key(2, 1, 40_000),
        key(1, 3, 40_000),
        key(1, 2, 40_001),
        FlowKey::new(Family::V6, local, peer, (40_000, 80), Protocol::TCP),
        FlowKey::new(Family::V4, local, peer, (40_000, 80), Protocol::UDP),
    ] {
        assert_eq!(state_in(set, other), None, "{other:?}");
    }
    // A SYN that comes again begins anew.
    assert_eq!(add_to(set, own, open(NOW + 1)), Added::Known);
    assert_eq!(state_in(set, own), Some(open(NOW + 1)));
    assert!(forget(set, HASH.seat(&own), &own));
    assert!(!forget(set, HASH.seat(&own), &own));
    assert_eq!(state_in(set, own), None);
}

#[test]
fn the_quietest_makes_way_and_one_that_is_closed_before_it() {
    let set = &*empty();
    let flow = |number: u64| key(number, 2, 40_000);
    for number in 0..WAYS as u64 {
        let seen = NOW + number as u32;
        assert_eq!(add_to(set, flow(number), open(seen)), Added::Fresh);
    }
    assert_eq!(add_to(set, flow(100), open(NOW + 100)), Added::Evicted);
    assert_eq!(state_in(set, flow(0)), None);
    let closed = FlowState::new(Phase::Closed, NOW + 200);
    assert_eq!(add_to(set, flow(5), closed), Added::Known);
    assert_eq!(add_to(set, flow(101), open(NOW + 101)), Added::Fresh);
    let left = (1..WAYS as u64).filter(|number| *number != 5);
    for number in left.chain([100, 101]) {
        assert!(state_in(set, flow(number)).is_some(), "{number}");
    }
}

#[test]
fn of_two_flows_that_look_alike_one_makes_way() {
    let set = &*empty();
    let (one, other) = (key(1, 2, 3), key(4, 2, 3));
    let seat = HASH.seat(&one);
    assert_eq!(add(set, seat, || one, open(NOW), lives), Added::Fresh);
    assert_eq!(add(set, seat, || other, open(NOW), lives), Added::Evicted);
    assert!(find(set, seat, || one).is_none() && find(set, seat, || other).is_some());
}

#[test]
fn where_others_write_nothing_is_added() {
    let set = &*empty();
    for way in 0..WAYS {
        set[ENDS + way].store(CLAIMED, Ordering::Relaxed);
    }
    assert_eq!(add_to(set, key(1, 2, 3), open(NOW)), Added::Missed);
    assert!((0..WAYS).all(|way| flow_at(set, way).is_none()));
}

#[test]
fn flows_spread_over_all_sets_by_a_key_that_nobody_knows() {
    let mut full = std::vec![0_usize; HASH.sets as usize];
    let capacity = capacity(HASH.sets as u32);
    // One system that opens all its ports, and many that open the same one.
    let of_one = (0..capacity / 2).map(|number| key(1, 2 + u64::from(number >> 16), number as u16));
    let of_many = (0..capacity / 2).map(|number| key(u64::from(number) << 8, 2, 50_000));
    for flow in of_one.chain(of_many) {
        full[HASH.seat(&flow).set as usize] += 1;
    }
    let beyond: usize = full.iter().map(|flows| flows.saturating_sub(WAYS)).sum();
    // Of 131,072 flows that were thrown at random, 1,060 are expected to find their set full.
    assert!((900..1_250).contains(&beyond), "{beyond}");

    let other = Hash {
        keys: HASH.keys.map(|key| key ^ 0x0123_4567_89ab_cdef),
        ..HASH
    };
    let crowd: Vec<_> = (0..1_000_000_u32)
        .map(|number| key(1, u64::from(number), 40_000))
        .filter(|flow| HASH.seat(flow).set == 7)
        .collect();
    let elsewhere: HashSet<_> = crowd.iter().map(|flow| other.seat(flow).set).collect();
    assert!(crowd.len() > 10 && elsewhere.len() > crowd.len() - 2);
}

#[test]
fn the_table_has_twice_the_places_that_were_asked_for() {
    for (flows, expected) in [
        (1, 1),
        (4, 1),
        (5, 2),
        (131_072, 32_768),
        (1 << 24, 1 << 22),
    ] {
        assert_eq!(sets(flows), expected);
        assert!(capacity(expected) >= flows);
    }
}

/// A set of which loom decides in what order threads see it.
struct Modelled([loom::sync::atomic::AtomicU64; WORDS]);

impl Modelled {
    /// The first flow is quiet, and lives in the first way; the others have just spoken.
    fn with(first: FlowKey) -> Arc<Self> {
        let set = empty();
        assert_eq!(add_to(&set, first, open(NOW)), Added::Fresh);
        for other in 1..WAYS as u64 {
            let other = key(1_000 + other, 2, 1);
            assert_eq!(add_to(&set, other, open(NOW + 50)), Added::Fresh);
        }
        let words = |at: usize| loom::sync::atomic::AtomicU64::new(set[at].load(Ordering::Relaxed));
        Arc::new(Self(std::array::from_fn(words)))
    }
}

impl Words for Modelled {
    fn load(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, word: u64) {
        // Loom leaves open which of a plain write and an exchange was first; no processor does.
        self.0[at].swap(word, Ordering::Release);
    }

    fn exchange(&self, at: usize, before: u64, after: u64) -> bool {
        self.0[at]
            .compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

fn in_all_orders(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// While one flow takes the place of another, nobody finds a third that has addresses of both, not
/// even one whose ports and hash are those of either.
#[test]
fn halves_of_two_flows_are_never_taken_for_one() {
    in_all_orders(|| {
        let (old, new) = (key(1, 2, 40_000), key(3, 4, 40_001));
        let set = Modelled::with(old);
        let writer = {
            let set = Arc::clone(&set);
            thread::spawn(move || add(&*set, HASH.seat(&new), || new, open(NOW + 100), lives))
        };
        for seat in [HASH.seat(&old), HASH.seat(&new)] {
            for (local, peer) in [(old.local, new.peer), (new.local, old.peer)] {
                let mixed = FlowKey { local, peer, ..old };
                assert_eq!(find(&*set, seat, || mixed), None);
            }
        }
        assert_eq!(writer.join().unwrap(), Added::Evicted);
        assert_eq!(find(&*set, HASH.seat(&new), || new).unwrap().way, 0);
    });
}

/// Whoever has found a flow and writes its state, writes none of the flow that took its place.
#[test]
fn a_late_state_is_not_given_to_another_flow() {
    in_all_orders(|| {
        let (old, new) = (key(1, 2, 40_000), key(3, 4, 40_001));
        let set = Modelled::with(old);
        let writer = {
            let set = Arc::clone(&set);
            thread::spawn(move || add(&*set, HASH.seat(&new), || new, open(NOW + 100), lives))
        };
        if let Some(Found { way, state }) = find(&*set, HASH.seat(&old), || old) {
            assert_eq!(state, open(NOW));
            set.exchange(way, state.0, FlowState::new(Phase::Closed, NOW + 60).0);
        }
        writer.join().unwrap();
        assert_eq!(flow_at(&*set, 0), Some((new, open(NOW + 100))));
    });
}

/// Two processors that add the same flow at once find it, whether they have written it once or twice.
#[test]
fn a_flow_that_two_add_at_once_is_found() {
    in_all_orders(|| {
        let set = Modelled::with(key(1, 2, 40_000));
        let new = key(3, 4, 40_001);
        let one = {
            let set = Arc::clone(&set);
            thread::spawn(move || add(&*set, HASH.seat(&new), || new, open(NOW + 100), lives))
        };
        let two = add(&*set, HASH.seat(&new), || new, open(NOW + 100), lives);
        let added = [one.join().unwrap(), two];
        let found = find(&*set, HASH.seat(&new), || new).unwrap();
        assert_eq!(flow_at(&*set, found.way), Some((new, open(NOW + 100))));
        assert!(added.contains(&Added::Evicted));
    });
}

/// Two processors that add flows to the same set at once leave whole flows behind.
#[test]
fn two_that_write_at_once_leave_whole_flows() {
    in_all_orders(|| {
        let set = Modelled::with(key(1, 2, 40_000));
        let added = [key(3, 4, 40_001), key(5, 6, 40_002)];
        let one = {
            let set = Arc::clone(&set);
            thread::spawn(move || {
                add(
                    &*set,
                    HASH.seat(&added[0]),
                    || added[0],
                    open(NOW + 100),
                    lives,
                )
            })
        };
        let two = add(
            &*set,
            HASH.seat(&added[1]),
            || added[1],
            open(NOW + 100),
            lives,
        );
        let one = one.join().unwrap();
        for (added, key) in [(one, added[0]), (two, added[1])] {
            match find(&*set, HASH.seat(&key), || key) {
                Some(Found { way, state }) => {
                    assert_eq!(flow_at(&*set, way), Some((key, state)));
                    assert_eq!(state, open(NOW + 100));
                }
                None => assert_eq!(added, Added::Missed),
            }
        }
        assert!((0..WAYS).all(|way| flow_at(&*set, way).is_some()));
    });
}
