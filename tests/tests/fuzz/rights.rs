//! What a policy means: compiled tables against a slow reading of the same file.

use anyhow::Result;
use fastrand::Rng;
use ipnet::IpNet;
use sccm_agent::config;
use sccm_agent::policy::{Request, ServiceNames, Surroundings, compile};
use sccm_common::ServiceClass;
use sccm_common::service::ServiceSet;
use sccm_tests::reading::{Carrier, Document, Interpreter, Names, Outbound, Way};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Policies that are tried, and questions to each.
const POLICIES: u64 = 200;
const QUESTIONS: usize = 25;

/// Ports that are asked about between two addresses.
const PORTS_ASKED: usize = 8;

/// Ports of the document and of rules, with their neighbours.
const PORTS: [u16; 47] = [
    9, 21, 22, 67, 68, 69, 79, 80, 81, 135, 139, 389, 443, 445, 547, 636, 1433, 1434, 1723, 3268,
    4011, 4022, 4999, 5000, 5010, 5011, 8003, 8004, 8005, 8080, 8530, 8531, 10123, 10124, 10125,
    10139, 25536, 49152, 49250, 63000, 64000, 65535, 1025, 3000, 49200, 49201, 50000,
];

/// What is asked about beside them.
const PROTOCOLS: [(Carrier, u16); 6] = [
    (Carrier::Icmp, 8),
    (Carrier::Icmp, 13),
    (Carrier::Icmpv6, 128),
    (Carrier::Ip, 50),
    (Carrier::Ip, 89),
    (Carrier::Ip, 132),
];

#[test]
fn compiled_rights_are_those_that_the_file_states() -> Result<()> {
    let addresses = addresses();
    let own = ["10.1.2.3".parse()?, "fd00:1:2:3::a".parse()?];
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.toml");
    let (mut yes, mut no, mut tracked) = (0, 0, 0);
    for seed in 0..POLICIES {
        let mut random = Rng::with_seed(seed);
        let document = Document::random(&mut random);
        std::fs::write(&path, document.toml())?;
        let Ok(policy) = config::load(&path) else {
            // Some roles cannot do without a look at what goes out.
            assert_eq!(document.site.outbound, Outbound::Off, "{}", document.toml());
            continue;
        };
        let machine = match random.bool() {
            true => Surroundings {
                broadcasts: vec![Ipv4Addr::new(10, 1, 2, 127)],
                far_broadcasts: vec![Ipv4Addr::new(10, 1, 2, 255)],
                is_bridge: random.u8(..4) == 0,
                routes_multicast: random.bool(),
                routes_broadcasts: random.bool(),
                ..Surroundings::gateway(&own)
            },
            false => Surroundings::default(),
        };
        let request = Request {
            policy: &policy,
            machine: &machine,
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default())?;
        let interpreter = Interpreter {
            catalog: document.catalog(),
            document: &document,
            own: &machine.own,
            machine: &machine,
        };
        let names = Names::new(document.catalog(), &document);
        let is_tracked = compiled.policy.dynamic != ServiceSet::default();
        for port in PORTS {
            let class = compiled.policy.tcp[usize::from(port)];
            let is_dynamic = compiled.policy.dynamic.contains(class);
            assert_eq!(
                is_dynamic,
                is_tracked && names.is_dynamic(port),
                "seed {seed}: tcp/{port}, by\n{}",
                document.toml()
            );
        }
        for _ in 0..QUESTIONS {
            let local = *random.choice(&addresses).unwrap();
            let peer = *random.choice(&addresses).unwrap();
            if local.is_ipv4() != peer.is_ipv4() {
                continue;
            }
            let access = compiled.access(local, peer);
            let ways = [(Way::In, access.inbound), (Way::Out, access.outbound)];
            for (way, set) in &ways {
                let expected = interpreter.hands_out(*way, Some(local), peer);
                // The gateway itself may open everything.
                let found = set.contains(ServiceClass::HANDED_OUT) && *set != ServiceSet::ALL;
                assert_eq!(
                    found,
                    expected,
                    "seed {seed}: {way:?} between {local} (protected) and {peer}, by\n{}",
                    document.toml()
                );
                if expected {
                    tracked += 1;
                }
            }
            let ways = ways.map(|(way, set)| (way, set, interpreter.open(way, Some(local), peer)));
            for port in random.choose_multiple(PORTS, PORTS_ASKED) {
                let classes = [
                    (Carrier::Tcp, port, compiled.policy.tcp[usize::from(port)]),
                    (Carrier::Udp, port, compiled.policy.udp[usize::from(port)]),
                ];
                let others = PROTOCOLS.map(|(carrier, number)| {
                    let table = match carrier {
                        Carrier::Icmp => &compiled.policy.icmp,
                        Carrier::Icmpv6 => &compiled.policy.icmpv6,
                        _ => &compiled.policy.protocol,
                    };
                    (carrier, number, table[usize::from(number)])
                });
                for (carrier, port, class) in classes.into_iter().chain(others) {
                    for (way, set, open) in &ways {
                        let expected = open.iter().any(|span| span.has(carrier, port));
                        assert_eq!(
                            set.contains(class),
                            expected,
                            "seed {seed}: {way:?} between {local} (protected) and {peer}, \
                             {}/{port}, by\n{}",
                            carrier.name(),
                            document.toml()
                        );
                        if expected { yes += 1 } else { no += 1 }
                    }
                }
            }
        }
    }
    // A test that only ever saw one answer has shown nothing.
    assert!(yes > 1_000 && no > 1_000, "{yes} allowed, {no} refused");
    assert!(tracked > 100, "{tracked} handed out");
    Ok(())
}

/// Both ends of every prefix, their neighbours outside, and addresses that are special.
fn addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = vec![
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::from([239, 1, 2, 3]),
        IpAddr::from([224, 0, 0, 251]),
        IpAddr::from([10, 1, 2, 127]),
        "ff15::1".parse().unwrap(),
        IpAddr::from([8, 8, 8, 8]),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "ff02::1:2".parse().unwrap(),
        "2600::1".parse().unwrap(),
    ];
    for prefix in Document::prefixes() {
        addresses.extend(ends(prefix));
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

fn ends(prefix: IpNet) -> Vec<IpAddr> {
    match prefix {
        IpNet::V4(prefix) => {
            let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
            [first.saturating_sub(1), first, last, last.saturating_add(1)]
                .map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
                .to_vec()
        }
        IpNet::V6(prefix) => {
            let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
            [first.saturating_sub(1), first, last, last.saturating_add(1)]
                .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
                .to_vec()
        }
    }
}
