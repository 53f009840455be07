//! Ports that another gateway's mapper has handed out, in the kernel's table.

use anyhow::{Result, ensure};
use sccm_agent::kernel::{KnownOpening, Merged, OpeningTable, merge_openings};
use sccm_common::Reason::{RpcNotNamed, Service};
use sccm_common::opening::SLOTS;
use sccm_common::policy::Timeouts;
use sccm_common::rpc::{How, Uuid};
use sccm_tests::datapath::Datapath;

use super::rpc::tracked;
use super::{FAMILIES, Fate as _, Pair, datapath};

const PORT: u16 = 49_700;

fn opening(pair: Pair, port: u16) -> Result<KnownOpening> {
    Ok(KnownOpening {
        client: pair.peer.parse()?,
        server: pair.protected.parse()?,
        port,
        interface: Uuid(7),
        how: Some(How::Map),
        by_agent: false,
        age: 30,
        used: None,
    })
}

/// Merges one, and says what became of it: added, updated, known, expired, without room.
fn merge(kernel: &Datapath, one: KnownOpening) -> Result<[u64; 5]> {
    let Merged {
        added,
        updated,
        known,
        expired,
        no_room,
    } = merge_openings(kernel.pins(), &[one])?;
    Ok([added, updated, known, expired, no_room])
}

fn read(kernel: &Datapath) -> Result<Vec<KnownOpening>> {
    let all = OpeningTable::open(kernel.pins())?.read()?;
    Ok(all.into_iter().map(|one| one.opening).collect())
}

const ADDED: [u64; 5] = [1, 0, 0, 0, 0];
const UPDATED: [u64; 5] = [0, 1, 0, 0, 0];
const KNOWN: [u64; 5] = [0, 0, 1, 0, 0];
const EXPIRED: [u64; 5] = [0, 0, 0, 1, 0];
const NO_ROOM: [u64; 5] = [0, 0, 0, 0, 1];

#[test]
fn what_was_handed_out_elsewhere_is_open_to_that_client_alone() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&tracked())?;
        let syn = |port| pair.back().tcp(41_000, port).syn();
        assert_eq!(kernel.arrives(&syn(PORT))?, RpcNotNamed);
        let other = if pair.is_v6() {
            "2001:db8:a::8"
        } else {
            "198.51.100.8"
        };
        let theirs = KnownOpening {
            client: other.parse()?,
            ..opening(pair, PORT)?
        };
        assert_eq!(merge(&kernel, theirs)?, ADDED);
        assert_eq!(kernel.arrives(&syn(PORT))?, RpcNotNamed);
        assert_eq!(merge(&kernel, opening(pair, PORT)?)?, ADDED);
        assert_eq!(kernel.arrives(&syn(PORT))?, Service);
        assert_eq!(kernel.arrives(&syn(PORT + 1))?, RpcNotNamed);
    }
    Ok(())
}

#[test]
fn whoever_heard_of_it_later_is_right() -> Result<()> {
    for pair in FAMILIES {
        let kernel = datapath(&tracked())?;
        let one = opening(pair, PORT)?;
        let used = |used| KnownOpening {
            used: Some(used),
            ..one
        };
        let unused = |age| KnownOpening { age, ..one };
        assert_eq!(merge(&kernel, one)?, ADDED);
        assert_eq!(merge(&kernel, unused(60))?, KNOWN);
        assert_eq!(merge(&kernel, unused(10))?, UPDATED);
        assert_eq!(merge(&kernel, used(20))?, UPDATED);
        assert_eq!(merge(&kernel, used(25))?, KNOWN);
        // It has been used there, and is not forgotten for an answer that nobody has used yet.
        assert_eq!(merge(&kernel, unused(0))?, KNOWN);
        let [read] = read(&kernel)?[..] else {
            panic!("one opening")
        };
        let seconds = read.used.unwrap_or_default();
        ensure!((20..=25).contains(&seconds) && read.age >= 30, "{read:?}");
        let expected = KnownOpening {
            age: read.age,
            used: read.used,
            ..one
        };
        assert_eq!(read, expected);
    }
    Ok(())
}

#[test]
fn what_has_ended_opens_nothing() -> Result<()> {
    let timeouts = Timeouts::DEFAULT;
    let [unused, used] = [timeouts.rpc_unused, timeouts.rpc_used].map(u64::from);
    for pair in FAMILIES {
        let kernel = datapath(&tracked())?;
        let one = opening(pair, PORT)?;
        for (age, used) in [
            (unused + 1, None),
            (u64::MAX, None),
            (u64::MAX, Some(used + 1)),
            (0, Some(u64::MAX)),
        ] {
            let ended = KnownOpening { age, used, ..one };
            assert_eq!(merge(&kernel, ended)?, EXPIRED, "{ended:?}");
        }
        assert_eq!(read(&kernel)?, []);
        let old = KnownOpening {
            age: u64::MAX,
            used: Some(used - 60),
            ..one
        };
        assert_eq!(merge(&kernel, old)?, ADDED);
    }
    Ok(())
}

#[test]
fn no_port_that_is_open_here_makes_way() -> Result<()> {
    for pair in FAMILIES {
        let kernel = datapath(&tracked())?;
        let ports = PORT..PORT + SLOTS as u16;
        for port in ports.clone() {
            assert_eq!(merge(&kernel, opening(pair, port)?)?, ADDED);
        }
        let further = KnownOpening {
            age: 0,
            ..opening(pair, ports.end)?
        };
        assert_eq!(merge(&kernel, further)?, NO_ROOM);
        assert!(read(&kernel)?.into_iter().map(|one| one.port).eq(ports));
    }
    Ok(())
}
