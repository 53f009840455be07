mod rules;
mod tracked;

use super::*;
use crate::catalog::{Catalog, Edition, RoleId};
use crate::policy::{Outbound, Protected, Rpc, Rule, SitePolicy};
use crate::site::Site;
use ipnet::IpNet;
use std::collections::BTreeMap;

fn nets(list: &str) -> Vec<IpNet> {
    list.split_whitespace()
        .map(|text| text.parse().unwrap())
        .collect()
}

fn entry(name: &str, roles: &str, addresses: &str) -> Protected {
    Protected {
        name: name.to_owned(),
        roles: roles.split_whitespace().map(RoleId::from).collect(),
        addresses: nets(addresses),
        rpc: Rpc::Static,
        elsewhere: false,
    }
}

fn rule(name: &str, target: &str, from: &str, to: &str) -> Rule {
    Rule {
        tracked: false,
        internet: false,
        name: name.to_owned(),
        targets: vec![crate::policy::parse_target(target).unwrap()],
        from: nets(from),
        to: nets(to),
        reason: "why".to_owned(),
    }
}

/// A policy whose peers are `role: prefixes`; outbound is enforced.
fn policy(peers: &[(&str, &str)], protect: Vec<Protected>) -> SitePolicy {
    let peers: BTreeMap<RoleId, Vec<IpNet>> = peers
        .iter()
        .map(|(role, list)| (RoleId::from(*role), nets(list)))
        .collect();
    SitePolicy {
        peers: Some(peers),
        protect,
        outbound: Outbound::Enforce,
        ..SitePolicy::default()
    }
}

/// The warnings of one kind, as `links: message`.
fn warnings(policy: &SitePolicy, kind: &str) -> Vec<String> {
    let view = View::new(policy).unwrap();
    of(&view)
        .iter()
        .filter(|warning| warning.kind == kind)
        .map(|warning| format!("{}: {}", warning.links.join(" "), warning.message))
        .collect()
}

#[track_caller]
fn expect(policy: &SitePolicy, kind: &str, expected: &[&str]) {
    let found = warnings(policy, kind);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nis not {expected}");
    }
}

const SERVER: (&str, &str) = ("site-server", "10.1.0.5/32");
const CLIENTS: (&str, &str) = ("client", "10.64.0.0/12");

#[test]
fn what_anybody_may_open_is_named_with_its_links() {
    let dp = || vec![entry("dp", "distribution-point", "")];
    let open = SitePolicy {
        protect: dp(),
        ..SitePolicy::default()
    };
    expect(
        &open,
        "open-to-anybody",
        &[
            "14 15: `dp`: anybody may open smb (tcp 445) by links 14, 15: name the holders of",
            "14 dp-package-install: `dp`: anybody may open rpc-endpoint-mapper (udp 135)",
            "14 dp-package-install: `dp`: anybody may open rpc-endpoint-mapper (tcp 135)",
            "14 dp-package-install: `dp`: anybody may open rpc-dynamic (tcp 49152-65535)",
        ],
    );
    expect(&policy(&[SERVER, CLIENTS], dp()), "open-to-anybody", &[]);
    expect(
        &policy(&[SERVER, ("client", "0.0.0.0/0 ::/0")], dp()),
        "open-to-anybody",
        &["15: `dp`: anybody may open smb (tcp 445) by link 15: name the holders of client"],
    );
}

#[test]
fn sql_is_open_to_anybody_only_where_no_peer_is_named() {
    let db = || vec![entry("db", "sql-server", "")];
    expect(&policy(&[SERVER], db()), "open-to-anybody", &[]);
    let open = SitePolicy {
        protect: db(),
        ..SitePolicy::default()
    };
    let found = warnings(&open, "open-to-anybody");
    let sql = |text: &String| text.contains("anybody may open sql (tcp 1433)");
    assert!(found.iter().any(sql), "{found:#?}");
}

#[test]
fn roles_on_one_host_reopen_what_separate_hosts_close() {
    let both = "site-server distribution-point";
    let together = policy(&[SERVER, CLIENTS], vec![entry("all", both, "10.2.0.1/32")]);
    let found = warnings(&together, "co-located-roles");
    let smb = "15: `all`: client may open smb (tcp 445) because of distribution-point (link 15); on \
               a host of its own, site-server would be closed to it";
    assert!(found.contains(&smb.to_owned()), "{found:#?}");
    let apart = policy(
        &[SERVER, CLIENTS],
        vec![
            entry("a", "site-server", "10.2.0.1/32"),
            entry("b", "distribution-point", "10.2.0.2/32"),
        ],
    );
    expect(&apart, "co-located-roles", &[]);
}

#[test]
fn a_site_server_that_may_open_smb_to_clients_is_named() {
    let server = || vec![entry("srv", "primary-site-server", "10.2.0.1/32")];
    let mut tracked = policy(&[CLIENTS], server());
    tracked.outbound = Outbound::Track;
    expect(
        &tracked,
        "smb-to-clients",
        &[": `srv` is a site server and may open SMB to clients, because what it opens"],
    );
    let narrow = ("distribution-point", "10.64.0.9/32");
    expect(&policy(&[CLIENTS, narrow], server()), "smb-to-clients", &[]);
    let wide = ("distribution-point", "10.0.0.0/8");
    expect(
        &policy(&[CLIENTS, wide], server()),
        "smb-to-clients",
        &["14: `srv` is a site server and may open SMB to clients by link 14"],
    );
    let other = policy(&[CLIENTS, wide], vec![entry("mp", "management-point", "")]);
    expect(&other, "smb-to-clients", &[]);
}

#[test]
fn what_goes_out_unjudged_is_named() {
    let dp = || vec![entry("dp", "distribution-point", "")];
    for mode in [Outbound::Track, Outbound::Off] {
        let mut policy = policy(&[SERVER], dp());
        policy.outbound = mode;
        expect(
            &policy,
            "outbound-not-enforced",
            &[": `dp` may open anything to anybody"],
        );
        expect(&policy, "no-outbound-rule", &[]);
    }
    let enforced = policy(&[SERVER], dp());
    expect(&enforced, "outbound-not-enforced", &[]);
    expect(&enforced, "no-outbound-rule", &[": `dp` may open nothing"]);
    let point = || vec![entry("mp", "management-point", "10.2.0.1/32")];
    expect(&policy(&[SERVER], point()), "no-outbound-rule", &[]);
    expect(
        &policy(&[CLIENTS], point()),
        "no-outbound-rule",
        &[": `mp` may open nothing"],
    );
}

#[test]
fn roles_that_nobody_holds_are_named() {
    let dp = || vec![entry("dp", "distribution-point", "10.2.0.1/32")];
    expect(
        &policy(&[CLIENTS], dp()),
        "role-without-address",
        &[
            "19: nobody holds branch-distribution-point, so nobody gets in at `dp` by link 19",
            "14 dp-package-install: nobody holds site-server, so nobody gets in at `dp` by links 14, dp-package-install",
        ],
    );
    let boot = policy(
        &[("pxe-client", "10.3.0.0/16"), SERVER],
        vec![entry("pxe", "pxe-service-point", "10.2.0.1/32")],
    );
    // Nobody holds `client`, but booting computers are asked for first.
    expect(
        &boot,
        "role-without-address",
        &["38: nobody holds sql-server, so `pxe` can open nothing by link 38"],
    );
    let open = SitePolicy {
        protect: dp(),
        ..SitePolicy::default()
    };
    expect(&open, "role-without-address", &[]);
}

#[test]
fn a_narrow_prefix_that_gains_the_rights_of_a_wide_one_is_named() {
    let db = || vec![entry("db", "provider", "10.2.0.1/32")];
    let wide = ("site-server", "10.0.0.0/8");
    expect(
        &policy(&[wide, ("client", "10.64.0.0/12")], db()),
        "prefix-within-prefix",
        &[
            "20: 10.64.0.0/12 of client lies within a prefix of site-server, and rights add up: it \
           may open rpc-dynamic, rpc-endpoint-mapper, smb as site-server may (link 20)",
        ],
    );
    // The same prefix twice is no accident, and more rights inside fewer are usual.
    expect(
        &policy(&[wide, ("client", "10.0.0.0/8")], db()),
        "prefix-within-prefix",
        &[],
    );
    expect(
        &policy(
            &[("site-server", "10.1.0.5/32"), ("client", "10.0.0.0/8")],
            db(),
        ),
        "prefix-within-prefix",
        &[],
    );
    let inside = policy(
        &[SERVER],
        vec![
            entry("all", "distribution-point", "10.2.0.0/24"),
            entry("db", "provider", "10.2.0.1/32"),
        ],
    );
    expect(
        &inside,
        "prefix-within-prefix",
        &[
            ": 10.2.0.1 of `db` lies within a prefix of `all`, and rights add up: it is \
           distribution-point as well",
        ],
    );
}

#[test]
fn both_halves_of_a_family_are_anybody() {
    let protect = || vec![entry("dp", "distribution-point", "10.2.0.10/32")];
    let mut halves = policy(&[("site-server", "0.0.0.0/1 128.0.0.0/1")], protect());
    let whole = policy(&[("site-server", "0.0.0.0/0")], protect());
    let expected = warnings(&whole, "open-to-anybody");
    assert!(!expected.is_empty());
    assert_eq!(warnings(&halves, "open-to-anybody"), expected);
    halves.peers = Some(BTreeMap::new());
    halves.allow = vec![rule("wide", "tcp/445", "0.0.0.0/1 128.0.0.0/1", "")];
    expect(
        &halves,
        "open-to-anybody",
        &[": rule `wide` lets anybody open tcp 445"],
    );
    halves.allow = vec![rule("half", "tcp/445", "128.0.0.0/1", "")];
    expect(&halves, "open-to-anybody", &[]);
}

#[test]
fn addresses_that_no_system_has_are_named() {
    let protect = vec![entry(
        "dp",
        "distribution-point",
        "10.2.0.10/32 224.0.0.9/32",
    )];
    let mut policy = policy(
        &[(
            "client",
            "::ffff:10.0.0.1/128 ff02::/16 10.0.0.0/8 ::/0 0.0.0.0/0",
        )],
        protect,
    );
    policy.allow = vec![rule("odd", "udp/9", "255.255.255.255/32", "")];
    expect(
        &policy,
        "address-of-nobody",
        &[
            ": [peers] client has ::ffff:10.0.0.1/128: it is IPv4-mapped",
            ": [peers] client has ff02::/16: it is multicast",
            ": `dp` has 224.0.0.9/32: it is multicast",
            ": rule `odd` has 255.255.255.255/32: it is broadcast",
        ],
    );
}

#[test]
fn a_role_that_the_site_knows_nobody_holds_is_no_warning() {
    let protect = || vec![entry("dp", "distribution-point", "10.2.0.10/32")];
    let kind = "role-without-address";
    let named = |policy: &SitePolicy| {
        let found = warnings(policy, kind);
        found
            .iter()
            .any(|text| text.contains("nobody holds branch-distribution-point"))
    };
    assert!(named(&policy(&[SERVER, CLIENTS], protect())));
    let known = policy(
        &[SERVER, CLIENTS, ("branch-distribution-point", "")],
        protect(),
    );
    assert!(!named(&known), "{:?}", warnings(&known, kind));
}

#[test]
fn roles_that_the_product_has_hardly_any_more() {
    let mut policy = policy(
        &[("mac-client", "10.1.0.0/16"), ("client", "10.2.0.0/16")],
        vec![entry(
            "e",
            "enrollment-point management-point",
            "10.3.0.1/32",
        )],
    );
    policy.site = Site::new(Catalog::of(Edition::CurrentBranch));
    expect(
        &policy,
        "stale-role",
        &[
            ": the product has hardly any use for enrollment-point: On-premises device management",
            ": the product has hardly any use for mac-client: The macOS client lost support",
        ],
    );
    // Nobody misses the enrollment proxy point, of which links of the enrollment point speak.
    let missed = warnings(&policy, "role-without-address").join("\n");
    assert!(
        missed.contains("nobody holds distribution-point"),
        "{missed}"
    );
    assert!(!missed.contains("enrollment-proxy-point"), "{missed}");
}

#[test]
fn client_push_is_what_opens_smb_to_clients() {
    let mut policy = policy(
        &[("client", "10.2.0.0/16")],
        vec![entry("s", "site-server", "10.3.0.1/32")],
    );
    policy.site = Site::new(Catalog::of(Edition::CurrentBranch));
    expect(&policy, "smb-to-clients", &[]);
    policy.site.features = ["client-push".to_owned()].into();
    let expected =
        "client-push: `s` is a site server and may open SMB to clients by link client-push";
    expect(&policy, "smb-to-clients", &[expected]);
    policy.outbound = Outbound::Track;
    expect(&policy, "smb-to-clients", &[expected]);
}

#[test]
fn what_windows_cannot_live_without_is_named_with_the_set_that_mends_it() {
    let dp = || vec![entry("dp", "distribution-point", "10.2.0.1/32")];
    let mut policy = policy(&[("client", "10.64.0.0/12")], dp());
    let needs = [
        ("cannot-resolve-names", "udp/53"),
        ("cannot-log-on", "tcp/88"),
        ("cannot-update", "tcp/443"),
    ];
    for (kind, target) in needs {
        expect(&policy, kind, &[": `dp` cannot "]);
        assert!(warnings(&policy, kind)[0].contains("add the set"));
        policy.outbound_allow = vec![rule("r", target, "10.2.0.9/32", "")];
        assert_eq!(warnings(&policy, kind).len(), 1, "another's rule");
        policy.outbound_allow = vec![rule("r", target, "10.2.0.1/32", "")];
        expect(&policy, kind, &[]);
        // Of two addresses, one is not enough.
        let one = policy.protect[0].addresses.clone();
        policy.protect[0]
            .addresses
            .push("2001:db8::1/128".parse().unwrap());
        assert_eq!(warnings(&policy, kind).len(), 1);
        policy.protect[0].addresses = one;
        policy.outbound_allow = vec![rule("r", target, "", "")];
        expect(&policy, kind, &[]);
        policy.outbound_allow.clear();
    }
    // By the proxy, whatever its port.
    policy.outbound_allow = vec![rule("windows-update", "tcp/8080", "", "10.1.0.80/32")];
    expect(&policy, "cannot-update", &[]);
    policy.outbound_allow.clear();
    policy.outbound = Outbound::Track;
    for (kind, _) in needs {
        expect(&policy, kind, &[]);
    }
}
