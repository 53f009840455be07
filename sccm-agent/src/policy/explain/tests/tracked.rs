//! What is said of ports that an endpoint mapper hands out.

use super::*;
use crate::policy::Rpc;
use crate::policy::explain::Running;
use crate::policy::{Allow, Tables};

fn tracked() -> SitePolicy {
    let mut policy = policy();
    policy.protect[0].rpc = Rpc::Tracked;
    policy
}

fn tcp(port: u16) -> Target {
    Target::Tcp(port..=port)
}

#[test]
fn a_port_of_the_range_waits_for_the_mapper() {
    let server = "10.1.0.5";
    let policy = tracked();
    let ask = |peer: &str, port| ask_of(&policy, Opener::Peer, "192.168.1.2", peer, tcp(port));
    let answer = ask(server, 50000);
    assert!(!answer.allowed && answer.if_handed_out);
    assert_eq!(answer.reason, Some("rpc-not-named"));
    assert!(links(&answer.because).contains(&("14", "site-server", "distribution-point")));
    // No role helps further; a rule would.
    assert!(answer.advice.would_allow.is_empty());
    let hints = answer.advice.hints;
    let tables: Vec<&str> = hints.iter().map(|hint| hint.table.as_str()).collect();
    assert_eq!(tables, ["[[allow]]"]);

    // The mapper itself, and whoever has no right to what it hands out.
    let answer = ask(server, 135);
    assert!(answer.allowed && !answer.if_handed_out);
    let answer = ask("10.9.9.9", 50000);
    assert!(!answer.allowed && !answer.if_handed_out && answer.because.is_empty());
    assert_eq!(answer.reason, Some("not-allowed"));
    let would = links(&answer.advice.would_allow);
    assert!(
        would.contains(&("14", "site-server", "distribution-point")),
        "{would:?}"
    );
}

/// A rule that lets one of its ports in is all that lets it in.
#[test]
fn a_port_with_a_rule_is_open_by_it_alone() {
    let mut policy = tracked();
    let allow: Allow = "tcp/50000".parse().unwrap();
    policy.allow = vec![Rule::from(&allow)];
    let answer = ask_of(&policy, Opener::Peer, "192.168.1.2", "10.1.0.5", tcp(50000));
    assert!(answer.allowed && !answer.if_handed_out);
    assert_eq!(
        answer.because,
        [Ground::Rule {
            name: "tcp/50000".to_owned(),
            reason: String::new()
        }]
    );
}

#[test]
fn what_goes_out_waits_where_it_is_judged() {
    let mut policy = tracked();
    policy.protect[0].roles = vec!["site-server".into()];
    policy.peers = None;
    let mut ask = |outbound| {
        policy.outbound = outbound;
        ask_of(
            &policy,
            Opener::Protected,
            "192.168.1.2",
            "10.3.0.9",
            tcp(50000),
        )
    };
    let answer = ask(Outbound::Enforce);
    assert!(!answer.allowed && answer.if_handed_out && !answer.because.is_empty());
    for outbound in [Outbound::Track, Outbound::Off] {
        let answer = ask(outbound);
        assert!(answer.allowed && !answer.if_handed_out);
        assert_eq!(answer.because, [Ground::OutboundNotEnforced]);
    }
}

/// The tables alone say the same.
#[test]
fn the_kernel_says_the_same() {
    for policy in [policy(), tracked()] {
        let machine = Surroundings::gateway(&["192.168.1.1".parse().unwrap()]);
        let request = Request {
            policy: &policy,
            machine: &machine,
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default()).unwrap();
        let running = Running {
            info: compiled.info,
            tables: Tables::from(&compiled),
            names: compiled.services.clone(),
        };
        for opener in [Opener::Peer, Opener::Protected] {
            for peer in ["10.1.0.5", "10.9.9.9", "192.0.2.1"] {
                for port in [80, 135, 445, 9102, 49152, 50000, 65535] {
                    let question = Question {
                        opener,
                        protected: "192.168.1.2".parse().unwrap(),
                        peer: peer.parse().unwrap(),
                        target: tcp(port),
                    };
                    let written = answer(&request, &compiled, &question).unwrap();
                    let live = running.explain(&question, false);
                    let of = |answer: &Explanation| {
                        (answer.allowed, answer.reason, answer.if_handed_out)
                    };
                    assert_eq!(of(&live), of(&written), "{question:?}");
                    assert_eq!(live.because.is_empty(), written.because.is_empty());
                }
            }
        }
    }
}
