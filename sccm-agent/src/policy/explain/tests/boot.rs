//! Computers that boot from the network, and relays for them.

use super::*;

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
