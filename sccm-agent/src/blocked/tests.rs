use super::*;
use crate::policy::ServiceNames;
use sccm_common::address::{Address, Family};
use sccm_common::blocked::{BlockedKey, mark};
use std::collections::BTreeMap;

fn names() -> Names {
    Names {
        interfaces: BTreeMap::from([(3, "eth3".to_owned())]),
        services: ServiceNames::default(),
    }
}

fn flow(protocol: Protocol, port: u16, reason: Reason) -> BlockedFlow {
    BlockedFlow {
        key: BlockedKey {
            source: Address::v4([192, 0, 2, 1]),
            destination: Address::v4([192, 0, 2, 2]),
            port,
            protocol: protocol.0,
            reason: reason as u8,
            service: sccm_common::ServiceClass::TCP.0,
            slot: 3,
            family: Family::V4 as u8,
            marks: 0,
        },
        ..BlockedFlow::NONE
    }
}

#[test]
fn numbers_get_their_names() {
    let key = flow(Protocol::TCP, 445, Reason::NotAllowed).key;
    let refused = names().of(&key);
    assert_eq!(refused.source.to_string(), "192.0.2.1");
    assert_eq!(refused.destination.to_string(), "192.0.2.2");
    assert_eq!((refused.port, refused.icmp_type), (Some(445), None));
    assert_eq!(refused.reason, "not-allowed");
    assert_eq!(
        (refused.interface.as_str(), refused.direction),
        ("eth3", "inbound")
    );
    assert!(!refused.observed);

    let refused = names().of(&BlockedKey {
        source: Address::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]),
        family: Family::V6 as u8,
        protocol: Protocol::ICMPV6.0,
        port: 128,
        slot: 9,
        marks: mark::OUTBOUND | mark::OBSERVED,
        ..key
    });
    assert_eq!(refused.source.to_string(), "2001:db8::1");
    assert_eq!((refused.port, refused.icmp_type), (None, Some(128)));
    assert_eq!(
        (refused.interface.as_str(), refused.direction),
        ("9", "outbound")
    );
    assert!(refused.observed);
}

#[test]
fn a_frame_without_an_ip_packet_has_hardware_addresses() {
    let key = |ethertype, llc| BlockedKey {
        source: Address {
            high: 0,
            low: 0x0200_0000_0009,
        },
        destination: Address {
            high: llc,
            low: 0xffff_ffff_ffff,
        },
        port: ethertype,
        protocol: 0,
        marks: mark::LINK,
        ..flow(Protocol(0), 0, Reason::EthertypeRefused).key
    };
    for (ethertype, llc, what) in [
        (0x88b5, 0, "ethernet/0x88b5"),
        (0x0800, 0, "ethernet/0x0800"),
        (0, 0xaaaa_0300_000c_010b, "snap/00000c-010b"),
        (0, 0xf0f0 << 48, "llc/f0-f0"),
    ] {
        let refused = names().of(&key(ethertype, llc));
        assert_eq!(refused.what(), what);
        assert_eq!(refused.source.to_string(), "02:00:00:00:00:09");
        assert_eq!(refused.destination.to_string(), "ff:ff:ff:ff:ff:ff");
        assert_eq!(
            (refused.port, refused.icmp_type, refused.source.ip()),
            (None, None, None)
        );
    }
    let json = serde_json::to_value(names().of(&key(0x88b5, 0))).unwrap();
    assert_eq!(json["source"], "02:00:00:00:00:09");
    assert_eq!(json["ethertype"], "0x88b5");
}

#[test]
fn links_of_the_own_roles_come_first() {
    let smb = question(&flow(Protocol::TCP, 445, Reason::NotAllowed).key)
        .unwrap()
        .target;
    let roles = ["distribution-point".to_owned()];
    let links = links(&Site::default(), &roles, &smb, BootOpeners::AsDocumented);
    assert!(links.len() > 1);
    let concerns = |ground: &Ground| match ground {
        Ground::Link { from, to, .. } => roles.contains(from) || roles.contains(to),
        _ => false,
    };
    assert!(concerns(&links[0]));
    assert!(links.is_sorted_by_key(|ground| !concerns(ground)));
}

#[test]
fn no_link_lets_in_what_is_wrong_in_itself() {
    for reason in [Reason::TcpDataOffset, Reason::LaterFragmentRefused] {
        assert_eq!(question(&flow(Protocol::TCP, 445, reason).key), None);
    }
}
