//! Warnings about the site's own rules.

use super::*;

#[test]
fn rules_that_let_anybody_in_are_named() {
    let mut policy = policy(
        &[SERVER, CLIENTS],
        vec![entry("dp", "distribution-point", "")],
    );
    policy.allow = vec![
        rule("wide", "tcp/100-445", "", ""),
        rule("narrow", "tcp/445", "192.0.2.0/24", ""),
        rule("harmless", "tcp/22", "", ""),
    ];
    expect(
        &policy,
        "open-to-anybody",
        &[": rule `wide` lets anybody open tcp 135, 139, 445"],
    );
}

#[test]
fn rules_that_change_nothing_are_named() {
    let mut policy = policy(
        &[SERVER, CLIENTS],
        vec![entry("dp", "distribution-point", "10.2.0.0/24")],
    );
    policy.allow = vec![
        rule("web", "tcp/80", "10.64.1.0/24", ""),
        rule("web-for-others", "tcp/80", "192.0.2.0/24", ""),
        rule("inside", "tcp/22", "10.2.0.7/32", ""),
        rule("group", "tcp/22", "224.0.0.0/4", ""),
        rule("ssh", "tcp/20-30", "192.0.2.0/24", ""),
        rule("ssh-again", "tcp/22", "192.0.2.7/32", "10.2.0.1/32"),
        rule("ssh-wider", "tcp/22", "192.0.0.0/16", ""),
        rule("twin", "udp/514", "192.0.2.0/24", ""),
        rule("twin-2", "udp/514", "192.0.2.0/24", ""),
    ];
    expect(
        &policy,
        "rule-without-effect",
        &[
            "15: rule `web` changes nothing: link 15 lets in what it lets in",
            ": rule `inside` changes nothing: all its sources are protected systems",
            ": rule `group` changes nothing: no packet comes from a multicast address",
            ": rule `ssh-again` changes nothing: rule `ssh` lets in",
            ": rule `twin-2` changes nothing: rule `twin` lets in",
        ],
    );
}

#[test]
fn rules_that_no_packet_can_match_are_named() {
    let mut policy = policy(
        &[SERVER, CLIENTS],
        vec![entry("dp", "distribution-point", "10.2.0.0/24")],
    );
    policy.allow = vec![
        rule(
            "session",
            "tcp/22",
            "192.0.2.0/24",
            "239.1.2.3/32 ff15::/16",
        ),
        rule("ping", "icmp/8", "192.0.2.0/24", "255.255.255.255/32"),
        rule("stream", "udp/5004", "192.0.2.0/24", "239.1.2.3/32"),
        rule("some", "tcp/22", "192.0.2.0/24", "239.1.2.3/32 10.2.0.1/32"),
        rule("igmp", "ip/2", "192.0.2.0/24", ""),
        rule("neighbours", "icmpv6/135", "fd00::/8", ""),
        rule("timestamps", "icmp/13", "192.0.2.0/24", ""),
    ];
    policy.management = vec![
        rule("vrrp", "ip/112", "192.0.2.3/32 fe80::/10", ""),
        rule("vrrp-group", "ip/112", "224.0.0.18/32", ""),
        rule("errors", "icmp/3", "192.0.2.3/32", ""),
        rule("vrrp-again", "ip/112", "192.0.2.3/32", ""),
        rule("inside", "tcp/22", "10.2.0.7/32", ""),
    ];
    expect(
        &policy,
        "rule-without-effect",
        &[
            ": rule `session` changes nothing: TCP and echo requests never reach a group",
            ": rule `ping` changes nothing: TCP and echo requests never reach a group",
            ": rule `igmp` changes nothing: it is about essentials",
            ": rule `neighbours` changes nothing: it is about essentials",
            ": rule `vrrp-group` changes nothing: no packet comes from a multicast address",
            ": rule `errors` changes nothing: it is about essentials",
            ": rule `vrrp-again` changes nothing: rule `vrrp` lets in",
        ],
    );
}

#[test]
fn ports_inside_the_rpc_range_are_named() {
    let mut policy = policy(
        &[SERVER, CLIENTS],
        vec![entry("dp", "distribution-point", "")],
    );
    expect(&policy, "port-in-rpc-range", &[]);
    policy.site.http =
        crate::site::HttpPorts::new(49200.try_into().unwrap(), 443.try_into().unwrap()).unwrap();
    expect(
        &policy,
        "port-in-rpc-range",
        &["15 19: http on tcp 49200 (links 15, 19) lies in the dynamic RPC range 49152-65535"],
    );
}

#[test]
fn icmp_of_the_other_family_changes_nothing() {
    let mut policy = policy(&[], vec![entry("dp", "distribution-point", "10.2.0.10/32")]);
    for (target, from, idle) in [
        ("icmp/8", "2001:db8::/32", true),
        ("icmpv6/128", "10.0.0.0/8", true),
        ("icmp/8", "2001:db8::/32 10.0.0.0/8", false),
        ("icmpv6/128", "2001:db8::/32", false),
    ] {
        policy.allow = vec![rule("ping", target, from, "")];
        let expected: &[&str] = match idle {
            true => &[": rule `ping` changes nothing: icmp is of IPv4"],
            false => &[],
        };
        expect(&policy, "rule-without-effect", expected);
    }
}

#[test]
fn a_port_of_another_service_is_named() {
    let mut policy = policy(&[], vec![entry("dp", "distribution-point", "10.2.0.10/32")]);
    let kind = "port-of-another-service";
    expect(&policy, kind, &[]);
    let port = |number: u16| number.try_into().unwrap();
    policy.site.http = crate::site::HttpPorts::new(port(445), port(8443)).unwrap();
    policy.site.sql = port(80);
    expect(
        &policy,
        kind,
        &[
            ": http was moved to tcp/445, the port of smb",
            ": sql was moved to tcp/80, the port of http",
        ],
    );
    // These are WSUS's own, and HTTP's.
    policy.site.http = crate::site::HttpPorts::new(port(8530), port(8531)).unwrap();
    policy.site.sql = port(1433);
    expect(&policy, kind, &[]);
}

#[test]
fn rules_for_what_goes_out_that_change_nothing_are_named() {
    let dp = || vec![entry("dp", "distribution-point", "10.2.0.1/32")];
    let mut policy = policy(&[], dp());
    policy.outbound_allow = vec![
        rule("wide", "udp/53", "", "10.1.0.0/16"),
        rule("narrow", "udp/53", "10.2.0.1/32", "10.1.0.5/32"),
        rule("web", "tcp/443", "", ""),
        Rule {
            internet: true,
            ..rule("internet", "udp/53", "", "")
        },
        rule("group", "tcp/80", "", "239.1.2.3/32"),
        rule("ping", "icmp/3", "", ""),
    ];
    let idle = [
        ": rule `narrow` changes nothing: rule `wide` lets in",
        ": rule `group` changes nothing: TCP and echo requests",
        ": rule `ping` changes nothing: it is about essentials",
    ];
    expect(&policy, "rule-without-effect", &idle);
    expect(&policy, "no-outbound-rule", &[]);
    policy.outbound = Outbound::Track;
    let unjudged = warnings(&policy, "rule-without-effect");
    assert_eq!(unjudged.len(), 6, "{unjudged:#?}");
}
