mod boot;
mod groups;
mod hints;
mod published;
mod rules;
mod tracked;

use super::*;
use crate::policy::{Protected, Publish, SitePolicy, Surroundings, parse_target};
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
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        allow: vec![Rule {
            tracked: false,
            internet: false,
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
    ask_of(&policy(), opener, protected, peer, target)
}

fn ask_of(
    policy: &SitePolicy,
    opener: Opener,
    protected: &str,
    peer: &str,
    target: Target,
) -> Explanation {
    let machine = Surroundings::gateway(&["192.168.1.1".parse().unwrap()]);
    ask_on((policy, &machine), opener, protected, peer, target)
}

fn ask_on(
    (policy, machine): (&SitePolicy, &Surroundings),
    opener: Opener,
    protected: &str,
    peer: &str,
    target: Target,
) -> Explanation {
    let request = Request {
        policy,
        machine,
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
    assert!(answer.allowed && answer.advice.would_allow.is_empty());
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
    let would = links(&answer.advice.would_allow);
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
    let would = links(&answer.advice.would_allow);
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
        assert!(answer.because.is_empty() && answer.advice.would_allow.is_empty());
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

/// A site database, and perhaps the peers that it has.
fn database(peers: &[(&str, &str)]) -> SitePolicy {
    let peers = peers
        .iter()
        .map(|(role, prefix)| ((*role).into(), vec![prefix.parse().unwrap()]))
        .collect::<BTreeMap<_, _>>();
    let mut policy = SitePolicy {
        peers: (!peers.is_empty()).then_some(peers),
        protect: vec![Protected {
            name: "db".to_owned(),
            roles: vec!["sql-server".into()],
            addresses: Vec::new(),
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    };
    policy.site.features.insert("named-pipes".to_owned());
    policy
}

#[test]
fn where_peers_are_named_sql_is_for_those_whom_a_table_names() {
    let named = database(&[
        ("client", "10.0.0.0/8"),
        ("management-point", "10.1.0.6/32"),
        ("primary-site-server", "2001:db8::5/128"),
    ]);
    // SQL, and SQL by named pipes.
    for port in [1433, 139] {
        let asks = |policy: &SitePolicy, peer: &str| {
            let target = Target::Tcp(port..=port);
            let local = if peer.contains(':') {
                "2001:db8::9"
            } else {
                "10.1.0.9"
            };
            ask_of(policy, Opener::Peer, local, peer, target)
        };
        for stranger in ["8.8.8.8", "10.9.9.9", "2600::1"] {
            let answer = asks(&named, stranger);
            assert!(!answer.allowed, "{stranger} tcp/{port}");
            let would = links(&answer.advice.would_allow);
            let is_provider =
                |(_, from, to): &(&str, &str, &str)| (*from, *to) == ("provider", "sql-server");
            assert!(would.iter().any(is_provider), "{would:?}");
            assert!(would.iter().all(|(_, from, _)| *from != "any"), "{would:?}");
        }
        for (peer, role) in [
            ("10.1.0.6", "management-point"),
            ("2001:db8::5", "primary-site-server"),
        ] {
            let answer = asks(&named, peer);
            assert!(answer.allowed, "{peer} tcp/{port}");
            let because = links(&answer.because);
            assert!(
                because.contains(&("sql", role, "sql-server")),
                "{because:?}"
            );
        }
        let answer = asks(&database(&[]), "8.8.8.8");
        assert!(answer.allowed);
        assert!(links(&answer.because).contains(&("sql", "any", "sql-server")));
    }
}

#[test]
fn whoever_is_not_listed_opens_nothing_unless_nobody_looks() {
    let mut policy = policy();
    for (outbound, allowed) in [
        (Outbound::Enforce, false),
        (Outbound::Track, false),
        (Outbound::Off, true),
    ] {
        policy.outbound = outbound;
        let answer = ask_of(
            &policy,
            Opener::Protected,
            "192.168.1.3",
            "8.8.8.8",
            Target::Tcp(443..=443),
        );
        assert_eq!(answer.allowed, allowed, "{outbound:?}");
        assert_eq!(answer.because.is_empty(), !allowed);
        assert_eq!(answer.protected, "not listed");
    }
}

fn briefs(answer: &Explanation) -> Vec<String> {
    let hints = answer.advice.hints.iter();
    hints.map(|hint| hint.brief.clone()).collect()
}

/// A boot server whose policy names clients, those that boot, and a relay.
fn boot_server(pxe: bool) -> SitePolicy {
    let prefixes = |list: &[&str]| list.iter().map(|p| p.parse().unwrap()).collect();
    let mut peers = BTreeMap::from([
        ("client".into(), prefixes(&["172.16.0.5/32"])),
        ("dhcp-relay".into(), prefixes(&["10.65.0.1/32"])),
    ]);
    if pxe {
        peers.insert("pxe-client".into(), prefixes(&["10.65.0.0/24"]));
    }
    SitePolicy {
        peers: Some(peers),
        protect: vec![Protected {
            name: "boot".to_owned(),
            roles: vec!["pxe-service-point".into()],
            addresses: prefixes(&["10.2.0.12/32"]),
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    }
}

#[test]
fn the_gateway_itself_is_reached_by_rules_of_its_own_alone() {
    let answer = ask_of(
        &boot_server(true),
        Opener::Peer,
        "192.168.1.1",
        "172.16.0.5",
        Target::Tcp(22..=22),
    );
    assert!(!answer.allowed && answer.advice.would_allow.is_empty());
    let [hint] = answer.advice.hints.as_slice() else {
        panic!("{:?}", answer.advice.hints);
    };
    assert_eq!(hint.table, "[[management.allow]]");
    assert!(hint.lines.contains("ports = [22]\nfrom = [\"172.16.0.5\"]"));
    assert_eq!(hint.flag.as_deref(), Some("--manage tcp/22@172.16.0.5"));
}

/// What is said of the tables agrees with what is said of the policy that they were made from.
#[test]
fn the_tables_answer_as_the_policy_does() {
    let tracked = SitePolicy {
        outbound: Outbound::Track,
        ..policy()
    };
    let policies = [policy(), tracked, boot_server(true)];
    let gateway = Surroundings::gateway(&["192.168.1.1".parse().unwrap()]);
    let bridge = Surroundings {
        is_bridge: true,
        ..gateway.clone()
    };
    let addresses = [
        "192.168.1.1",
        "192.168.1.2",
        "10.2.0.12",
        "10.2.0.1",
        "10.1.0.5",
        "8.8.8.8",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
    ];
    let targets = ["tcp/80", "tcp/9102", "udp/67", "icmp/8"];
    for (policy, machine) in policies
        .iter()
        .flat_map(|policy| [&gateway, &bridge].map(|machine| (policy, machine.clone())))
    {
        let request = Request {
            policy,
            machine: &machine,
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default()).unwrap();
        let running = Running {
            info: compiled.info,
            tables: (&compiled).into(),
            names: compiled.services.clone(),
        };
        for (protected, peer) in addresses.iter().flat_map(|a| addresses.map(|b| (*a, b))) {
            for (opener, what) in [Opener::Peer, Opener::Protected]
                .into_iter()
                .flat_map(|opener| targets.map(|what| (opener, what)))
            {
                let question = Question {
                    opener,
                    protected: protected.parse().unwrap(),
                    peer: peer.parse().unwrap(),
                    target: parse_target(what).unwrap(),
                };
                let (told, kernel) = (
                    answer(&request, &compiled, &question).unwrap(),
                    running.explain(&question, false),
                );
                let about = |answer: &Explanation| (answer.allowed, answer.reason);
                assert_eq!(
                    about(&told),
                    about(&kernel),
                    "{question:?} {:?}",
                    policy.outbound
                );
                assert_eq!(
                    told.because.is_empty(),
                    kernel.because.is_empty(),
                    "{question:?}"
                );
            }
        }
    }
}
