use super::*;
use crate::blocked::{Explainer, Names};
use crate::config;
use crate::policy::{self, Opener, Question, Request, Surroundings, Target, address_of};
use sccm_common::Reason;
use sccm_common::blocked::{BlockedFlow, BlockedKey, mark};
use std::net::IpAddr;

const POLICY: &str = r#"
[site]
outbound = "enforce"
http-port = 8080
wsus-http-port = 8530

[peers]
client = ["10.0.0.0/8", "2001:db8::/32"]
site-server = ["10.1.0.5"]

[[protect]]
name = "dp"
roles = ["distribution-point"]
addresses = ["10.2.0.10", "2001:db8:2::10"]

[[protect]]
name = "boot"
roles = ["pxe-service-point"]
addresses = ["10.2.0.12"]

[[allow]]
name = "tcp-9102"
protocol = "tcp"
ports = [9102]
from = ["10.3.0.1"]
to = ["dp"]
reason = "backup"

[[management.allow]]
name = "ssh"
protocol = "tcp"
ports = [22]
from = ["10.1.0.9"]
reason = "us"
"#;

fn load(text: &str) -> SitePolicy {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, text).unwrap();
    config::load(&path).unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

fn asked() -> Vec<Question> {
    let question = |what: &str, from: &str, to: &str| Question {
        opener: Opener::Peer,
        protected: to.parse().unwrap(),
        peer: from.parse().unwrap(),
        target: policy::parse_target(what).unwrap(),
    };
    let out = |what: &str, from: &str, to: &str| Question {
        opener: Opener::Protected,
        ..question(what, to, from)
    };
    vec![
        // What no link knows; another address; both families; a name that is taken.
        question("tcp/9102", "10.9.9.9", "10.2.0.10"),
        question("tcp/9102", "10.9.9.8", "10.2.0.10"),
        question("tcp/9102", "2001:db8::9", "2001:db8:2::10"),
        // Links that others could use; a port of a role that the system has not.
        question("tcp/135", "10.9.9.9", "10.2.0.10"),
        question("tcp/8530", "10.9.9.9", "10.2.0.10"),
        question("udp/67", "192.0.2.7", "10.2.0.12"),
        question("udp/69", "192.0.2.1", "10.2.0.12"),
        // No ports, the gateway itself, and groups.
        question("icmp/8", "10.9.9.9", "10.2.0.10"),
        question("icmpv6/128", "2001:db8::9", "2001:db8:2::10"),
        question("gre", "10.9.9.9", "10.2.0.12"),
        question("ip/89", "10.9.9.9", "10.2.0.12"),
        question("tcp/22", "10.9.9.9", "10.2.0.1"),
        question("udp/5000", "10.9.9.9", "239.1.2.3"),
        // What goes out; to two, of whom one is a group.
        out("udp/53", "10.2.0.10", "192.0.2.53"),
        out("udp/53", "10.2.0.10", "239.1.2.3"),
        out("tcp/9102", "10.2.0.12", "10.9.9.9"),
    ]
}

fn key(question: &Question) -> BlockedKey {
    let (protocol, port) = match &question.target {
        Target::Tcp(ports) => (6, *ports.start()),
        Target::Udp(ports) => (17, *ports.start()),
        Target::Icmp(kind) => (1, u16::from(*kind)),
        Target::Icmpv6(kind) => (58, u16::from(*kind)),
        Target::Protocol(number) => (*number, 0),
    };
    let (family, peer) = address_of(question.peer);
    let (_, protected) = address_of(question.protected);
    let (source, destination, reason) = match question.opener {
        Opener::Peer => (peer, protected, Reason::NotAllowed),
        Opener::Protected => (protected, peer, Reason::OutboundNotAllowed),
    };
    BlockedKey {
        source,
        destination,
        protocol,
        port,
        family: family as u8,
        reason: reason as u8,
        marks: match question.opener {
            Opener::Peer => 0,
            Opener::Protected => mark::OUTBOUND,
        },
        ..BlockedKey::NONE
    }
}

fn passes(policy: &SitePolicy, machine: &Surroundings, question: &Question) -> bool {
    let request = Request {
        policy,
        machine,
        observe: false,
    };
    policy::explain(&request, question).unwrap().allowed
}

#[test]
fn what_is_suggested_lets_it_pass() {
    let policy = load(POLICY);
    let own: IpAddr = "10.2.0.1".parse().unwrap();
    // On a bridge groups belong to those behind it.
    let machine = Surroundings {
        is_bridge: true,
        ..Surroundings::gateway(&[own])
    };
    let clock = Clock::read().unwrap();
    let mut explainer = Explainer::default();
    explainer.set_written(1, Some((policy.clone(), machine.clone())));
    let flows = asked().into_iter().map(|question| {
        assert!(!passes(&policy, &machine, &question), "{question:?}");
        let flow = BlockedFlow {
            key: key(&question),
            packets: 7,
            ..BlockedFlow::NONE
        };
        explainer.explain(&flow, &Names::default(), clock)
    });
    let flows: Vec<Flow> = flows.collect();
    let suggested = text(&flows, &policy, clock);

    let changed = load(&format!("{POLICY}\n{suggested}\n"));
    for question in asked() {
        assert!(
            passes(&changed, &machine, &question),
            "{question:?}\n{suggested}"
        );
    }
    assert_eq!(
        changed.rules().count(),
        policy.rules().count() + asked().len() - 2,
        "of what is alike there is one rule\n{suggested}"
    );
    for part in [
        "# 7 packets, the last ",
        "tcp/9102 from 10.9.9.8 to 10.2.0.10, inbound on 0, not-allowed",
        "from = [\"10.9.9.8\", \"10.9.9.9\"]",
        "name = \"tcp-9102-2\"",
        "[[outbound.allow]]\nname = \"udp-53\"",
        "from = [\"10.2.0.10\"]\nto = [\"192.0.2.53\", \"239.1.2.3\"]",
        "# or add to [peers]: dhcp-relay = [\"192.0.2.7\"]",
    ] {
        assert!(suggested.contains(part), "no {part} in\n{suggested}");
    }
}
