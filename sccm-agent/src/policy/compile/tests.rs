//! What a catalog may say differently without any consequence.

use super::*;
use crate::catalog::{Catalog, Edition};
use crate::policy::{PXE_CLIENT, Protected};
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
    let catalog = Catalog::of(Edition::V2007);
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
