use super::*;
use crate::config::parse;
use crate::policy::{Compiled, Request, ServiceNames, Surroundings, compile};
use std::collections::BTreeSet;

const POLICY: &str = r#"
[site]
outbound = "enforce"

[peers]
client = ["10.64.0.0/12"]
console = ["10.1.9.0/28"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20"]

[[protect]]
name = "point"
roles = ["management-point"]
addresses = ["10.2.0.5"]

[[allow]]
name = "odd"
protocol = "tcp"
ports = [7777]
from = ["192.0.2.1"]
reason = "a test"
"#;

/// What the kernel knows once a policy has been published as this generation, with `oldest` in a bank.
fn after(
    compiled: &Compiled,
    mut names: ServiceNames,
    generation: u64,
    oldest: u64,
) -> ServiceNames {
    for row in &compiled.rows {
        let known = KnownRow {
            identity: row.identity,
            family: row.family,
            generation,
            since: vec![generation; CLASSES],
            systems: row.systems.clone(),
            peers: row.peers.clone(),
            is_free: false,
        };
        names.rows.insert(row.row.0, known);
    }
    for row in names.rows.values_mut() {
        row.is_free = row.generation < oldest;
    }
    let mut services = compiled.services.clone();
    services.rows = names.rows;
    services
}

fn compiled(text: &str, names: ServiceNames) -> Compiled {
    let policy = parse(text).unwrap();
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    compile(&request, names).unwrap()
}

fn named(compiled: &Compiled) -> BTreeSet<(String, String, u16)> {
    let rows = compiled.rows.iter();
    rows.map(|row| (row.systems.clone(), row.peers.clone(), row.row.0))
        .collect()
}

#[test]
fn every_pair_with_rights_has_a_row_of_its_own() {
    let compiled = compiled(POLICY, ServiceNames::default());
    let numbers: BTreeSet<Row> = compiled.rows.iter().map(|row| row.row).collect();
    assert_eq!(numbers.len(), compiled.rows.len());
    assert!(!numbers.contains(&Row::NONE));
    let found = named(&compiled);
    for (systems, peers) in [
        ("content", "client"),
        ("point", "client"),
        ("content", "192.0.2.1/32"),
    ] {
        assert!(
            found
                .iter()
                .any(|(at, by, _)| (at.as_str(), by.as_str()) == (systems, peers)),
            "{systems} {peers}: {found:#?}"
        );
    }
    // Nobody sends in the name of a group; it may be sent to.
    let to_groups = compiled.rows.iter().filter(|row| row.peers == "groups");
    let inbound: BTreeSet<Row> = compiled
        .policy
        .rows
        .iter()
        .map(|rows| rows.inbound)
        .collect();
    assert!(to_groups.clone().count() > 0);
    assert!(to_groups.clone().all(|row| !inbound.contains(&row.row)));
}

#[test]
fn a_row_keeps_its_number_whatever_is_added_around_it() {
    let first = compiled(POLICY, ServiceNames::default());
    let names = after(&first, ServiceNames::default(), 1, 0);
    let entry = "\n[[protect]]\nname = \"aaa\"\nroles = [\"fallback-status-point\"]\n\
                 addresses = [\"10.2.0.1\"]\n";
    let text = POLICY.replace("[peers]\n", "[peers]\nsite-server = [\"10.2.0.9\"]\n") + entry;
    let second = compiled(&text, names);
    let kept: BTreeSet<_> = named(&first).into_iter().collect();
    let now = named(&second);
    assert!(kept.is_subset(&now), "{:#?}", kept.difference(&now));
    let new = second.rows.iter().filter(|row| row.is_new);
    assert_eq!(new.count(), second.rows.len() - first.rows.len());
}

/// A rule about some clients parts them from the others: they are of one family.
#[test]
fn a_kind_that_a_rule_parts_has_relatives() {
    let first = compiled(POLICY, ServiceNames::default());
    let names = after(&first, ServiceNames::default(), 1, 0);
    let text = POLICY.replace("192.0.2.1", "10.64.7.0/24");
    let second = compiled(&text, names);
    let of_clients = |compiled: &Compiled| {
        let rows = compiled.rows.iter();
        let rows = rows.filter(|row| row.peers == "client" && row.systems == "content");
        rows.cloned().collect::<Vec<_>>()
    };
    let (before, after) = (of_clients(&first), of_clients(&second));
    assert!(before.len() < after.len(), "{after:#?}");
    for new in after.iter().filter(|row| row.is_new) {
        assert!(before.iter().any(|row| row.family == new.family), "{new:?}");
    }
}

#[test]
fn numbers_of_rows_that_no_bank_has_are_given_again_and_those_of_a_bank_never() {
    let mut names = ServiceNames::default();
    let first = compiled(POLICY, names.clone());
    for number in 1..Row::COUNT as u16 {
        let row = KnownRow {
            identity: [
                number as u8,
                (number >> 8) as u8,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
            ],
            family: [0; 16],
            generation: u64::from(number % 7),
            since: vec![0; CLASSES],
            systems: String::new(),
            peers: String::new(),
            is_free: number % 7 < 3,
        };
        names.rows.insert(number, row);
    }
    let taken = compiled(POLICY, names.clone());
    assert!(
        taken
            .rows
            .iter()
            .all(|row| row.is_new && row.row.0 % 7 == 0)
    );
    for row in names.rows.values_mut() {
        row.is_free = false;
    }
    let none = compiled(POLICY, names);
    assert_eq!(none.rows.len(), first.rows.len());
    assert!(none.rows.iter().all(|row| row.row == Row::NONE));
    assert!(none.policy.rows.iter().all(|rows| *rows == Rows::default()));
}
