//! What a role finds at its place in the table, under different settings.

use super::*;

/// "link: peer" for each link that others may open to the role, or the other way round.
fn peers(role: &str, site: &Site, into: bool) -> Vec<String> {
    let role = site.catalog.role(role).unwrap();
    let show = |(link, peer, _): (&Link, &RoleId, &Service)| format!("{}: {peer}", link.id);
    let mut found: Vec<String> = if into {
        site.links_into(role).map(show).collect()
    } else {
        site.links_out_of(role).map(show).collect()
    };
    found.dedup();
    found
}

#[test]
fn links_are_found_from_where_a_role_stands() {
    let site = Site::default();
    assert_eq!(
        peers("distribution-point", &site, true),
        [
            "14: site-server",
            "15: client",
            "19: branch-distribution-point",
            "dp-package-install: site-server"
        ]
    );
    assert!(peers("distribution-point", &site, false).is_empty());
    // An arrow both ways counts in both.
    assert_eq!(
        peers("management-point", &site, true),
        [
            "17: client",
            "35: site-server",
            "43: client-status-reporting-host"
        ]
    );
    assert_eq!(
        peers("management-point", &site, false),
        ["22: sql-server", "29: domain-controller", "35: site-server"]
    );
}

#[test]
fn a_role_has_the_links_of_what_it_is() {
    let site = Site::default();
    let catalog = site.catalog;
    let role = catalog.role("primary-site-server").unwrap();
    let lineage: Vec<&str> = catalog
        .lineage(role)
        .into_iter()
        .map(RoleId::as_str)
        .collect();
    assert_eq!(lineage, ["primary-site-server", "site-server"]);

    let primary = peers("primary-site-server", &site, false);
    let plain = peers("site-server", &site, false);
    assert!(plain.iter().all(|link| primary.contains(link)));
    let more: Vec<&String> = primary
        .iter()
        .filter(|link| !plain.contains(link))
        .collect();
    assert_eq!(more, ["2: domain-controller", "28: sql-server"]);
    assert_eq!(
        peers("primary-site-server", &site, true),
        peers("site-server", &site, true)
    );
    // Both ends of link 1 are site servers: it counts once in each direction.
    let of_link_1 = site.links_into(role).filter(|(link, ..)| link.id == "1");
    assert_eq!(of_link_1.count(), 2, "SMB and PPTP");
}

#[test]
fn only_the_site_server_opens_where_the_site_says_so() {
    let both = Site::default();
    let one_way = Site {
        site_server_initiated_only: true,
        ..Site::default()
    };
    let link_35 = "35: site-server".to_owned();
    assert!(peers("management-point", &both, false).contains(&link_35));
    assert!(!peers("management-point", &one_way, false).contains(&link_35));
    assert!(peers("management-point", &one_way, true).contains(&link_35));
    assert_eq!(
        peers("site-server", &one_way, true),
        [
            "1: site-server",
            "32: console",
            "39: asset-intelligence-synchronization-point",
            "A: out-of-band-service-point",
            "internet-based-install: internet-based-site-system"
        ],
        "links without an opener keep their arrow both ways"
    );
    assert_eq!(
        peers("site-server", &one_way, false),
        peers("site-server", &both, false)
    );
}

#[test]
fn opt_in_links_wait_for_their_feature() {
    let netbios = "remote-control-netbios: console".to_owned();
    assert!(!peers("client", &Site::default(), true).contains(&netbios));
    let site = Site {
        features: ["netbios-remote-control".to_owned()].into(),
        ..Site::default()
    };
    assert!(peers("client", &site, true).contains(&netbios));
    let known = ["named-pipes", "netbios-remote-control"];
    assert_eq!(site.catalog.features(), known.into());
}

#[test]
fn dynamic_ports_join_the_mapper_when_asked() {
    let services = |role: &str, link: &str, site: &Site| -> Vec<String> {
        site.links_into(site.catalog.role(role).unwrap())
            .filter(|(found, ..)| found.id == link)
            .map(|(.., service)| service.service.clone())
            .collect()
    };
    let site = Site {
        rpc_dynamic_with_mapper: true,
        ..Site::default()
    };
    assert_eq!(
        services("site-server", "32", &Site::default()),
        ["rpc-endpoint-mapper"]
    );
    assert_eq!(
        services("site-server", "32", &site),
        ["rpc-endpoint-mapper", "rpc-dynamic"]
    );
    let before = services("distribution-point", "14", &Site::default());
    assert_eq!(
        services("distribution-point", "14", &site),
        before,
        "it has them already"
    );
}

#[test]
fn a_sentence_about_anybody_means_whom_the_tables_name() {
    let site = Site::default();
    let mut sentences = site
        .catalog
        .links
        .iter()
        .filter(|link| site.catalog.is_sentence(link));
    for link in sentences.by_ref() {
        let openers = site.openers_by_tables(link);
        let openers: Vec<&str> = openers.into_iter().map(RoleId::as_str).collect();
        assert_eq!(
            openers,
            [
                "client-status-reporting-host",
                "management-point",
                "multicast-distribution-point",
                "primary-site-server",
                "provider",
                "pxe-service-point",
                "reporting-point",
                "reporting-services-point",
                "server-locator-point",
            ]
        );
    }
}
