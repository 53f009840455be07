//! What goes out to groups, and what systems send that no entry lists.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Place;
use sccm_common::Reason::{self, Outbound as Left, OutboundNotAllowed, UnlistedHost};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;

use super::{FAMILIES, Fate, Pair};

/// Where the systems send, and what sees it.
const PLACES: [Place; 2] = [Place::Host, Place::Segment];

fn sends(kernel: &mut Datapath, place: Place, packet: &Packet) -> Result<Reason> {
    match place {
        Place::Host | Place::Loopback => kernel.leaves(packet),
        Place::Uplink | Place::Segment => kernel.arrives(packet),
    }
}

fn groups(pair: Pair) -> &'static [&'static str] {
    match pair.is_v6() {
        true => &["ff02::9", "ff15::1"],
        false => &["224.0.0.9", "255.255.255.255"],
    }
}

#[test]
fn a_group_is_sent_what_is_for_many_with_and_without_peers() -> Result<()> {
    for place in PLACES {
        for peers in [vec![], vec![("client", "10.0.0.0/8"), ("client", "::/0")]] {
            let mut kernel = Datapath::load_at(place)?;
            kernel.publish(&Settings {
                peers,
                outbound: Outbound::Enforce,
                ..Settings::roles(&["distribution-point"])
            })?;
            for pair in FAMILIES {
                for group in groups(pair) {
                    let packet = Packet::ip(pair.protected, group);
                    for (from, to, reason) in [
                        (63000, 63000, Left),
                        (40000, 63999, Left),
                        (135, 135, OutboundNotAllowed),
                        (40000, 135, OutboundNotAllowed),
                        (135, 40000, OutboundNotAllowed),
                        (63000, 40000, OutboundNotAllowed),
                    ] {
                        let udp = packet.clone().udp(from, to);
                        let said = sends(&mut kernel, place, &udp)?;
                        assert_eq!(said, reason, "{place:?} udp {from} to {group}:{to}");
                    }
                    let tcp = packet.clone().tcp(80, 40000).syn().ack();
                    assert_eq!(sends(&mut kernel, place, &tcp)?, OutboundNotAllowed);
                    let echo = packet.icmp_echo_request(7);
                    assert_eq!(sends(&mut kernel, place, &echo)?, OutboundNotAllowed);
                }
            }
            assert_eq!(kernel.flows()?, 0);
        }
    }
    Ok(())
}

#[test]
fn whoever_is_not_listed_opens_nothing() -> Result<()> {
    for place in PLACES {
        for outbound in [Outbound::Track, Outbound::Enforce] {
            let mut kernel = Datapath::load_at(place)?;
            kernel.publish(&Settings {
                addresses: vec!["203.0.113.10/32", "2001:db8:77::10/128"],
                outbound,
                ..Settings::roles(&["distribution-point"])
            })?;
            for pair in FAMILIES {
                for packet in [
                    pair.out().tcp(40000, 443).syn(),
                    pair.out().tcp(40000, 443).ack(),
                    pair.out().udp(40000, 53),
                    pair.out().icmp_echo_request(7),
                ] {
                    assert_eq!(sends(&mut kernel, place, &packet)?, UnlistedHost);
                }
            }
            assert_eq!(kernel.flows()?, 0);
        }
        // Nothing is looked at with `off`.
        let mut kernel = Datapath::load_at(place)?;
        kernel.publish(&Settings {
            addresses: vec!["203.0.113.10/32"],
            outbound: Outbound::Off,
            ..Settings::roles(&["distribution-point"])
        })?;
        let [pair, _] = FAMILIES;
        let open = pair.out().tcp(40000, 443).syn();
        assert_eq!(sends(&mut kernel, place, &open)?, Left);
        assert_eq!(kernel.flows()?, 0);
    }
    Ok(())
}
