//! What is said of systems whose dynamic ports are tracked.

use super::*;
use crate::policy::Rpc;

fn tracked(mut entry: Protected) -> Protected {
    entry.rpc = Rpc::Tracked;
    entry
}

#[test]
fn tracking_ends_what_overlaps_the_range() {
    let moved = |entry| {
        let mut policy = policy(&[SERVER, CLIENTS], vec![entry]);
        let (http, https) = ("49200".parse().unwrap(), "443".parse().unwrap());
        policy.site.http = crate::site::HttpPorts::new(http, https).unwrap();
        policy
    };
    let entry = || entry("dp", "distribution-point", "10.2.0.1/32");
    assert_eq!(warnings(&moved(entry()), "port-in-rpc-range").len(), 1);
    expect(&moved(tracked(entry())), "port-in-rpc-range", &[]);
    let open = SitePolicy {
        protect: vec![tracked(super::entry("dp", "distribution-point", ""))],
        ..SitePolicy::default()
    };
    let found = warnings(&open, "open-to-anybody");
    assert!(
        found
            .iter()
            .any(|text| text.contains("rpc-endpoint-mapper")),
        "{found:#?}"
    );
    assert!(
        !found.iter().any(|text| text.contains("rpc-dynamic")),
        "{found:#?}"
    );
}

#[test]
fn what_stays_open_beside_what_is_tracked_is_named() {
    let site = |rpc| {
        let mut policy = policy(
            &[("domain-controller", "10.1.0.10/32")],
            vec![Protected {
                rpc,
                ..entry("site", "site-server", "10.2.0.5/32")
            }],
        );
        policy.site = Site::new(Catalog::of(Edition::CurrentBranch));
        policy
            .site
            .features
            .insert("discovery-and-publishing".to_owned());
        policy
    };
    expect(&site(Rpc::Static), "rpc-not-tracked", &[]);
    let tracked_site = site(Rpc::Tracked);
    let named = "discovery-and-publishing: `site`: link discovery-and-publishing also lists tcp/1024-5000, \
                 which stays open";
    expect(&tracked_site, "rpc-not-tracked", &[named]);

    let of_report = |policy: &SitePolicy| {
        let report = crate::check::Report::new(policy).unwrap();
        let warnings = report.warnings.into_iter();
        let found = warnings.filter(|warning| warning.kind == "rpc-not-tracked");
        found.map(|warning| warning.message).collect::<Vec<_>>()
    };
    let mut whole = policy(
        &[SERVER],
        vec![tracked(entry("dp", "distribution-point", "10.2.0.1/32"))],
    );
    whole.allow = vec![rule("one", "tcp/50000", "10.9.0.0/16", "")];
    assert_eq!(of_report(&whole), [""; 0]);
    // Nor is the rule idle, because the links open nothing there.
    expect(&whole, "rule-without-effect", &[]);
    whole
        .allow
        .push(rule("all", "tcp/49152-65535", "10.9.0.0/16", ""));
    let found = of_report(&whole);
    let [found] = &found[..] else {
        panic!("{found:#?}");
    };
    assert!(
        found.starts_with("rule `one`, `all` names all of tcp/49152-65535"),
        "{found}"
    );
}

#[test]
fn notes_say_what_is_tracked_and_what_could_be() {
    let notes = |protect: Vec<Protected>| {
        let policy = policy(&[SERVER, CLIENTS], protect);
        let report = crate::check::Report::new(&policy).unwrap();
        let notes = report.notes.into_iter();
        notes
            .map(|note| format!("{} {}: {}", note.kind, note.links.join(" "), note.message))
            .collect::<Vec<_>>()
    };
    let dp = || entry("dp", "distribution-point", "10.2.0.1/32");
    let found = notes(vec![dp()]);
    let [found] = &found[..] else {
        panic!("{found:#?}");
    };
    assert!(
        found.starts_with("rpc-static 14 dp-package-install: `dp`: the whole RPC"),
        "{found}"
    );
    let found = notes(vec![
        tracked(dp()),
        tracked(entry("agent", "client", "10.2.0.9/32")),
    ]);
    let [tracked, nothing] = &found[..] else {
        panic!("{found:#?}");
    };
    let links = "rpc-tracked 14 dp-package-install: `dp`: of the RPC dynamic range";
    assert!(tracked.starts_with(links), "{tracked}");
    let nowhere = "rpc-tracked-nothing : `agent`: rpc = \"tracked\" changes nothing";
    assert!(nothing.starts_with(nowhere), "{nothing}");
}
