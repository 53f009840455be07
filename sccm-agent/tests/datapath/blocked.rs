//! Blocked flows: what is refused lands in the table with exact numbers; what passes leaves no
//! trace there.

use anyhow::Result;
use sccm_agent::kernel::Clock;
use sccm_agent::policy::Outbound;
use sccm_common::blocked::{BURST, mark};
use sccm_common::{Place, Reason};
use sccm_tests::datapath::{Datapath, Settings, link_header};
use sccm_tests::packet::Packet;

const ROLES: [&str; 1] = ["distribution-point"];

/// From the peer, of both families.
fn arriving() -> [Packet; 2] {
    [
        Packet::ipv4("198.51.100.7", "192.0.2.10"),
        Packet::ipv6("2001:db8:ffff::7", "2001:db8::10"),
    ]
}

fn loaded(place: Place, settings: &Settings) -> Result<Datapath> {
    let mut kernel = Datapath::load_at(place)?;
    kernel.publish(settings)?;
    Ok(kernel)
}

#[test]
fn what_is_refused_is_noted_and_what_passes_is_not() -> Result<()> {
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let leaving = [
        Packet::ipv4("192.0.2.10", "198.51.100.7"),
        Packet::ipv6("2001:db8::10", "2001:db8:ffff::7"),
    ];
    for (family, packet) in (0_u8..).zip(arriving()) {
        let fast = packet.clone().tcp(50000, 445 + 3000).syn().build();
        let slow = packet.clone().icmp_echo_request(7).build();
        let other_echo = packet.clone().icmp_echo_request(8).build();
        for _ in 0..5 {
            assert!(!kernel.run_inbound(&fast)?.passes());
        }
        assert!(!kernel.run_inbound(&slow)?.passes());
        assert!(!kernel.run_inbound(&other_echo)?.passes());
        // Two tags take the long way.
        for packet in [packet.clone(), packet.vlan(20).vlan(30)] {
            let allowed = packet.tcp(50000, 80).syn().build();
            assert!(kernel.run_inbound(&allowed)?.passes());
        }
        let answer = leaving[usize::from(family)].clone().tcp(80, 50000);
        assert!(kernel.run_outbound(&answer.syn().ack().build())?.passes());

        let mut flows = kernel.blocked()?;
        flows.retain(|flow| flow.key.family == family);
        let told: Vec<_> = flows
            .iter()
            .map(|flow| (flow.key.port, flow.packets, flow.bytes))
            .collect();
        let echo_type = if family == 0 { 8 } else { 128 };
        let echo_bytes = (slow.len() + other_echo.len()) as u64;
        // Echoes with different identifiers are one flow.
        let expected = [(echo_type, 2, echo_bytes), (3445, 5, 5 * fast.len() as u64)];
        assert_eq!(told, expected);
        let clock = Clock::read()?;
        for flow in flows {
            assert_eq!(flow.key.reason, Reason::NotAllowed as u8);
            assert_eq!((flow.key.marks, flow.key.slot), (0, 1));
            assert!(flow.first <= flow.last);
            let age = clock.age(flow.last);
            assert!(age < 120, "{age} s ago: the clocks disagree");
        }
    }
    assert_eq!(kernel.unnoted(Reason::NotAllowed)?.suppressed, 0);
    Ok(())
}

#[test]
fn what_is_only_counted_is_not_noted() -> Result<()> {
    let counting = Settings {
        count_only: true,
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Host, &counting)?;
    let leaving = Packet::ipv4("192.0.2.10", "198.51.100.7");
    for packet in arriving() {
        // The fast path, and because of two tags the slow one.
        for packet in [packet.clone(), packet.vlan(20).vlan(30)] {
            let refused = packet.clone().tcp(50000, 3389).syn().build();
            assert!(!kernel.run_inbound(&refused)?.passes());
            let allowed = packet.tcp(50000, 80).syn().build();
            assert!(kernel.run_inbound(&allowed)?.passes());
        }
    }
    let refused = leaving.tcp(40000, 25).syn().build();
    assert!(!kernel.run_outbound(&refused)?.passes());

    let counts = kernel.newly_counted()?.0;
    let of = |reason| -> u64 {
        let of_reason = counts.iter().filter(|(place, _)| place.reason == reason);
        of_reason.map(|(_, count)| count.packets).sum()
    };
    assert_eq!(of(Reason::NotAllowed), 4);
    assert_eq!(of(Reason::OutboundNotAllowed), 1);
    assert_eq!(of(Reason::Service), 4);
    assert!(kernel.blocked()?.is_empty());
    assert_eq!(kernel.unnoted(Reason::NotAllowed)?.suppressed, 0);
    Ok(())
}

/// A protocol of switches that nobody knows among them.
#[test]
fn frames_without_an_ip_packet_are_noted_by_their_hardware_addresses() -> Result<()> {
    const BRIDGES: [u8; 6] = [0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd];
    const SENDER: [u8; 6] = [0, 0x1f, 0x6d, 0x96, 0xec, 0x04];
    let settings = Settings {
        without: vec![Reason::Arp],
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Segment, &settings)?;
    let [v4, _] = arriving();
    let unknown = Packet::llc(0xaa, 0xaa).data([0, 0, 0x0c, 0x01, 0x0f, 0, 0, 2, 2, 0x0e]);
    let frames = [
        (unknown, Reason::EthertypeRefused),
        (
            Packet::llc(0xf0, 0xf0).payload(43),
            Reason::EthertypeRefused,
        ),
        (
            Packet::ethertype(0x8035).payload(46),
            Reason::EthertypeRefused,
        ),
        (Packet::ethertype(0x0800).payload(8), Reason::Ipv4Truncated),
        (Packet::ethertype(0x86dd).payload(39), Reason::Ipv6Truncated),
        (v4.vlan(7).vlan(8).vlan(9), Reason::VlanDepth),
        (Packet::ethertype(0x8100), Reason::VlanTruncated),
        (
            Packet::arp_request("198.51.100.7", "192.0.2.10"),
            Reason::EssentialRemoved,
        ),
    ];
    for (packet, reason) in frames {
        let packet = packet.source_mac(SENDER).destination_mac(BRIDGES);
        // The same within tags is the same flow.
        let mut frames = vec![packet.build()];
        if !matches!(reason, Reason::VlanDepth | Reason::VlanTruncated) {
            frames.push(packet.clone().vlan(20).build());
            frames.push(packet.qinq(7, 20).build());
        }
        let before = kernel.blocked()?;
        for frame in &frames {
            assert!(!kernel.run_inbound(frame)?.passes(), "{reason:?}");
        }
        let mut flows = kernel.blocked()?;
        flows.retain(|flow| !before.contains(flow));
        let [flow] = flows[..] else {
            panic!("{reason:?}: {flows:?}");
        };
        assert_eq!(flow.key.reason, reason as u8);
        assert_eq!(
            (flow.key.marks, flow.key.slot),
            (mark::LINK | mark::OUTBOUND, 1)
        );
        let header = link_header(&frames[0]);
        assert_eq!(flow.key.link(), Some(header), "{reason:?}");
        assert_eq!(
            (header.source, header.destination),
            (0x001f_6d96_ec04, 0x0100_0ccc_cccd)
        );
        let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
        assert_eq!((flow.packets, flow.bytes), (frames.len() as u64, bytes));
    }
    Ok(())
}

#[test]
fn a_flood_of_hardware_addresses_is_bounded() -> Result<()> {
    const SENDERS: u32 = 5000;
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let mut frame = Packet::ethertype(0x88b5).payload(46).build();
    for sender in 0..SENDERS {
        frame[8..12].copy_from_slice(&sender.to_be_bytes());
        kernel.run_inbound(&frame)?;
    }
    let flows = kernel.blocked()?.len() as u64;
    let suppressed = kernel.unnoted(Reason::EthertypeRefused)?.suppressed;
    assert!(flows >= u64::from(BURST / 2) && suppressed > 0, "{flows}");
    assert!(flows + suppressed <= u64::from(SENDERS));

    let counting = Settings {
        count_only: true,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Host, &counting)?;
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert!(kernel.blocked()?.is_empty());
    Ok(())
}

/// The clock that reads the times is the one that wrote them, to the second.
#[test]
fn times_are_those_of_the_machine() -> Result<()> {
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let [packet, _] = arriving();
    let frame = packet.tcp(50000, 9999).syn().build();
    let before = Clock::read()?;
    kernel.run_inbound(&frame)?;
    let after = Clock::read()?;
    let last = kernel.blocked()?[0].last;
    // A flow that would be ahead of the clock counts as just now.
    let (from, to) = (before.unix(u32::MAX), after.unix(u32::MAX));
    let at = after.unix(last);
    assert!(
        (from.saturating_sub(5)..=to).contains(&at),
        "{from}..{to}: {at}"
    );
    Ok(())
}

#[test]
fn observed_and_leaving_flows_are_marked() -> Result<()> {
    let observing = Settings {
        observe: true,
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Host, &observing)?;
    let [packet, _] = arriving();
    assert!(
        kernel
            .run_inbound(&packet.tcp(50000, 3389).syn().build())?
            .passes()
    );
    let leaving = Packet::ipv4("192.0.2.10", "198.51.100.7");
    assert!(
        kernel
            .run_outbound(&leaving.tcp(40000, 25).syn().build())?
            .passes()
    );
    let flows = kernel.blocked()?;
    let marks = flows.iter().map(|flow| (flow.key.port, flow.key.marks));
    let mut marks: Vec<_> = marks.collect();
    marks.sort_unstable();
    assert_eq!(
        marks,
        [
            (25, mark::OUTBOUND | mark::OBSERVED),
            (3389, mark::OBSERVED)
        ]
    );
    Ok(())
}

#[test]
fn what_arrives_at_a_segment_goes_out() -> Result<()> {
    let enforcing = Settings {
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Segment, &enforcing)?;
    let packet = Packet::ipv4("192.0.2.10", "198.51.100.7");
    assert!(
        !kernel
            .run_inbound(&packet.tcp(40000, 25).syn().build())?
            .passes()
    );
    let flows = kernel.blocked()?;
    assert_eq!((flows.len(), flows[0].key.marks), (1, mark::OUTBOUND));
    assert_eq!(flows[0].key.reason, Reason::OutboundNotAllowed as u8);
    Ok(())
}

#[test]
fn a_flood_of_sources_is_counted_as_suppressed() -> Result<()> {
    const SOURCES: u32 = 20_000;
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let [packet, _] = arriving();
    let mut frame = packet.tcp(50000, 3389).syn().build();
    for source in 0..SOURCES {
        frame[26..30].copy_from_slice(&(0x0a00_0000 + source).to_be_bytes());
        kernel.run_inbound(&frame)?;
    }
    let flows = kernel.blocked()?;
    let unnoted = kernel.unnoted(Reason::NotAllowed)?;
    assert!(flows.len() as u32 >= BURST / 2, "{}", flows.len());
    let suppressed = unnoted.suppressed;
    assert!(
        suppressed > 0 && suppressed <= u64::from(SOURCES - BURST),
        "{suppressed}"
    );
    // Whatever was noted and not pushed out, and what was suppressed, is not more than was sent.
    assert!(flows.len() as u64 + suppressed <= u64::from(SOURCES));
    assert_eq!(unnoted.lost, 0);
    // The counters count all.
    let counted = kernel.newly_counted()?;
    let packets: u64 = counted.0.values().map(|count| count.packets).sum();
    assert_eq!(packets, u64::from(SOURCES));
    Ok(())
}
