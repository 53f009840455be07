use super::*;
use crate::policy::{Protected, SitePolicy, Surroundings};
use std::collections::BTreeMap;

fn policy() -> SitePolicy {
    let prefixes = |list: &[&str]| list.iter().map(|p| p.parse().unwrap()).collect();
    SitePolicy {
        peers: Some(BTreeMap::from([
            ("client".into(), prefixes(&["10.0.0.0/8"])),
            ("site-server".into(), prefixes(&["10.1.0.5/32"])),
        ])),
        protect: vec![Protected {
            name: "dp".to_owned(),
            roles: vec!["distribution-point".into()],
            addresses: prefixes(&["192.168.1.2/32"]),
            elsewhere: false,
        }],
        allow: vec![Rule {
            name: "backup".to_owned(),
            targets: vec![Target::Tcp(9102..=9102)],
            from: prefixes(&["10.2.0.0/16"]),
            to: Vec::new(),
            reason: "nightly".to_owned(),
        }],
        outbound: Outbound::Enforce,
        ..SitePolicy::default()
    }
}

fn ask(opener: Opener, protected: &str, peer: &str, target: Target) -> Explanation {
    let request = Request {
        policy: &policy(),
        machine: &Surroundings::gateway(&["192.168.1.1".parse().unwrap()]),
        observe: false,
    };
    let question = Question {
        opener,
        protected: protected.parse().unwrap(),
        peer: peer.parse().unwrap(),
        target,
    };
    explain(&request, &question).unwrap()
}

fn links(grounds: &[Ground]) -> Vec<(&str, &str, &str)> {
    let mut links = Vec::new();
    for ground in grounds {
        if let Ground::Link { link, from, to, .. } = ground {
            links.push((link.as_str(), from.as_str(), to.as_str()));
        }
    }
    links
}

#[test]
fn a_link_says_why() {
    let answer = ask(
        Opener::Peer,
        "192.168.1.2",
        "10.9.9.9",
        Target::Tcp(80..=80),
    );
    assert!(answer.allowed && answer.would_allow.is_empty());
    assert_eq!(answer.protected, "dp");
    assert_eq!(answer.peer_roles, Some(vec!["client".to_owned()]));
    assert!(links(&answer.because).contains(&("15", "client", "distribution-point")));
}

#[test]
fn a_refusal_names_who_may() {
    let answer = ask(
        Opener::Peer,
        "192.168.1.2",
        "10.9.9.9",
        Target::Tcp(135..=135),
    );
    assert!(!answer.allowed && answer.because.is_empty());
    let would = links(&answer.would_allow);
    assert!(
        would.contains(&("14", "site-server", "distribution-point")),
        "{would:?}"
    );

    let answer = ask(
        Opener::Peer,
        "192.168.1.2",
        "10.9.9.9",
        Target::Tcp(1433..=1433),
    );
    assert!(!answer.allowed);
    let would = links(&answer.would_allow);
    assert!(would.iter().all(|(_, _, to)| *to != "distribution-point") && !would.is_empty());
}

#[test]
fn a_rule_says_why() {
    let rule = Ground::Rule {
        name: "backup".to_owned(),
        reason: "nightly".to_owned(),
    };
    let answer = ask(
        Opener::Peer,
        "192.168.1.2",
        "10.2.0.1",
        Target::Tcp(9102..=9102),
    );
    assert_eq!(answer.because, [rule]);
    let answer = ask(
        Opener::Peer,
        "192.168.1.2",
        "10.3.0.1",
        Target::Tcp(9102..=9102),
    );
    assert!(!answer.allowed);
}

#[test]
fn the_other_way_asks_what_the_protected_system_may_open() {
    let answer = ask(
        Opener::Protected,
        "192.168.1.2",
        "8.8.8.8",
        Target::Tcp(443..=443),
    );
    assert!(!answer.allowed);
    assert_eq!(answer.peer_roles, Some(vec!["internet".to_owned()]));
    let answer = ask(
        Opener::Protected,
        "192.168.1.1",
        "8.8.8.8",
        Target::Tcp(443..=443),
    );
    assert!(answer.allowed);
    assert_eq!(answer.because, [Ground::Gateway]);
}

#[test]
fn an_address_that_nobody_listed_is_called_so() {
    let answer = ask(
        Opener::Peer,
        "192.168.1.3",
        "10.9.9.9",
        Target::Tcp(80..=80),
    );
    assert!(!answer.allowed);
    assert_eq!(answer.protected, "not listed");
}

#[test]
fn a_source_that_nobody_has_opens_nothing() {
    let http = || Target::Tcp(80..=80);
    for peer in ["127.0.0.1", "192.168.1.1", "224.0.0.1"] {
        let answer = ask(Opener::Peer, "192.168.1.2", peer, http());
        assert!(!answer.allowed, "{peer}");
        assert!(answer.because.is_empty() && answer.would_allow.is_empty());
        let source = answer.source.unwrap_or_default();
        assert!(
            source.starts_with("dropped as spoofed-source: "),
            "{source}"
        );
    }
    // A protected system is a peer of others, unless it is here.
    let answer = ask(Opener::Peer, "192.168.1.2", "192.168.1.2", http());
    assert!(answer.source.unwrap_or_default().contains("if"));
    assert!(
        ask(Opener::Peer, "192.168.1.2", "10.1.0.1", http())
            .source
            .is_none()
    );
    assert!(
        ask(Opener::Protected, "192.168.1.2", "127.0.0.1", http())
            .source
            .is_none()
    );
}
