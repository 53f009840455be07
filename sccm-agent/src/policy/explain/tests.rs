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
            elsewhere: false,
        }],
        allow: vec![Rule {
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

/// Who may send what to a group: a policy of every shape, and the ground that it names.
#[test]
fn a_group_is_sent_only_what_is_for_many() {
    let dp = |addresses: &[&str], peers: bool| SitePolicy {
        peers: peers.then(|| policy().peers.unwrap()),
        protect: vec![Protected {
            name: "dp".to_owned(),
            roles: vec!["distribution-point".into(), "pxe-service-point".into()],
            addresses: addresses.iter().map(|p| p.parse().unwrap()).collect(),
            elsewhere: false,
        }],
        allow: vec![
            Rule {
                internet: false,
                name: "everywhere".to_owned(),
                targets: vec![
                    Target::Tcp(10000..=10000),
                    Target::Udp(10001..=10001),
                    Target::Icmp(8),
                    Target::Protocol(89),
                ],
                from: Vec::new(),
                to: Vec::new(),
                reason: String::new(),
            },
            Rule {
                internet: false,
                name: "one-group".to_owned(),
                targets: vec![Target::Udp(10002..=10002), Target::Tcp(10002..=10002)],
                from: Vec::new(),
                to: vec!["239.1.0.0/16".parse().unwrap()],
                reason: String::new(),
            },
        ],
        outbound: Outbound::Enforce,
        ..SitePolicy::default()
    };
    let client = "10.9.9.9";
    let tcp = |port| Target::Tcp(port..=port);
    let udp = |port| Target::Udp(port..=port);
    let shapes = [
        dp(&[], false),
        dp(&[], true),
        dp(&["192.168.1.2/32"], false),
        dp(&["192.168.1.2/32"], true),
    ];
    for policy in shapes {
        for group in ["255.255.255.255", "224.0.0.1", "239.1.2.3"] {
            let asks = |target| {
                let host = (&policy, &Surroundings::default());
                let answer = ask_on(host, Opener::Peer, group, client, target);
                assert_eq!(answer.allowed, !answer.because.is_empty());
                answer.allowed
            };
            for refused in [tcp(80), tcp(445), tcp(10000), tcp(10002), Target::Icmp(8)] {
                assert!(!asks(refused.clone()), "{refused} to {group}");
            }
            for passes in [udp(63000), udp(10001), Target::Protocol(89)] {
                assert!(asks(passes.clone()), "{passes} to {group}");
            }
            assert_eq!(asks(udp(10002)), group == "239.1.2.3");

            let sends = |target| {
                let dp = "192.168.1.2";
                let answer = ask_of(&policy, Opener::Protected, dp, group, target);
                assert_eq!(answer.allowed, !answer.because.is_empty());
                answer.allowed
            };
            // Streams and offers are for many, and so is what the roles open by UDP (link 9); other
            // services only answer.
            assert!(sends(udp(63000)) && sends(udp(68)) && sends(udp(135)));
            for refused in [udp(69), udp(4011), udp(10001), tcp(80), tcp(135), tcp(1433)] {
                assert!(!sends(refused.clone()), "{refused} to {group}");
            }
        }
    }
}

#[test]
fn what_a_router_does_not_hand_on_is_for_itself() {
    let mut policy = policy();
    policy.allow.push(Rule {
        internet: false,
        name: "syslog".to_owned(),
        targets: vec![Target::Udp(514..=514)],
        from: Vec::new(),
        to: Vec::new(),
        reason: String::new(),
    });
    policy.management.push(Rule {
        internet: false,
        name: "vrrp".to_owned(),
        targets: vec![Target::Protocol(112), Target::Tcp(22..=22)],
        from: vec!["10.9.9.9/32".parse().unwrap()],
        to: Vec::new(),
        reason: String::new(),
    });
    let router = Surroundings::gateway(&["192.168.1.1".parse().unwrap()]);
    let bridge = Surroundings {
        is_bridge: true,
        ..router.clone()
    };
    for (machine, both) in [(router, false), (bridge, true)] {
        let asks = |from: &str, target| {
            let answer = ask_on(
                (&policy, &machine),
                Opener::Peer,
                "224.0.0.18",
                from,
                target,
            );
            assert_eq!(answer.allowed, !answer.because.is_empty());
            answer.allowed
        };
        assert!(asks("10.9.9.9", Target::Protocol(112)));
        assert!(!asks("10.9.9.8", Target::Protocol(112)));
        assert!(!asks("10.9.9.9", Target::Tcp(22..=22)));
        assert_eq!(asks("10.9.9.9", Target::Udp(514..=514)), both);
        assert_eq!(asks("10.9.9.9", Target::Udp(63500..=63500)), both);
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

/// Whoever may open the port behind the gateway may open the published one, and nobody else.
#[test]
fn a_published_port_has_the_rights_of_the_one_behind_it() {
    let publish = |name: &str, targets, to_port| Publish {
        name: name.to_owned(),
        targets,
        to: "192.168.1.2".parse().unwrap(),
        to_port,
        reason: "branch offices".to_owned(),
    };
    let policy = SitePolicy {
        publish: vec![
            publish("web", vec![Target::Tcp(8080..=8080)], Some(80)),
            publish("same", vec![Target::Tcp(444..=446)], None),
            publish("backup", vec![Target::Tcp(9102..=9102)], None),
            publish("nobody", vec![Target::Udp(23..=23)], None),
        ],
        ..policy()
    };
    let ask = |peer, target| ask_of(&policy, Opener::Peer, "192.168.1.1", peer, target);
    let (client, server, keeper) = ("10.5.0.1", "10.1.0.5", "10.2.0.1");
    for (peer, target, by) in [
        (client, Target::Tcp(8080..=8080), Some("web")),
        // Behind the gateway it is HTTP; here it is nothing.
        (client, Target::Tcp(80..=80), None),
        // Of the ports of one rule, only those that are open behind it.
        (server, Target::Tcp(445..=445), Some("same")),
        (server, Target::Tcp(444..=444), None),
        (keeper, Target::Tcp(9102..=9102), Some("backup")),
        (client, Target::Tcp(9102..=9102), None),
        (client, Target::Udp(23..=23), None),
        (client, Target::Tcp(22..=22), None),
    ] {
        let answer = ask(peer, target.clone());
        assert_eq!(answer.allowed, by.is_some(), "{peer} {target}");
        let grounds: Vec<_> = answer.because.iter().map(Ground::brief).collect();
        let rule = by.map(|name| format!("rule {name}"));
        assert_eq!(grounds, Vec::from_iter(rule), "{peer} {target}");
    }
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    let compiled = compile(&request, ServiceNames::default()).unwrap();
    let idle = super::publish::idle(&compiled, &policy);
    let idle: Vec<&str> = idle.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(idle, ["nobody"]);
}

#[test]
fn what_does_not_fit_the_machines_translation_is_told() {
    let rules = std::collections::BTreeSet::from(["nftables: table nat, chain in".to_owned()]);
    let none = std::collections::BTreeSet::new();
    let publishing = SitePolicy {
        publish: vec![Publish {
            name: "web".to_owned(),
            targets: vec![Target::Tcp(80..=80)],
            to: "192.168.1.2".parse().unwrap(),
            to_port: None,
            reason: String::new(),
        }],
        ..policy()
    };
    let misfit = super::publish::misfit;
    assert_eq!(misfit(&policy(), &none), None);
    assert_eq!(misfit(&publishing, &rules), None);
    let told = misfit(&policy(), &rules).unwrap();
    assert!(told.contains("nftables: table nat, chain in"), "{told}");
    let told = misfit(&publishing, &none).unwrap();
    assert!(told.contains("[[publish]]"), "{told}");
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
            elsewhere: false,
        }],
        ..SitePolicy::default()
    }
}

fn briefs(answer: &Explanation) -> Vec<String> {
    let hints = answer.advice.hints.iter();
    hints.map(|hint| hint.brief.clone()).collect()
}

#[test]
fn a_relay_that_is_not_named_is_told_so() {
    let policy = boot_server(true);
    let dhcp = Target::Udp(67..=67);
    let answer = ask_of(
        &policy,
        Opener::Peer,
        "10.2.0.12",
        "172.16.0.5",
        dhcp.clone(),
    );
    assert!(!answer.allowed);
    // It is a client already, and that does not help.
    let from: BTreeSet<&str> = links(&answer.advice.would_allow)
        .into_iter()
        .map(|(_, from, _)| from)
        .collect();
    assert_eq!(from, BTreeSet::from(["dhcp-relay", "pxe-client"]));
    let hints = briefs(&answer);
    assert_eq!(hints[0], "[peers] dhcp-relay = [\"172.16.0.5\"]");
    assert_eq!(hints[1], "[peers] pxe-client = [\"172.16.0.5\"]");
    assert!(hints[2] == "[[allow]] udp/67 from 172.16.0.5", "{hints:?}");

    // A relay may not ask for files.
    let tftp = ask_of(
        &policy,
        Opener::Peer,
        "10.2.0.12",
        "172.16.0.5",
        Target::Udp(69..=69),
    );
    let hints = briefs(&tftp);
    assert_eq!(hints[0], "[peers] pxe-client = [\"172.16.0.5\"]");
    assert!(!hints.concat().contains("dhcp-relay"), "{hints:?}");

    // Where no client is told apart as booting, every client may.
    let policy = boot_server(false);
    let answer = ask_of(
        &policy,
        Opener::Peer,
        "10.2.0.12",
        "172.16.0.5",
        dhcp.clone(),
    );
    assert!(answer.allowed);
    let answer = ask_of(&policy, Opener::Peer, "10.2.0.12", "172.16.0.6", dhcp);
    assert_eq!(
        briefs(&answer)[..2],
        [
            "[peers] client = [\"172.16.0.6\"]".to_owned(),
            "[peers] dhcp-relay = [\"172.16.0.6\"]".to_owned()
        ]
    );
}

#[test]
fn a_relay_with_an_ipv6_address_may_ask_dhcpv6() {
    let mut policy = boot_server(true);
    policy.protect[0]
        .addresses
        .push("fd02::12/128".parse().unwrap());
    let dhcpv6 = || Target::Udp(547..=547);
    let ask = |policy: &SitePolicy, peer: &str| {
        ask_of(policy, Opener::Peer, "fd02::12", peer, dhcpv6()).allowed
    };
    assert!(!ask(&policy, "fd65::1"));
    let relays = policy.peers.as_mut().unwrap();
    relays
        .get_mut(&"dhcp-relay".into())
        .unwrap()
        .push("fd65::1/128".parse().unwrap());
    assert!(ask(&policy, "fd65::1"));
    assert!(!ask(&policy, "fd65::2"));
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

#[test]
fn what_no_setting_lets_pass_has_no_hint() {
    // TCP to a group, and a source that nobody has.
    for (protected, peer) in [("224.0.0.1", "172.16.0.5"), ("10.2.0.12", "127.0.0.1")] {
        let target = Target::Tcp(80..=80);
        let answer = ask_of(&boot_server(true), Opener::Peer, protected, peer, target);
        assert!(!answer.allowed);
        assert_eq!(
            (briefs(&answer), links(&answer.advice.would_allow)),
            (vec![], vec![])
        );
    }
}

#[test]
fn a_hint_says_what_an_address_that_nobody_lists_would_have_to_be() {
    let mut policy = boot_server(true);
    policy.outbound = Outbound::Enforce;
    let target = || Target::Udp(67..=67);
    let answer = ask_of(&policy, Opener::Peer, "10.2.0.13", "10.65.0.1", target());
    assert_eq!(
        briefs(&answer),
        ["[[protect]] boot addresses = [\"10.2.0.13\"]"]
    );
    // Outwards, no enforcement or a rule.
    let http = Target::Tcp(9999..=9999);
    let answer = ask_of(&policy, Opener::Protected, "10.2.0.12", "10.9.9.9", http);
    assert_eq!(
        briefs(&answer),
        [
            "[site] outbound = \"track\"",
            "[[outbound.allow]] tcp/9999 to 10.9.9.9"
        ]
    );
    let rule = &answer.advice.hints[1];
    assert_eq!(rule.flag.as_deref(), Some("--allow-out tcp/9999@10.9.9.9"));
    let lines = "ports = [9999]\nfrom = [\"10.2.0.12\"]\nto = [\"10.9.9.9\"]\nreason";
    assert!(rule.lines.contains(lines), "{}", rule.lines);
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

#[test]
fn every_rule_that_is_hinted_at_would_let_it_pass() {
    let mut hinted = 0;
    for policy in [policy(), boot_server(true)] {
        for (protected, what) in ["192.168.1.1", "192.168.1.2", "10.2.0.12", "239.1.1.1"]
            .into_iter()
            .flat_map(|to| ["tcp/9102", "udp/67", "icmp/8", "gre"].map(|what| (to, what)))
        {
            let target = || parse_target(what).unwrap();
            let ask =
                |policy: &SitePolicy| ask_of(policy, Opener::Peer, protected, "10.9.9.9", target());
            for hint in ask(&policy).advice.hints {
                let mut changed = policy.clone();
                match hint.table.as_str() {
                    "[[allow]]" => changed.allow.extend(hint.rule),
                    "[[management.allow]]" => changed.management.extend(hint.rule),
                    _ => continue,
                }
                hinted += 1;
                assert!(ask(&changed).allowed, "{what} to {protected}");
            }
        }
    }
    assert!(hinted > 8, "{hinted}");
}

/// What is let out by a rule, and why.
#[test]
fn what_goes_out_may_be_let_out_by_a_rule() {
    let rule = |name: &str, target: Target, from: &[&str], to: &[&str], internet| Rule {
        name: name.to_owned(),
        targets: vec![target],
        from: from.iter().map(|one| one.parse().unwrap()).collect(),
        to: to.iter().map(|one| one.parse().unwrap()).collect(),
        internet,
        reason: "why".to_owned(),
    };
    let (udp, tcp) = (
        |port| Target::Udp(port..=port),
        |port| Target::Tcp(port..=port),
    );
    let mut policy = policy();
    policy.protect[0]
        .addresses
        .push("192.168.1.3/32".parse().unwrap());
    policy.outbound_allow = vec![
        rule(
            "dns",
            udp(53),
            &[],
            &["10.1.0.10/32", "203.0.113.53/32"],
            false,
        ),
        rule("own", tcp(25), &["192.168.1.2/32"], &[], false),
        rule("web", tcp(443), &[], &[], true),
        rule("both", tcp(8443), &[], &["10.1.0.10/32"], true),
        rule("group", udp(5000), &[], &["239.1.2.3/32"], false),
        rule("all", tcp(5000), &[], &["0.0.0.0/0"], false),
    ];
    for (from, to, target, by) in [
        ("192.168.1.2", "10.1.0.10", udp(53), Some("dns")),
        ("192.168.1.3", "10.1.0.10", udp(53), Some("dns")),
        ("192.168.1.2", "10.1.0.11", udp(53), None),
        ("192.168.1.2", "10.1.0.10", tcp(53), None),
        ("192.168.1.2", "10.9.9.9", tcp(25), Some("own")),
        ("192.168.1.3", "10.9.9.9", tcp(25), None),
        ("192.168.1.2", "198.51.100.9", tcp(443), Some("web")),
        // Where systems may go says nothing about who belongs to the site.
        ("192.168.1.2", "203.0.113.53", tcp(443), Some("web")),
        ("192.168.1.2", "10.9.9.9", tcp(443), None),
        ("192.168.1.2", "172.16.0.9", tcp(443), None),
        ("192.168.1.2", "239.1.2.3", tcp(443), None),
        ("192.168.1.2", "198.51.100.9", tcp(8443), Some("both")),
        ("192.168.1.2", "10.1.0.10", tcp(8443), Some("both")),
        ("192.168.1.2", "10.1.0.11", tcp(8443), None),
        ("192.168.1.2", "239.1.2.3", udp(5000), Some("group")),
        ("192.168.1.2", "239.1.2.4", udp(5000), None),
        // TCP never reaches a group.
        ("192.168.1.2", "10.7.7.7", tcp(5000), Some("all")),
        ("192.168.1.2", "239.1.2.4", tcp(5000), None),
        // Nobody who is not protected.
        ("192.168.1.9", "10.1.0.10", udp(53), None),
    ] {
        for peers in [policy.peers.clone(), None] {
            let policy = SitePolicy {
                peers,
                ..policy.clone()
            };
            let answer = ask_of(&policy, Opener::Protected, from, to, target.clone());
            let what = format!("{target} from {from} to {to}: {:?}", answer.because);
            assert_eq!(answer.allowed, by.is_some(), "{what}");
            let rules = answer.because.iter().map(Ground::brief);
            let expected = by.map(|name| format!("rule {name}"));
            assert!(
                expected.is_none_or(|name| rules.clone().any(|one| one == name)),
                "{what}"
            );
        }
    }
    // Nothing comes in by it.
    let answer = ask_of(&policy, Opener::Peer, "192.168.1.2", "10.1.0.10", udp(53));
    assert!(!answer.allowed);
}

/// A rule may let in the Internet, and nobody else.
#[test]
fn the_internet_may_be_let_in_by_a_rule() {
    let mut policy = policy();
    policy.allow[0].from.clear();
    policy.allow[0].internet = true;
    for (from, allowed) in [
        ("198.51.100.9", true),
        ("10.2.0.9", false),
        ("172.16.0.9", false),
    ] {
        let target = Target::Tcp(9102..=9102);
        let answer = ask_of(&policy, Opener::Peer, "192.168.1.2", from, target);
        assert_eq!(answer.allowed, allowed, "{from}");
    }
}
