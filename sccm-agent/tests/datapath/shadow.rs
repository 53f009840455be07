//! A candidate beside the active policy, in the real programs: what passes, what is counted and
//! what is remembered stays the same, and exactly what differs is counted.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason;
use sccm_common::counter::{Counter, Direction};
use sccm_tests::datapath::{Counts, Datapath, INTERFACE, Judged, Place, Settings};
use sccm_tests::packet::Packet;

/// A protected system and a peer, in both families.
const PAIRS: [(&str, &str); 2] = [
    ("192.0.2.10", "198.51.100.7"),
    ("2001:db8::10", "2001:db8:a::7"),
];

fn active() -> Settings {
    Settings {
        allow: vec!["tcp/21", "tcp/80", "udp/69"],
        ..Settings::roles(&["distribution-point"])
    }
}

/// Lets in 2222 in place of 21, and out nothing but what the role needs.
fn candidate() -> Settings {
    Settings {
        allow: vec!["tcp/2222", "tcp/80", "udp/69"],
        outbound: Outbound::Enforce,
        ..Settings::roles(&["distribution-point"])
    }
}

/// Which way a frame goes, its bytes, and where the shadow counts it, if the two differ.
type Case = (Direction, Vec<u8>, Option<(Reason, &'static str)>);

/// Frames of all kinds, and where the candidate counts each: in which direction, and why.
fn frames() -> Vec<Case> {
    use Direction::{Inbound, Outbound};
    use Reason::{NotAllowed, OutboundNotAllowed, Service};
    let mut frames = Vec::new();
    for (protected, peer) in PAIRS {
        let back = || Packet::ip(peer, protected);
        let out = || Packet::ip(protected, peer);
        for (direction, packet, differs) in [
            (Inbound, back().tcp(1, 80).syn(), None),
            (Inbound, back().tcp(1, 9).syn(), None),
            (
                Inbound,
                back().tcp(1, 21).syn(),
                Some((NotAllowed, "tcp none")),
            ),
            (
                Inbound,
                back().tcp(1, 21).ack().payload(9),
                Some((NotAllowed, "tcp none")),
            ),
            (
                Inbound,
                back().tcp(1, 2222).syn(),
                Some((Service, "tcp tcp/2222")),
            ),
            (
                Inbound,
                back().udp(40000, 69).data(*b"\x00\x01f\x00octet\x00"),
                None,
            ),
            (
                Outbound,
                out().udp(3000, 40000).data(*b"\x00\x03\x00\x01"),
                None,
            ),
            // Under both, the answers belong to what the protected system opened.
            (
                Outbound,
                out().tcp(5, 6000).syn(),
                Some((OutboundNotAllowed, "tcp none")),
            ),
            (Inbound, back().tcp(6000, 5).syn().ack(), None),
            (
                Outbound,
                out().tcp(5, 6000).ack(),
                Some((OutboundNotAllowed, "tcp none")),
            ),
            (Inbound, back().tcp(6000, 5).ack().rst(), None),
            (Outbound, out().tcp(80, 1).syn().ack(), None),
        ] {
            frames.push((direction, packet.build(), differs));
        }
    }
    // Without an IP packet that parses.
    let mut unparsed = frames[0].1.clone();
    unparsed[14] = 0x4f;
    frames.push((Inbound, unparsed, None));
    frames
}

fn judge(kernel: &mut Datapath, direction: Direction, frame: &[u8]) -> Result<Judged> {
    match direction {
        Direction::Inbound => kernel.judge_inbound(frame),
        Direction::Outbound => kernel.judge_outbound(frame),
    }
}

/// What a policy says of all frames, and what is remembered then. That one counter rises for each,
/// and which, is in the verdict.
fn run(kernel: &mut Datapath) -> Result<(Vec<Judged>, Vec<String>, usize)> {
    let mut judged = Vec::new();
    for (direction, frame, _) in frames() {
        judged.push(judge(kernel, direction, &frame)?);
    }
    Ok((judged, kernel.flow_phases()?, kernel.transfers()?))
}

fn expected() -> Counts {
    let mut counts = Counts::default();
    for (direction, frame, differs) in frames() {
        if let Some((reason, service)) = differs {
            let place = Place {
                interface: INTERFACE.to_owned(),
                direction,
                observing: false,
                reason,
                service: Some(service.to_owned()),
                peer: None,
            };
            let bytes = frame.len() as u64;
            counts.add(place, Counter { packets: 1, bytes });
        }
    }
    counts
}

fn with_policy(settings: &Settings) -> Result<Datapath> {
    let mut kernel = Datapath::load()?;
    kernel.publish(settings)?;
    Ok(kernel)
}

#[test]
fn a_shadow_changes_nothing_and_counts_the_differences() -> Result<()> {
    let alone = run(&mut with_policy(&active())?)?;
    assert!(alone.1.len() >= 2 && alone.2 >= 2, "{alone:?}");
    assert!(alone.0.iter().any(|judged| !judged.action.passes()));

    let mut kernel = with_policy(&active())?;
    kernel.shadow(&candidate())?;
    assert_eq!(run(&mut kernel)?, alone);
    assert_eq!(kernel.shadow_counts()?, expected());

    // Its counters stay when it ends, and nothing is added to them.
    kernel.end_shadow()?;
    run(&mut kernel)?;
    assert_eq!(kernel.shadow_counts()?, expected());
    kernel.shadow(&active())?;
    run(&mut kernel)?;
    assert_eq!(kernel.shadow_counts()?, Counts::default());
    Ok(())
}

#[test]
fn the_other_way_about_reasons_are_the_candidates() -> Result<()> {
    let alone = run(&mut with_policy(&candidate())?)?;
    let mut kernel = with_policy(&candidate())?;
    kernel.shadow(&active())?;
    assert_eq!(run(&mut kernel)?, alone);
    let counts = kernel.shadow_counts()?;
    let sum = |reason, direction| -> u64 {
        let counts = counts.0.iter();
        let found =
            counts.filter(|(place, _)| (place.reason, place.direction) == (reason, direction));
        found.map(|(_, count)| count.packets).sum()
    };
    let families = PAIRS.len() as u64;
    assert_eq!(sum(Reason::Service, Direction::Inbound), 2 * families);
    assert_eq!(sum(Reason::NotAllowed, Direction::Inbound), families);
    assert_eq!(sum(Reason::Outbound, Direction::Outbound), 2 * families);
    assert_eq!(
        counts.0.values().map(|count| count.packets).sum::<u64>(),
        5 * families
    );
    Ok(())
}

#[test]
fn what_is_only_observed_differs_as_if_it_were_carried_out() -> Result<()> {
    let observe = true;
    let mut kernel = with_policy(&Settings {
        observe,
        ..active()
    })?;
    kernel.shadow(&Settings {
        observe,
        ..candidate()
    })?;
    let (judged, ..) = run(&mut kernel)?;
    assert!(judged.iter().all(|judged| judged.action.passes()));
    assert_eq!(kernel.shadow_counts()?, expected());
    Ok(())
}

#[test]
fn a_shadow_outlives_a_publication() -> Result<()> {
    let mut kernel = with_policy(&candidate())?;
    kernel.shadow(&candidate())?;
    run(&mut kernel)?;
    assert_eq!(kernel.shadow_counts()?, Counts::default());
    for _ in 0..2 {
        kernel.publish(&active())?;
    }
    run(&mut kernel)?;
    assert_ne!(kernel.shadow_counts()?, Counts::default());
    Ok(())
}
