//! What a catalog may say differently without any consequence.

mod tracked;

use super::*;
use crate::catalog::{Catalog, Edition};
use crate::policy::{PXE_CLIENT, Protected, Rpc, Rule, Target};
use crate::site::{Site, WsusPorts};
use std::collections::BTreeMap;

/// Every role at a site that sets whatever a note of the document is about.
fn policy(catalog: &'static Catalog) -> SitePolicy {
    let port = |text: &str| text.parse().unwrap();
    let prefix = |text: &str| vec![text.parse().unwrap()];
    SitePolicy {
        site: Site {
            wsus: Some(WsusPorts::with_http(port("9000")).unwrap()),
            http: crate::site::HttpPorts::new(port("8080"), port("8443")).unwrap(),
            wake_on_lan: port("7"),
            site_server_initiated_only: true,
            ..Site::new(catalog)
        },
        outbound: Outbound::Enforce,
        peers: Some(BTreeMap::from([
            (RoleId::from("site-server"), prefix("10.1.0.0/24")),
            (RoleId::from("management-point"), prefix("10.2.0.0/24")),
            (RoleId::from("client"), prefix("10.3.0.0/16")),
            (RoleId::from(PXE_CLIENT), prefix("10.4.0.0/24")),
        ])),
        protect: catalog
            .roles
            .iter()
            .zip(0..)
            .map(|(role, number): (_, u8)| Protected {
                name: role.id.to_string(),
                roles: vec![role.id.clone()],
                addresses: prefix(&format!("192.0.2.{number}/32")),
                rpc: Rpc::Static,
                elsewhere: false,
            })
            .collect(),
        ..SitePolicy::default()
    }
}

fn hash(catalog: &'static Catalog) -> [u8; 32] {
    let request = Request {
        policy: &policy(catalog),
        machine: &Surroundings::default(),
        observe: false,
    };
    compile(&request, ServiceNames::default())
        .unwrap()
        .info
        .tables
}

/// Editions number their notes differently: only people may need the numbers.
#[test]
fn numbers_of_notes_decide_nothing() {
    for catalog in Edition::ALL.map(Catalog::of) {
        let mut renumbered = catalog.clone();
        for note in &mut renumbered.notes {
            note.id += 100;
        }
        for link in &mut renumbered.links {
            let services = link.services.iter_mut().flat_map(|row| &mut row.notes);
            link.notes
                .iter_mut()
                .chain(services)
                .for_each(|id| *id += 100);
        }
        assert_eq!(hash(catalog), hash(Box::leak(Box::new(renumbered))));

        // The policy is one for which the keys decide something.
        let mut keyless = catalog.clone();
        for link in &mut keyless.links {
            link.opener = None;
        }
        assert_ne!(hash(catalog), hash(Box::leak(Box::new(keyless))));
    }
}

/// RFC 8415, 18.2.1: who asks for an address does so from one of the link, which no list names.
#[test]
fn a_boot_server_of_today_is_asked_for_addresses_from_the_link() {
    let policy = |edition, role: &str| SitePolicy {
        site: Site::new(Catalog::of(edition)),
        peers: Some(BTreeMap::from([(
            RoleId::from("client"),
            vec!["2001:db8::/64".parse().unwrap()],
        )])),
        protect: vec![Protected {
            name: "boot".to_owned(),
            roles: vec![role.into()],
            addresses: vec!["2001:db8:1::1/128".parse().unwrap()],
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    };
    let open = |policy: &SitePolicy, port: u16, peer: &str| {
        let request = Request {
            policy,
            machine: &Surroundings::default(),
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default()).unwrap();
        let local = "2001:db8:1::1".parse().unwrap();
        let access = compiled.access(local, peer.parse().unwrap());
        let class = compiled.policy.udp[usize::from(port)];
        access.inbound.contains(class)
    };
    let today = policy(Edition::CurrentBranch, "pxe-distribution-point");
    for (port, peer, expected) in [
        (547, "fe80::7", true),
        (547, "2001:db8::7", true),
        (547, "2001:db8:2::7", false),
        (69, "fe80::7", false),
        (69, "2001:db8::7", true),
    ] {
        assert_eq!(open(&today, port, peer), expected, "{port} from {peer}");
    }
    let before = policy(Edition::V2007, "pxe-service-point");
    assert!(!open(&before, 547, "fe80::7"));
}

/// As many rules as a file may have, each with a port of its own, in three scopes: more than there
/// are numbers for classes.
#[test]
fn rules_that_give_the_same_rights_share_a_class() {
    let sources = ["10.7.0.0/16", "10.8.0.0/16"].map(|prefix| vec![prefix.parse().unwrap()]);
    let from = |number: u16| sources.get(usize::from(number % 3)).cloned();
    let port = |number: u16| 20000 + number;
    let rule = |number| Rule {
        tracked: false,
        internet: false,
        name: format!("rule-{number}"),
        targets: vec![Target::Tcp(port(number)..=port(number))],
        from: from(number).unwrap_or_default(),
        to: Vec::new(),
        reason: "a test".to_owned(),
    };
    let catalog = Catalog::of(Edition::V2007);
    let policy = SitePolicy {
        allow: (0..crate::config::MAX_RULES as u16).map(rule).collect(),
        ..policy(catalog)
    };
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    let compiled = compile(&request, ServiceNames::default()).unwrap();
    let local = "192.0.2.1".parse().unwrap();
    let peers = ["10.7.0.1", "10.8.0.1", "198.51.100.1"];
    for number in 0..=crate::config::MAX_RULES as u16 {
        for (index, peer) in peers.into_iter().enumerate() {
            let kind = usize::from(number % 3);
            let opens =
                usize::from(number) < crate::config::MAX_RULES && (kind == 2 || kind == index);
            let admits = compiled.admits_tcp(peer.parse().unwrap(), local, port(number));
            assert_eq!(admits, opens, "{number} {peer}");
        }
    }
    let class = compiled.class_of(&Target::Tcp(port(0)..=port(0)));
    let name = &compiled.services.get(class).unwrap().service;
    assert!(
        name.starts_with("tcp/20000+tcp/20003") && name.ends_with("+more"),
        "{name}"
    );
}
