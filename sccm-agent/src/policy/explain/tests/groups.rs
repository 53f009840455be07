//! What is sent to groups.

use super::*;

/// Who may send what to a group: a policy of every shape, and the ground that it names.
#[test]
fn a_group_is_sent_only_what_is_for_many() {
    let dp = |addresses: &[&str], peers: bool| SitePolicy {
        peers: peers.then(|| policy().peers.unwrap()),
        protect: vec![Protected {
            name: "dp".to_owned(),
            roles: vec!["distribution-point".into(), "pxe-service-point".into()],
            addresses: addresses.iter().map(|p| p.parse().unwrap()).collect(),
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        allow: vec![
            Rule {
                tracked: false,
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
                tracked: false,
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
        tracked: false,
        internet: false,
        name: "syslog".to_owned(),
        targets: vec![Target::Udp(514..=514)],
        from: Vec::new(),
        to: Vec::new(),
        reason: String::new(),
    });
    policy.management.push(Rule {
        tracked: false,
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
