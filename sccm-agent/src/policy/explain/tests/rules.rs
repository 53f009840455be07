//! Rules for what goes out, and for the Internet.

use super::*;

/// What is let out by a rule, and why.
#[test]
fn what_goes_out_may_be_let_out_by_a_rule() {
    let rule = |name: &str, target: Target, from: &[&str], to: &[&str], internet| Rule {
        name: name.to_owned(),
        targets: vec![target],
        from: from.iter().map(|one| one.parse().unwrap()).collect(),
        to: to.iter().map(|one| one.parse().unwrap()).collect(),
        tracked: false,
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
