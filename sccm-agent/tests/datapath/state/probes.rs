//! Probes in the kernel: how many pass, and what their answers bring about.

use std::time::Instant;

use anyhow::Result;
use sccm_agent::policy::{Outbound, Surroundings};
use sccm_common::Place;
use sccm_common::Reason::{NotAllowed, Outbound as Left, Probe};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;
use sccm_tests::processor::OneProcessor;

use super::{FAMILIES, Fate, Pair, pxe};

/// Probes of one peer, and of all, that may pass in a second on one processor.
const OF_PEER: u64 = 4;
const OF_ALL: u64 = 64;

fn gateway(place: Place, until: u32) -> Result<Datapath> {
    let mut datapath = Datapath::load_at(place)?;
    datapath.publish(&Settings {
        machine: Surroundings::gateway(&["192.0.2.1".parse()?, "2001:db8::1".parse()?]),
        probes_until: until,
        ..pxe(Outbound::Track)
    })?;
    Ok(datapath)
}

fn data(pair: Pair) -> Packet {
    pair.back().tcp(1433, 40000).ack().payload(100)
}

/// How many packets have ended as probes since this was last asked, and how many were refused.
fn ended(kernel: &mut Datapath) -> Result<(u64, u64)> {
    let counted = kernel.newly_counted()?.0;
    let of = |reason| {
        let counted = counted.iter().filter(|(place, _)| place.reason == reason);
        counted.map(|(_, count)| count.packets).sum()
    };
    Ok((of(Probe), of(NotAllowed)))
}

/// Seconds of the clock in which something happened; the first and the last are cut short.
fn seconds_since(begun: Instant) -> u64 {
    begun.elapsed().as_secs() + 2
}

#[test]
fn a_stream_that_is_under_way_is_found() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = gateway(Place::Uplink, u32::MAX)?;
        assert_eq!(kernel.arrives(&data(pair))?, Probe);
        let syn = pair.back().tcp(1433, 40000).syn();
        assert_eq!(kernel.arrives(&syn)?, NotAllowed);
        assert_eq!(kernel.flows()?, 0);

        // The answer leaves by way of the segment, over the same tables.
        let mut kernel = gateway(Place::Segment, u32::MAX)?;
        let reset = pair.out().tcp(40000, 1433).rst();
        assert_eq!(kernel.arrives(&reset)?, Left);
        assert_eq!(kernel.flows()?, 0);
        let answer = pair.out().tcp(40000, 1433).ack();
        assert_eq!(kernel.arrives(&answer)?, Left);
        assert_eq!(kernel.flows()?, 1);
    }
    Ok(())
}

#[test]
fn few_pass_and_all_are_counted() -> Result<()> {
    let _one = OneProcessor::stay()?;
    for pair in FAMILIES {
        let mut kernel = gateway(Place::Uplink, u32::MAX)?;
        let (frame, begun) = (data(pair).build(), Instant::now());
        for _ in 0..10_000 {
            kernel.run_inbound(&frame)?;
        }
        let (passed, dropped) = ended(&mut kernel)?;
        let seconds = seconds_since(begun);
        assert_eq!(passed + dropped, 10_000);
        assert!((1..=OF_PEER * seconds).contains(&passed), "{passed}");
    }
    Ok(())
}

#[test]
fn many_peers_together_get_no_more() -> Result<()> {
    let _one = OneProcessor::stay()?;
    let mut kernel = gateway(Place::Uplink, u32::MAX)?;
    let begun = Instant::now();
    for last in 0..4_000_u16 {
        let [high, low] = last.to_be_bytes();
        let peer = format!("198.51.{high}.{low}");
        let frame = Packet::ip(&peer, FAMILIES[0].protected).tcp(1433, 40000);
        kernel.run_inbound(&frame.ack().payload(100).build())?;
    }
    let (passed, dropped) = ended(&mut kernel)?;
    let seconds = seconds_since(begun);
    assert_eq!(passed + dropped, 4_000);
    assert!((OF_ALL..=OF_ALL * seconds).contains(&passed), "{passed}");
    assert_eq!(kernel.flows()?, 0);
    Ok(())
}
