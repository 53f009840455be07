use super::*;
use crate::policy::{
    Ground, Protected, Request, Rpc, ServiceNames, SitePolicy, Surroundings, compile,
};
use crate::site::{HttpPorts, Site};
use sccm_common::address::{Address, Family};
use sccm_common::blocked::{BlockedKey, mark};
use std::collections::BTreeMap;

fn names() -> Names {
    Names {
        interfaces: BTreeMap::from([(3, "eth3".to_owned())]),
        services: ServiceNames::default(),
        ..Names::default()
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
fn flows_have_the_names_that_the_policy_gives() {
    let refused = names().of(&flow(Protocol::TCP, 445, Reason::NotAllowed).key);
    assert_eq!(
        (refused.source_name, refused.destination_name),
        (None, None)
    );
    let policy = SitePolicy {
        names: [("dc1".to_owned(), vec![refused.source.ip().unwrap().into()])].into(),
        ..SitePolicy::default()
    };
    let mut explainer = Explainer::default();
    explainer.set_written(1, Some((policy, Surroundings::default())));
    let named = Names {
        labels: explainer.labels(),
        ..names()
    };
    let refused = named.of(&flow(Protocol::TCP, 445, Reason::NotAllowed).key);
    assert_eq!(refused.source_name.as_deref(), Some("dc1"));
    let [source, destination] = refused.ends(" ");
    assert_eq!(source, format!("{} (dc1)", refused.source));
    assert_eq!(destination, refused.destination.to_string());
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

/// What an explainer says that knows the compiled tables, and nothing else, of a distribution point
/// with HTTP at another port.
fn advice_on(port: u16) -> Advice {
    let port_of = |text: &str| text.parse().unwrap();
    let policy = SitePolicy {
        site: Site {
            http: HttpPorts::new(port_of("8080"), port_of("8443")).unwrap(),
            ..Site::default()
        },
        protect: vec![Protected {
            name: "dp".to_owned(),
            roles: vec!["distribution-point".into()],
            addresses: Vec::new(),
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    };
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    let compiled = compile(&request, ServiceNames::default()).unwrap();
    let mut key = flow(Protocol::TCP, port, Reason::NotAllowed).key;
    key.service = compiled.class_of(&question(&key).unwrap().target).0;
    let mut explainer = Explainer::default();
    explainer.set_policy(&compiled.info);
    let names = Names {
        services: compiled.services,
        ..names()
    };
    explainer.advise(&key, &names)
}

#[test]
fn links_are_those_of_the_protected_roles_at_the_ports_of_the_policy() {
    let advice = advice_on(8080);
    assert!(!advice.would_allow.is_empty());
    for ground in &advice.would_allow {
        let Ground::Link { to, service, .. } = ground else {
            panic!("{ground:?}");
        };
        assert_eq!(
            (to.as_str(), service.as_str()),
            ("distribution-point", "http")
        );
    }
    // No link of a distribution point has them.
    for port in [8530, 1433, 9102] {
        let advice = advice_on(port);
        assert_eq!(advice.would_allow, []);
        let lines = advice.lines();
        let rule = format!("[[allow]] tcp/{port} from 192.0.2.1");
        assert!(lines == [rule], "{lines:?}");
    }
}

#[test]
fn no_link_lets_in_what_is_wrong_in_itself() {
    for reason in [Reason::TcpDataOffset, Reason::LaterFragmentRefused] {
        assert_eq!(question(&flow(Protocol::TCP, 445, reason).key), None);
    }
}
