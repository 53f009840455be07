//! What `rpc = "tracked"` takes from each role, and what it gives for it.

use super::*;
use crate::catalog::{PortSpec, Protocol, Service};
use crate::policy::Allow;
use crate::site::HttpPorts;
use sccm_common::policy::Access;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

const LOCAL: &str = "192.0.2.1";
const PEER: &str = "198.51.100.1";

/// Sites that differ in what lies in the dynamic range, and in who has it.
fn sites(catalog: &'static Catalog) -> [Site; 4] {
    let port = |text: &str| text.parse().unwrap();
    let usual = Site::new(catalog);
    let moved = Site {
        http: HttpPorts::new(port("49200"), port("443")).unwrap(),
        rpc_dynamic_with_mapper: true,
        ..usual.clone()
    };
    let features = Site {
        features: catalog.features().into_iter().map(str::to_owned).collect(),
        site_server_initiated_only: true,
        ..usual.clone()
    };
    // It covers ports of other services.
    let early = Site {
        rpc_range: "1025-5000".parse().unwrap(),
        ..features.clone()
    };
    [usual, moved, features, early]
}

fn of_role(site: &Site, role: &RoleId, rpc: Rpc) -> SitePolicy {
    SitePolicy {
        site: site.clone(),
        outbound: Outbound::Enforce,
        protect: vec![Protected {
            name: "system".to_owned(),
            roles: vec![role.clone()],
            addresses: Vec::new(),
            rpc,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    }
}

fn compiled(policy: &SitePolicy) -> Compiled {
    let request = Request {
        policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    compile(&request, ServiceNames::default()).unwrap()
}

fn access_of(compiled: &Compiled, local: &str, peer: &str) -> Access {
    let end = |text: &str| -> IpAddr { text.parse().unwrap() };
    *compiled.access(end(local), end(peer))
}

fn is_dynamic(service: &Service) -> bool {
    service.ports.contains(&PortSpec::Dynamic)
}

/// The TCP ports of rows, as the document and the site say, with or without the dynamic range.
fn ports<'a>(
    site: &Site,
    rows: impl Iterator<Item = &'a Service>,
    with_dynamic: bool,
) -> Vec<bool> {
    let mut open = vec![false; 1 << 16];
    let range = RangeInclusive::from(site.rpc_range);
    for row in rows.filter(|row| row.protocol == Protocol::Tcp) {
        for port in site.resolve(row).into_iter().flatten() {
            if with_dynamic || !is_dynamic(row) || !range.contains(&port) {
                open[usize::from(port)] = true;
            }
        }
    }
    open
}

/// The first and the last port of whatever the document and the site name, and those beside them.
fn bounds(site: &Site) -> BTreeSet<u16> {
    let rows = site.catalog.all_links().flat_map(|link| &link.services);
    let ranges = rows.flat_map(|row| site.resolve(row));
    let ranges = ranges.chain([site.rpc_range.into(), 49152..=65535]);
    let ends = ranges.flat_map(|range| [*range.start(), *range.end()]);
    let near = ends.flat_map(|port| [port.saturating_sub(1), port, port.saturating_add(1)]);
    near.filter(|port| *port > 0).collect()
}

#[test]
fn each_role_loses_the_dynamic_range_and_nothing_else() {
    for catalog in Edition::ALL.map(Catalog::of) {
        for site in sites(catalog) {
            let known = ports(
                &site,
                catalog.all_links().flat_map(|link| &link.services),
                false,
            );
            let range = RangeInclusive::from(site.rpc_range);
            let ports_to_try = match site == Site::new(catalog) {
                true => (1..=u16::MAX).collect::<BTreeSet<u16>>(),
                false => bounds(&site),
            };
            for role in &catalog.roles {
                let [before, after] =
                    [Rpc::Static, Rpc::Tracked].map(|rpc| compiled(&of_role(&site, &role.id, rpc)));
                let [old, new] = [&before, &after].map(|one| access_of(one, LOCAL, PEER));
                let into: Vec<&Service> = site.links_into(role).map(|found| found.2).collect();
                let out: Vec<&Service> = site.links_out_of(role).map(|found| found.2).collect();
                let of_either = into.iter().chain(&out);
                let tracks = of_either.copied().any(is_dynamic);
                for (rows, old, new) in [
                    (&into, old.inbound, new.inbound),
                    (&out, old.outbound, new.outbound),
                ] {
                    let all = ports(&site, rows.iter().copied(), true);
                    let fixed = ports(&site, rows.iter().copied(), false);
                    for port in ports_to_try.iter().copied() {
                        let at = usize::from(port);
                        let context = || format!("{} {port}", role.id);
                        let class = before.policy.tcp[at];
                        assert_eq!(old.contains(class), all[at], "static: {}", context());
                        let class = after.policy.tcp[at];
                        assert_eq!(new.contains(class), fixed[at], "{}", context());
                        let is_dynamic = tracks && range.contains(&port) && !known[at];
                        let found = after.policy.dynamic.contains(class);
                        assert_eq!(found, is_dynamic, "{}", context());
                    }
                    let has_range = rows.iter().copied().any(is_dynamic);
                    assert_eq!(
                        new.contains(ServiceClass::HANDED_OUT),
                        has_range,
                        "{}",
                        role.id
                    );
                    assert!(!old.contains(ServiceClass::HANDED_OUT), "{}", role.id);
                }
                assert_eq!(before.policy.dynamic, ServiceSet::default(), "{}", role.id);
                // Nothing but TCP changes.
                assert_eq!(before.policy.udp[..], after.policy.udp[..]);
                let of_udp: BTreeSet<ServiceClass> = after.policy.udp.iter().copied().collect();
                for class in of_udp {
                    let rights = |access: Access| [access.inbound, access.outbound];
                    let [old, new] = [old, new]
                        .map(|access| rights(access).map(|rights| rights.contains(class)));
                    assert_eq!(old, new, "{}", role.id);
                }
            }
        }
    }
}

/// Rights are of pairs, the range is of the policy.
#[test]
fn entries_are_tracked_one_by_one() {
    let prefix = |text: &str| text.parse().unwrap();
    let entry = |name: &str, rpc, addresses: &[&str]| Protected {
        name: name.to_owned(),
        roles: vec!["distribution-point".into()],
        addresses: addresses.iter().map(|text| prefix(text)).collect(),
        rpc,
        elsewhere: false,
    };
    let policy = SitePolicy {
        outbound: Outbound::Enforce,
        peers: Some(BTreeMap::from([(
            RoleId::from("site-server"),
            vec![prefix("198.51.100.1/32")],
        )])),
        protect: vec![
            entry("tracked", Rpc::Tracked, &["192.0.2.1/32", "192.0.2.3/32"]),
            entry("static", Rpc::Static, &["192.0.2.2/32", "192.0.2.3/32"]),
        ],
        ..SitePolicy::default()
    };
    let compiled = compiled(&policy);
    let class = compiled.policy.tcp[50000];
    assert!(compiled.policy.dynamic.contains(class));
    for (local, peer, is_open, is_handed_out) in [
        ("192.0.2.1", PEER, false, true),
        ("192.0.2.2", PEER, true, false),
        // Rights add up.
        ("192.0.2.3", PEER, true, true),
        ("192.0.2.1", "198.51.100.2", false, false),
        ("192.0.2.9", PEER, false, false),
    ] {
        let inbound = access_of(&compiled, local, peer).inbound;
        let found = (
            inbound.contains(class),
            inbound.contains(ServiceClass::HANDED_OUT),
        );
        assert_eq!(found, (is_open, is_handed_out), "{local} {peer}");
    }
    // Another mode is other tables, although every port is of the same class.
    let mut other = policy.clone();
    other.protect[0].rpc = Rpc::Static;
    assert_ne!(compiled.info.tables, self::compiled(&other).info.tables);
    assert_ne!(compiled.info.hash, self::compiled(&other).info.hash);
}

#[test]
fn what_is_handed_out_is_a_right_of_which_the_use_is_counted() {
    let role = RoleId::from("distribution-point");
    let rows = |rpc| {
        let compiled = compiled(&of_role(&Site::default(), &role, rpc));
        let rows = compiled.rows.into_iter();
        let rows: Vec<_> = rows.map(|row| (row.identity, row.granted)).collect();
        rows
    };
    let tracked = rows(Rpc::Tracked);
    assert!(!tracked.is_empty());
    assert_eq!(tracked, rows(Rpc::Static));
}

/// What the operator writes stays as it is written.
#[test]
fn a_rule_of_the_site_is_a_service_of_its_own() {
    let role = RoleId::from("distribution-point");
    let with = |allow: &str| {
        let allow: Allow = allow.parse().unwrap();
        let mut policy = of_role(&Site::default(), &role, Rpc::Tracked);
        policy.allow.push(Rule::from(&allow));
        compiled(&policy)
    };
    let open = |compiled: &Compiled, peer: &str, port: u16| {
        let class = compiled.policy.tcp[usize::from(port)];
        let is_open = access_of(compiled, LOCAL, peer).inbound.contains(class);
        (is_open, compiled.policy.dynamic.contains(class))
    };
    let one = with("tcp/50000@198.51.100.1");
    assert_eq!(open(&one, PEER, 50000), (true, false));
    assert_eq!(open(&one, "198.51.100.2", 50000), (false, false));
    for port in [49152, 49999, 50001, 65535] {
        assert_eq!(open(&one, PEER, port), (false, true), "{port}");
    }
    let all = with("tcp/49152-65535@198.51.100.1");
    assert_eq!(open(&all, PEER, 50000), (true, false));
    assert_eq!(all.policy.dynamic, ServiceSet::default());
}

/// What a set lists is what Windows does, and no port of the site's own.
#[test]
fn the_range_of_a_set_is_tracked_like_that_of_a_link() {
    let text = |first: &str, second: &str| {
        format!(
            r#"
            [site]
            edition = "current-branch"
            outbound = "enforce"
            rpc = "{first}"
            sets = ["domain-member"]
            [peers]
            domain-controller = ["10.1.0.10"]
            [[protect]]
            name = "one"
            roles = ["client"]
            addresses = ["10.2.0.1"]
            [[protect]]
            name = "two"
            rpc = "{second}"
            roles = ["client"]
            addresses = ["10.2.0.2"]
            "#
        )
    };
    let dc = "10.1.0.10";
    for (first, second, expected) in [
        ("static", "static", [(true, false), (true, false)]),
        ("tracked", "tracked", [(false, true), (false, true)]),
        ("tracked", "static", [(false, true), (true, false)]),
        ("static", "tracked", [(true, false), (false, true)]),
    ] {
        let policy = crate::config::parse(&text(first, second)).unwrap();
        let compiled = compiled(&policy);
        for (local, (is_open, is_handed_out)) in ["10.2.0.1", "10.2.0.2"].iter().zip(expected) {
            let outbound = access_of(&compiled, local, dc).outbound;
            let may = |port: usize| outbound.contains(compiled.policy.tcp[port]);
            let context = format!("{first} {second} {local}");
            assert_eq!(may(50000), is_open, "{context}");
            assert_eq!(
                outbound.contains(ServiceClass::HANDED_OUT),
                is_handed_out,
                "{context}"
            );
            assert!(may(135) && may(445) && !may(1433), "{context}");
            let other = access_of(&compiled, local, "10.1.0.11").outbound;
            assert!(!other.contains(ServiceClass::HANDED_OUT), "{context}");
        }
        let class = compiled.policy.tcp[50000];
        let is_dynamic = compiled.policy.dynamic.contains(class);
        assert_eq!(is_dynamic, first != "static" || second != "static");
    }
}

/// With more rules than there are numbers, ports of rules with the same rights share a class: the
/// dynamic range shares none.
#[test]
fn the_range_shares_no_class_with_a_rule() {
    let mut policy = crate::config::parse(
        r#"
        [site]
        edition = "current-branch"
        outbound = "enforce"
        rpc = "tracked"
        sets = ["domain-member"]
        [peers]
        domain-controller = ["10.1.0.10"]
        [[protect]]
        name = "one"
        roles = ["client"]
        addresses = ["10.2.0.1"]
        "#,
    )
    .unwrap();
    // For the ends of the set, so that rights do not tell their ports from the set's.
    let rule = |port: u16| Rule {
        targets: vec![Target::Tcp(port..=port)],
        tracked: false,
        ..policy.outbound_allow[0].clone()
    };
    let ports = (20000..20300).chain([50000]);
    let rules: Vec<Rule> = ports.map(rule).collect();
    policy.outbound_allow.extend(rules);
    let compiled = compiled(&policy);
    let dynamic = compiled.policy.dynamic;
    for port in 1..=u16::MAX {
        let is_dynamic = dynamic.contains(compiled.policy.tcp[usize::from(port)]);
        assert_eq!(is_dynamic, port >= 49152 && port != 50000, "{port}");
    }
}
