use super::*;
use crate::config;
use crate::policy::{
    Compiled, Outbound, Protected, Request, Rpc, Rule, ServiceNames, SitePolicy, Surroundings,
    Tables, Target, compile,
};
use fastrand::Rng;
use ipnet::IpNet;
use sccm_common::address::AddressClass;

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// Some of a list, one at least.
fn some<T: Clone>(random: &mut Rng, of: &[T], most: usize) -> Vec<T> {
    (0..=random.usize(..most))
        .map(|_| of[random.usize(..of.len())].clone())
        .collect()
}

const PREFIXES: [&str; 9] = [
    "10.0.0.0/8",
    "10.2.0.0/16",
    "10.2.0.5/32",
    "10.2.0.4/30",
    "10.64.0.0/10",
    "192.0.2.0/24",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:db8::5/128",
];

fn any_policy(random: &mut Rng) -> SitePolicy {
    let prefixes: Vec<IpNet> = nets(&PREFIXES);
    let roles = [
        "site-server",
        "client",
        "distribution-point",
        "sql-server",
        "console",
    ];
    let targets = [
        Target::Tcp(22..=22),
        Target::Tcp(400..=500),
        Target::Tcp(445..=445),
        Target::Udp(53..=69),
        Target::Udp(60..=67),
        Target::ECHO,
        Target::Protocol(47),
    ];
    let rules = |random: &mut Rng, name: &str| -> Vec<Rule> {
        let count = random.usize(..3);
        let rules = (0..count).map(|number| Rule {
            name: format!("{name}-{number}"),
            targets: some(random, &targets, 2),
            from: if random.usize(..3) == 0 {
                Vec::new()
            } else {
                some(random, &prefixes, 2)
            },
            to: if random.usize(..3) == 0 {
                Vec::new()
            } else {
                some(random, &prefixes, 1)
            },
            tracked: false,
            internet: random.usize(..5) == 0,
            reason: "test".to_owned(),
        });
        rules.collect()
    };
    let (allow, outbound_allow) = (rules(random, "in"), rules(random, "out"));
    let protect = (0..=random.usize(..2)).map(|number| Protected {
        name: format!("entry-{number}"),
        roles: some(random, &roles, 1)
            .into_iter()
            .map(Into::into)
            .collect(),
        addresses: if random.usize(..4) == 0 {
            Vec::new()
        } else {
            some(random, &prefixes, 1)
        },
        rpc: Rpc::Static,
        elsewhere: random.usize(..6) == 0,
    });
    let protect: Vec<Protected> = protect.collect();
    let peers = (random.usize(..3) > 0).then(|| {
        let held = some(random, &roles, 3);
        let held = held
            .into_iter()
            .map(|role| (role.into(), some(random, &prefixes, 1)));
        held.collect()
    });
    SitePolicy {
        outbound: [
            Outbound::Track,
            Outbound::Enforce,
            Outbound::Enforce,
            Outbound::Off,
        ][random.usize(..4)],
        peers,
        protect,
        allow,
        outbound_allow,
        ..SitePolicy::default()
    }
}

/// The first and last addresses of all prefixes, and those beside them.
fn addresses() -> Vec<IpAddr> {
    let mut found = std::collections::BTreeSet::new();
    for prefix in nets(&PREFIXES) {
        for end in [prefix.network(), prefix.broadcast()] {
            match end {
                IpAddr::V4(end) => {
                    for bits in [
                        end.to_bits().saturating_sub(1),
                        end.to_bits(),
                        end.to_bits().saturating_add(1),
                    ] {
                        found.insert(IpAddr::V4(bits.into()));
                    }
                }
                IpAddr::V6(end) => {
                    for bits in [
                        end.to_bits().saturating_sub(1),
                        end.to_bits(),
                        end.to_bits().saturating_add(1),
                    ] {
                        found.insert(IpAddr::V6(bits.into()));
                    }
                }
            }
        }
    }
    for more in ["224.0.0.1", "8.8.8.8", "ff02::1", "fe80::1"] {
        found.insert(more.parse().unwrap());
    }
    found.into_iter().collect()
}

/// What a policy says of one question, looked up for these two addresses alone.
fn verdict(
    policy: &SitePolicy,
    (compiled, tables): (&Compiled, &Tables),
    opener: Opener,
    (system, peer): (IpAddr, IpAddr),
    target: &Target,
) -> bool {
    let class = compiled.class_of(target);
    let access = compiled.access(system, peer);
    match (opener, policy.outbound) {
        (Opener::Peer, _) => {
            let is_nobody = tables.class_at(peer).is_marked(AddressClass::NOBODY);
            let asks = peer == IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
                && *target == Target::Udp(67..=67);
            (!is_nobody || asks) && access.inbound.contains(class)
        }
        (Opener::Protected, Outbound::Off) => true,
        (Opener::Protected, Outbound::Enforce) => access.outbound.contains(class),
        (Opener::Protected, Outbound::Track) => {
            let has_rest = policy
                .protect
                .iter()
                .any(|entry| entry.addresses.is_empty());
            has_rest || tables.class_at(system).local != AddressClass::ANY.local
        }
    }
}

#[test]
fn every_question_with_two_answers_is_in_one_delta_and_no_other_is() {
    let targets = [
        Target::Tcp(22..=22),
        Target::Tcp(80..=80),
        Target::Tcp(399..=399),
        Target::Tcp(400..=400),
        Target::Tcp(445..=445),
        Target::Tcp(500..=500),
        Target::Tcp(1433..=1433),
        Target::Udp(53..=53),
        Target::Udp(67..=67),
        Target::Udp(69..=69),
        Target::ECHO,
        Target::Protocol(47),
    ];
    let addresses = addresses();
    let mut random = Rng::with_seed(7);
    let mut differing = 0;
    for _ in 0..12 {
        let policies = [any_policy(&mut random), any_policy(&mut random)];
        let machine = Surroundings::default();
        let compiled = policies.each_ref().map(|policy| {
            let request = Request {
                policy,
                machine: &machine,
                observe: false,
            };
            compile(&request, ServiceNames::default()).unwrap()
        });
        let [old, new] = compiled.each_ref().map(Tables::from);
        let deltas = compare(&old, &new);
        for system in &addresses {
            for peer in addresses
                .iter()
                .filter(|peer| peer.is_ipv4() == system.is_ipv4())
            {
                for opener in [Opener::Peer, Opener::Protected] {
                    for target in &targets {
                        let ends = (*system, *peer);
                        let before =
                            verdict(&policies[0], (&compiled[0], &old), opener, ends, target);
                        let after =
                            verdict(&policies[1], (&compiled[1], &new), opener, ends, target);
                        let within = |rows: &[(IpAddr, IpAddr)], address: &IpAddr| {
                            rows.iter().any(|(first, last)| {
                                first.is_ipv4() == address.is_ipv4()
                                    && first <= address
                                    && address <= last
                            })
                        };
                        let number = match target {
                            Target::Tcp(ports) | Target::Udp(ports) => *ports.start(),
                            Target::Icmp(kind) | Target::Icmpv6(kind) | Target::Protocol(kind) => {
                                (*kind).into()
                            }
                        };
                        let telling: Vec<bool> = deltas
                            .iter()
                            .filter(|delta| {
                                delta.opener == opener
                                    && within(&delta.systems, system)
                                    && within(&delta.peers, peer)
                                    && delta.services.iter().any(|(protocol, ports)| {
                                        *protocol == target.protocol()
                                            && ports.iter().any(|range| range.contains(&number))
                                    })
                            })
                            .map(|delta| delta.opens)
                            .collect();
                        let expected = if before == after { vec![] } else { vec![after] };
                        differing += expected.len();
                        assert_eq!(
                            telling, expected,
                            "{opener:?} {target} {system} {peer} {policies:#?}"
                        );
                    }
                }
            }
        }
    }
    assert!(differing > 1000, "{differing}");
}

const SITE: &str = "[site]\nedition = \"2007\"\n[peers]\nclient = [\"10.64.0.0/10\"]\n\
    [[protect]]\nname = \"content\"\nroles = [\"distribution-point\"]\naddresses = [\"10.2.0.20\"]\n";

fn side(name: &str, text: &str) -> Side {
    let policy = config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    Side::written(name.to_owned(), policy, &Surroundings::default()).unwrap()
}

#[test]
fn a_rule_that_is_added_opens_its_ports_to_its_peers_and_nothing_else() {
    let rule = "[[allow]]\nname = \"ssh\"\nprotocol = \"tcp\"\nports = [22]\nfrom = [\"10.1.9.0/24\"]\nreason = \"admins\"\n";
    let old = side("old.toml", SITE);
    let new = side("new.toml", &format!("{SITE}{rule}"));
    let difference = Difference::new(&old, &new).unwrap();
    assert!(difference.opens && !difference.closes, "{difference:#?}");
    let [change] = &difference.changes[..] else {
        panic!("{difference:#?}");
    };
    assert_eq!(
        (change.entries.join(","), change.systems.join(",")),
        ("content".into(), "10.2.0.20".into())
    );
    assert_eq!(
        (change.protocol, change.ports.join(",")),
        ("tcp", "22".into())
    );
    assert_eq!(change.peers, ["10.1.9.0/24"]);
    assert!(
        difference.text().contains("opens inbound"),
        "{}",
        difference.text()
    );
    let back = Difference::new(&new, &old).unwrap();
    assert!(!back.opens && back.closes);
    let same = Difference::new(&new, &new).unwrap();
    assert_eq!(same.text(), "new.toml lets pass what new.toml lets pass");
}

#[test]
fn an_edition_is_the_other_policy_by_its_table() {
    let old = side("site.toml", SITE);
    let new = old
        .of_edition("current-branch".parse().unwrap(), &Surroundings::default())
        .unwrap();
    assert_eq!(new.name(), "site.toml as edition current-branch");
    let difference = Difference::new(&old, &new).unwrap();
    assert!(difference.opens || difference.closes, "{difference:#?}");
    for change in &difference.changes {
        assert!(!change.because.is_empty(), "{change:#?}");
    }
}

#[test]
fn rows_are_written_as_prefixes_where_they_are_one() {
    let text = |first: &str, last: &str| row(&(first.parse().unwrap(), last.parse().unwrap()));
    assert_eq!(text("10.0.0.0", "10.255.255.255"), "10.0.0.0/8");
    assert_eq!(text("10.0.0.1", "10.0.0.1"), "10.0.0.1");
    assert_eq!(text("10.0.0.1", "10.0.0.2"), "10.0.0.1-10.0.0.2");
    assert_eq!(text("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
    assert_eq!(
        text("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        "::/0"
    );
    assert_eq!(
        text("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        "fc00::/7"
    );
}

const RPC: &str = "[site]\nedition = \"2007\"\noutbound = \"enforce\"\nrpc = \"MODE\"\n\
    [peers]\nsite-server = [\"10.1.0.5\"]\n\
    [[protect]]\nname = \"content\"\nroles = [\"distribution-point\"]\naddresses = [\"10.2.0.20\"]\n";

fn of_mode(mode: &str) -> Side {
    side(mode, &RPC.replace("MODE", mode))
}

/// What is tracked is less than the range, and more than nothing.
#[test]
fn tracking_opens_nothing_and_says_what_is_opened_on_demand() {
    let (open, tracked) = (of_mode("static"), of_mode("tracked"));
    let told = |difference: &Difference| -> Vec<(&str, bool, &str, String, String)> {
        let changes = difference.changes.iter();
        changes
            .map(|change| {
                assert!(!change.because.is_empty(), "{change:#?}");
                let ends = format!("{} {}", change.systems.join(","), change.peers.join(","));
                let ports = format!("{}/{}", change.protocol, change.ports.join(","));
                (
                    change.change,
                    change.if_handed_out,
                    change.direction,
                    ends,
                    ports,
                )
            })
            .collect()
    };
    let ends = || "10.2.0.20 10.1.0.5".to_owned();
    let range = || "tcp/49152-65535".to_owned();
    let difference = Difference::new(&open, &tracked).unwrap();
    assert!(!difference.opens && difference.closes);
    assert_eq!(
        told(&difference),
        [("closes", true, "inbound", ends(), range())]
    );
    let text = difference.text();
    assert!(text.contains("opens nothing, closes\n"), "{text}");
    assert!(text.contains("closes inbound but for"), "{text}");

    let back = Difference::new(&tracked, &open).unwrap();
    assert!(back.opens && !back.closes);
    assert_eq!(told(&back), [("opens", false, "inbound", ends(), range())]);

    // Against a policy without any right to it.
    let none = side(
        "none",
        &RPC.replace("MODE", "static")
            .replace("distribution-point", "software-update-point"),
    );
    let difference = Difference::new(&none, &tracked).unwrap();
    let told = told(&difference);
    assert!(
        told.contains(&("opens", true, "inbound", ends(), range())),
        "{told:#?}"
    );
    assert!(difference.opens);
}
