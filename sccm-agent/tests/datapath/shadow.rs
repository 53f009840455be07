//! A candidate beside the active policy, in the real programs: what passes, what is counted and
//! what is remembered stays the same, and exactly what differs is counted and noted.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::blocked::{BURST, SETS, WAYS, mark};
use sccm_common::counter::{Counter, Direction};
use sccm_common::{Place as Standing, Reason};
use sccm_tests::datapath::{Counts, Datapath, INTERFACE, Judged, Place, Settings, link_header};
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

/// A row of the shadow's table: family, marks, port, reason, packets.
type Row = (u8, u8, u16, Reason, u64);

fn noted(kernel: &Datapath) -> Result<Vec<Row>> {
    let flows = kernel.shadow_flows()?.into_iter();
    let mut rows: Vec<Row> = flows
        .map(|flow| {
            let key = flow.key;
            assert_eq!(key.slot, 1);
            let reason = Reason::from_number(key.reason).expect("a reason");
            (key.family, key.marks, key.port, reason, flow.packets)
        })
        .collect();
    rows.sort_unstable();
    Ok(rows)
}

/// The rows of both families, if `marks` tells which policy lets in 2222 in place of 21.
fn rows(stricter: u8, looser: u8) -> Vec<Row> {
    let of = |family| {
        [
            (family, stricter, 21, Reason::NotAllowed, 2),
            (family, looser, 2222, Reason::NotAllowed, 1),
            (
                family,
                stricter | mark::OUTBOUND,
                6000,
                Reason::OutboundNotAllowed,
                2,
            ),
        ]
    };
    let mut rows: Vec<Row> = (0..2).flat_map(of).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn whose_traffic_would_change_is_noted_until_another_candidate() -> Result<()> {
    let mut kernel = with_policy(&active())?;
    run(&mut kernel)?;
    assert_eq!(noted(&kernel)?, []);
    kernel.shadow(&candidate())?;
    run(&mut kernel)?;
    assert_eq!(noted(&kernel)?, rows(0, mark::WOULD_PASS));
    assert!(
        kernel
            .shadow_flows()?
            .iter()
            .all(|flow| flow.bytes >= 54 * flow.packets)
    );
    // What is refused is noted there as ever.
    let refused = kernel.blocked()?;
    assert!(
        refused
            .iter()
            .all(|flow| flow.key.marks & mark::WOULD_PASS == 0)
    );
    assert_eq!(refused.len(), PAIRS.len() * 2 + 1);

    // The same candidate goes on, as for new addresses of the machine; another begins anew.
    kernel.shadow(&candidate())?;
    assert_eq!(noted(&kernel)?, rows(0, mark::WOULD_PASS));
    kernel.end_shadow()?;
    run(&mut kernel)?;
    assert_eq!(noted(&kernel)?, rows(0, mark::WOULD_PASS));
    kernel.shadow(&active())?;
    assert_eq!(noted(&kernel)?, []);

    let mut kernel = with_policy(&candidate())?;
    kernel.shadow(&active())?;
    run(&mut kernel)?;
    assert_eq!(noted(&kernel)?, rows(mark::WOULD_PASS, 0));
    Ok(())
}

#[test]
fn what_is_only_observed_is_noted_as_such_and_what_is_only_counted_is_not() -> Result<()> {
    let mut kernel = with_policy(&Settings {
        observe: true,
        ..active()
    })?;
    kernel.shadow(&candidate())?;
    run(&mut kernel)?;
    let observed = mark::OBSERVED;
    assert_eq!(noted(&kernel)?, rows(observed, observed | mark::WOULD_PASS));

    let mut kernel = with_policy(&Settings {
        count_only: true,
        ..active()
    })?;
    kernel.shadow(&candidate())?;
    run(&mut kernel)?;
    assert_eq!(noted(&kernel)?, []);
    assert_ne!(kernel.shadow_counts()?, Counts::default());
    Ok(())
}

#[test]
fn frames_without_an_ip_packet_are_noted_at_every_place() -> Result<()> {
    let arp = Packet::arp_request("198.51.100.7", "192.0.2.10").build();
    let unknown = Packet::ethertype(0x88b5).payload(46).build();
    let stricter = Settings {
        without: vec![Reason::Arp],
        ..active()
    };
    let looser = Settings {
        pass_other_ethertypes: true,
        ..active()
    };
    for (place, outbound) in [
        (Standing::Host, 0),
        (Standing::Uplink, 0),
        (Standing::Segment, mark::OUTBOUND),
    ] {
        for (candidate, frame, marks, reason) in [
            (&stricter, &arp, 0, Reason::EssentialRemoved),
            (
                &looser,
                &unknown,
                mark::WOULD_PASS,
                Reason::EthertypeRefused,
            ),
        ] {
            let mut kernel = Datapath::load_at(place)?;
            kernel.publish(&active())?;
            kernel.shadow(candidate)?;
            kernel.run_inbound(frame)?;
            let [flow] = kernel.shadow_flows()?[..] else {
                panic!("{place:?} {reason:?}: {:?}", kernel.shadow_flows()?);
            };
            assert_eq!(flow.key.marks, mark::LINK | outbound | marks, "{place:?}");
            assert_eq!(flow.key.reason, reason as u8);
            assert_eq!(flow.key.link(), Some(link_header(frame)));
            assert_eq!((flow.packets, flow.bytes), (1, frame.len() as u64));
        }
    }
    Ok(())
}

#[test]
fn what_leaves_into_a_segment_is_noted_with_what_comes_in() -> Result<()> {
    for (family, (protected, peer)) in (0..).zip(PAIRS) {
        let mut kernel = Datapath::load_at(Standing::Segment)?;
        kernel.publish(&active())?;
        kernel.shadow(&candidate())?;
        for port in [21, 2222, 80] {
            kernel.judge_passing(&Packet::ip(peer, protected).tcp(1, port).syn().build())?;
        }
        let outbound = Packet::ip(protected, peer).tcp(5, 6000).syn().build();
        kernel.judge_inbound(&outbound)?;
        let expected = [
            (family, 0, 21, Reason::NotAllowed, 1),
            (family, mark::OUTBOUND, 6000, Reason::OutboundNotAllowed, 1),
            (family, mark::WOULD_PASS, 2222, Reason::NotAllowed, 1),
        ];
        assert_eq!(noted(&kernel)?, expected);
    }
    Ok(())
}

#[test]
fn a_flood_of_sources_is_bounded_in_the_shadows_table() -> Result<()> {
    const SOURCES: u32 = 20_000;
    let mut kernel = with_policy(&active())?;
    kernel.shadow(&candidate())?;
    let (protected, peer) = PAIRS[0];
    let mut frame = Packet::ip(peer, protected).tcp(50000, 21).syn().build();
    for source in 0..SOURCES {
        frame[26..30].copy_from_slice(&(0x0a00_0000 + source).to_be_bytes());
        assert!(kernel.run_inbound(&frame)?.passes());
    }
    let (flows, suppressed) = (kernel.shadow_flows()?.len(), kernel.shadow_suppressed()?);
    assert!(
        flows as u32 >= BURST / 2 && flows <= SETS as usize * WAYS,
        "{flows}"
    );
    assert!(suppressed > 0 && flows as u64 + suppressed <= u64::from(SOURCES));
    // The counters count all, and nothing is suppressed among the refused.
    let counted: u64 = kernel
        .shadow_counts()?
        .0
        .values()
        .map(|one| one.packets)
        .sum();
    assert_eq!(counted, u64::from(SOURCES));
    assert_eq!(kernel.unnoted(Reason::NotAllowed)?.suppressed, 0);
    kernel.shadow(&active())?;
    assert_eq!(
        (kernel.shadow_flows()?.len(), kernel.shadow_suppressed()?),
        (0, 0)
    );
    Ok(())
}
