//! The current branch against its document, by counts and by rows that were chosen by hand.

use super::*;

fn catalog() -> &'static Catalog {
    Catalog::of(Edition::CurrentBranch)
}

#[test]
fn there_is_as_much_as_in_the_document() {
    let catalog = catalog();
    let services = catalog.links.iter().flat_map(|link| &link.services);
    assert_eq!(catalog.links.len(), 80);
    assert_eq!(services.clone().count(), 189);
    assert_eq!(catalog.roles.len(), 46);
    let ids: BTreeSet<&str> = catalog.links.iter().map(|link| link.id.as_str()).collect();
    assert_eq!(ids.len(), 77);
    let main = "Ports used by clients and site systems";
    let tables = catalog.links.iter().filter(|link| link.section == main);
    let both = tables.filter(|link| link.direction == Direction::EitherWay);
    assert_eq!(both.count(), 14);
    let ports: BTreeSet<(Protocol, String)> = services
        .flat_map(|row| {
            row.ports
                .iter()
                .map(|port| (row.protocol, port.to_string()))
        })
        .collect();
    assert_eq!(ports.len(), 43);
    let notes: Vec<u8> = catalog.notes.iter().map(|note| note.id).collect();
    assert_eq!(notes, [1, 2, 3, 4, 5, 6]);
    assert_eq!((catalog.retired.len(), catalog.stale.len()), (11, 9));
    let pairs: BTreeSet<(&RoleId, &RoleId)> = catalog
        .links
        .iter()
        .map(|link| (&link.from, &link.to))
        .collect();
    assert_eq!(pairs.len(), 74);
}

#[test]
fn the_supplement_stands_apart() {
    let supplement = &catalog().supplement;
    assert_eq!((supplement.links.len(), supplement.roles.len()), (20, 2));
    let services = supplement.links.iter().flat_map(|link| &link.services);
    assert_eq!(services.count(), 36);
    let document = |link: &Link| link.source.as_deref() == Some("memdocs");
    assert!(catalog().links.iter().all(document));
    assert!(!supplement.links.iter().any(document));
}

#[test]
fn links_say_what_the_document_says() {
    const MAPPER: &str = "rpc-endpoint-mapper udp 135, rpc-endpoint-mapper tcp 135";
    for (id, expected) in [
        (
            "client--management-point",
            vec!["client -> management-point: client-notification tcp 10123 [2], http tcp 80 [2], \
                  https tcp 443 [2]".to_owned()],
        ),
        (
            "client--client",
            vec!["client -> client: wake-on-lan udp 9 [2], wake-up-proxy udp 25536 [2], \
                  peer-cache-broadcast udp 8004, peer-cache-download tcp 8003, \
                  icmp-echo icmp echo-request".to_owned()],
        ),
        (
            "client--pxe-distribution-point",
            vec!["client -> pxe-distribution-point: dhcp udp 67|68, tftp udp 69 [4], binl udp 4011, \
                  dhcpv6 udp 547".to_owned()],
        ),
        (
            "cmg-connection-point--cmg-classic-cloud-service",
            vec!["cmg-connection-point -> cmg-classic-cloud-service: \
                  cmg-tcp-tls tcp 10140-10155, https tcp 443, cmg-https tcp 10124-10139".to_owned()],
        ),
        (
            "site-server--software-update-point",
            vec![format!(
                "site-server <-> software-update-point: smb tcp 445, {MAPPER}, \
                 rpc-dynamic tcp dynamic [6], http tcp 80|8530 [3], https tcp 443|8531 [3]"
            )],
        ),
        (
            "management-point--site-server",
            vec!["management-point <-> site-server: rpc-endpoint-mapper tcp 135, \
                  rpc-dynamic tcp dynamic [6], smb tcp 445".to_owned()],
        ),
        (
            "site-server--sql-server",
            vec![
                "site-server -> sql-server: sql tcp 1433 [2]".to_owned(),
                format!(
                    "site-server -> sql-server: smb tcp 445, {MAPPER}, rpc-dynamic tcp dynamic [6]"
                ),
            ],
        ),
        // Of two versions of the page, the later one: the protocol's.
        (
            "sql-server--sql-server",
            vec![
                "sql-server -> sql-server: sql tcp 1433 [2], sql-service-broker tcp 4022 [2]"
                    .to_owned(),
                "sql-server -> sql-server: sql-browser udp 1434".to_owned(),
            ],
        ),
        (
            "console--client",
            vec!["console -> client: remote-control tcp 2701, remote-assistance tcp 3389".to_owned()],
        ),
        (
            "administration-service",
            vec!["any -> provider: https tcp 443".to_owned()],
        ),
        (
            "windows-servers",
            vec!["any -> windows-server: dns udp 53, dns tcp 53, dhcp udp 67|68, netbios-name udp 137, \
                  netbios-datagram udp 138, netbios-session tcp 139, kerberos tcp 88".to_owned()],
        ),
        (
            "branchcache",
            vec!["client -> client: http tcp 80, ws-discovery udp 3702".to_owned()],
        ),
    ] {
        assert_eq!(entries(catalog(), id), expected, "link {id}");
    }
}

#[test]
fn six_links_cite_note_5_and_seven_more_have_an_opener() {
    let catalog = catalog();
    let citing = links_that(catalog, |link| link.notes.contains(&5));
    assert_eq!(
        citing,
        [
            "management-point--site-server",
            "site-server--distribution-point",
            "site-server--fallback-status-point",
            "site-server--reporting-services-point",
            "site-server--software-update-point",
            "site-server--state-migration-point",
        ]
    );
    let opened = |link: &Link| link.opener.is_some() && !link.notes.contains(&5);
    assert_eq!(
        links_that(catalog, opened),
        [
            "site-server--asset-intelligence-synchronization-point",
            "site-server--certificate-registration-point",
            "site-server--cmg-connection-point",
            "site-server--endpoint-protection-point",
            "site-server--enrollment-point",
            "site-server--enrollment-proxy-point",
            "site-server--service-connection-point",
        ]
    );
    assert_eq!(
        links_that(catalog, |link| link.network_boot),
        ["client--pxe-distribution-point"]
    );
}

#[test]
fn features_are_off_until_they_are_asked_for() {
    let features: Vec<&str> = catalog().features().into_iter().collect();
    assert_eq!(
        features,
        [
            "administration-service",
            "branchcache",
            "client-push",
            "console-diagnostics",
            "console-remote-assistance",
            "delivery-optimization",
            "discovery-and-publishing",
            "migration",
            "software-distribution-install",
            "sql-availability-group",
            "sql-browser",
            "sql-load-balancer",
        ]
    );
}

#[test]
fn the_json_has_the_shape_of_2007_and_more() {
    let json = serde_json::to_value(catalog()).unwrap();
    let links = json["links"].as_array().unwrap();
    let link = links
        .iter()
        .find(|link| link["id"] == "site-server--wsus-sql-server")
        .unwrap();
    let expected = serde_json::json!({
        "id": "site-server--wsus-sql-server",
        "section": "Ports used by clients and site systems",
        "heading": "Site server --> SQL Server for WSUS",
        "from": "site-server",
        "to": "wsus-sql-server",
        "direction": "->",
        "condition": "Needed for the WSUS clean-up options that add indexes or delete obsolete updates.",
        "opt_in": null,
        "line": 567,
        "source": "memdocs",
        "notes": [],
        "opener": null,
        "network_boot": false,
        "services": [{
            "service": "sql", "protocol": "tcp", "ports": ["1433"], "notes": [3],
            "port_from": "wsus-sql", "line": 571,
        }],
    });
    assert_eq!(*link, expected);
    assert_eq!(
        json["supplement"]["links"][19]["line"],
        serde_json::Value::Null
    );
    assert_eq!(json["sources"]["memdocs"]["date"], "2025-12-08");
}
