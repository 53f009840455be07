//! Each rule of the site's settings from both sides.

use super::*;
use crate::catalog::{Catalog, Edition, Link, Service};
use clap::Parser;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    site: SiteArgs,
}

/// The settings for a command line, or the whole error message.
fn site(flags: &str) -> Result<Site, String> {
    let words = std::iter::once("sccm-agent").chain(flags.split_whitespace());
    let flags = Flags::try_parse_from(words).map_err(|error| error.to_string())?;
    let site = flags.site.site(flags.site.catalog());
    site.map_err(|error| format!("{error:#}"))
}

/// "first-last" of each range of one service of one link.
fn ports(flags: &str, link: &str, service: &str) -> Vec<String> {
    let site = site(flags).unwrap();
    let catalog = site.catalog;
    let has = |link: &&Link| link.services.iter().any(|row| row.service == service);
    let link = catalog
        .all_links()
        .filter(|entry| entry.id == link)
        .find(has)
        .unwrap();
    let row = link
        .services
        .iter()
        .find(|row| row.service == service)
        .unwrap();
    site.resolve(row)
        .iter()
        .map(|range| format!("{}-{}", range.start(), range.end()))
        .collect()
}

#[test]
fn no_flags_are_the_documents_defaults() {
    assert_eq!(site("").unwrap(), Site::default());
    for (link, service, expected) in [
        ("15", "http", vec!["80-80"]),
        ("15", "https", vec!["443-443"]),
        ("15", "multicast", vec!["63000-64000"]),
        ("6", "http", vec!["80-80", "8530-8530"]),
        ("6", "https", vec!["443-443", "8531-8531"]),
        ("8", "dhcp", vec!["67-67", "68-68"]),
        ("14", "rpc-dynamic", vec!["49152-65535"]),
        ("21", "sql", vec!["1433-1433"]),
        ("36", "wake-on-lan", vec!["9-9"]),
        ("B", "amt-provisioning", vec!["9971-9971"]),
        ("42", "icmp-echo", vec![]),
    ] {
        assert_eq!(ports("", link, service), expected, "{link} {service}");
    }
}

#[test]
fn alternate_ports_reach_only_rows_that_allow_one() {
    let flags = "--http-port 8080 --https-port 8443 --wake-on-lan-port 7";
    for (link, service, expected) in [
        ("15", "http", "8080-8080"),
        ("15", "https", "8443-8443"),
        ("46", "https", "8443-8443"),
        // Wake on LAN has a port of its own.
        ("36", "wake-on-lan", "7-7"),
        // Their ports are fixed.
        ("4", "http", "80-80"),
        ("11", "http", "80-80"),
        ("27", "http", "80-80"),
        ("40", "https", "443-443"),
    ] {
        assert_eq!(ports(flags, link, service), [expected], "{link} {service}");
    }
    assert_eq!(ports(flags, "6", "http"), ["80-80", "8530-8530"]);
}

#[test]
fn every_other_setting_reaches_its_service() {
    assert_eq!(ports("--sql-port 14330", "sql", "sql"), ["14330-14330"]);
    assert_eq!(
        ports("--amt-provisioning-port 9972", "B", "amt-provisioning"),
        ["9972-9972"]
    );
    assert_eq!(
        ports("--rpc-range 1025-5000", "A", "rpc-dynamic"),
        ["1025-5000"]
    );
    assert_eq!(
        ports("--multicast-range 64001-65000", "15", "multicast"),
        ["64001-65000"]
    );
    assert!(
        site("--site-server-initiated-only")
            .unwrap()
            .site_server_initiated_only
    );
    assert!(
        site("--rpc-dynamic-with-mapper")
            .unwrap()
            .rpc_dynamic_with_mapper
    );
}

#[test]
fn wsus_ports_belong_together() {
    for (flags, http, https) in [
        ("--wsus-http-port 80", "80-80", "443-443"),
        (
            "--wsus-http-port 80 --wsus-https-port 443",
            "80-80",
            "443-443",
        ),
        ("--wsus-http-port 8530", "8530-8530", "8531-8531"),
        (
            "--wsus-http-port 9000 --wsus-https-port 9001",
            "9000-9000",
            "9001-9001",
        ),
        ("--wsus-http-port 65534", "65534-65534", "65535-65535"),
    ] {
        assert_eq!(ports(flags, "33", "http"), [http], "{flags}");
        assert_eq!(ports(flags, "33", "https"), [https], "{flags}");
    }
    for (flags, complaint) in [
        (
            "--wsus-http-port 80 --wsus-https-port 8531",
            "must use HTTPS port 443, not 8531",
        ),
        (
            "--wsus-http-port 80 --wsus-https-port 81",
            "must use HTTPS port 443, not 81",
        ),
        (
            "--wsus-http-port 8530 --wsus-https-port 443",
            "must use HTTPS port 8531, not 443",
        ),
        ("--wsus-http-port 65535", "there is none"),
        ("--wsus-https-port 443", "needs wsus-http-port"),
    ] {
        refused(flags, complaint);
    }
}

#[test]
fn http_and_https_differ() {
    refused("--http-port 443", "cannot both use port 443");
    refused(
        "--http-port 8080 --https-port 8080",
        "cannot both use port 8080",
    );
    site("--http-port 443 --https-port 80").unwrap();
}

#[test]
fn ports_are_from_1_to_65535() {
    for flag in [
        "--http-port",
        "--https-port",
        "--wsus-http-port",
        "--wsus-https-port",
        "--sql-port",
        "--wake-on-lan-port",
        "--amt-provisioning-port",
    ] {
        for port in ["0", "65536", "http", "1.5"] {
            refused(
                &format!("{flag} {port}"),
                "give a whole number from 1 to 65535",
            );
        }
    }
    site("--sql-port 1").unwrap();
    site("--sql-port 65535").unwrap();
}

#[test]
fn ranges_are_in_order_and_above_the_well_known_ports() {
    for flag in ["--rpc-range", "--multicast-range"] {
        for (range, complaint) in [
            ("5000-1025", "reversed: write 1025-5000"),
            ("0-5000", "from 1 to 65535"),
            ("1024-65536", "from 1 to 65535"),
            ("5000", "write LOW-HIGH"),
            ("1023-5000", "well-known ports below 1024"),
            ("5-3", "begins at 3, among the well-known ports"),
            ("1-65535", "well-known ports below 1024"),
        ] {
            refused(&format!("{flag} {range}"), complaint);
        }
        site(&format!("{flag} 1024-65535")).unwrap();
        site(&format!("{flag} 5000-5000")).unwrap();
    }
}

#[test]
fn only_known_features_can_be_enabled() {
    let enabled = site("--enable named-pipes --enable netbios-remote-control").unwrap();
    let all = ["named-pipes", "netbios-remote-control"];
    assert_eq!(enabled.features, all.map(str::to_owned).into());
    refused("--enable named-pipe", "did you mean named-pipes?");
    refused(
        "--enable xyzzy",
        "(there are: named-pipes, netbios-remote-control)",
    );
}

fn refused(flags: &str, complaint: &str) {
    let error = site(flags).expect_err(flags);
    assert!(error.contains(complaint), "{flags}: {error}");
}

/// A setting that is given as a port, and the rows whose port it is.
type Moves = (PortSetting, fn(&Link, &Service) -> bool);

fn is(row: &Service, service: &str) -> bool {
    row.service == service
}

/// Note 2 of either edition stands at web servers that have nothing to do with the clients' ports.
fn of_clients(link: &Link) -> bool {
    let web_sites = [
        "distribution-point",
        "source-distribution-point",
        "management-point",
        "fallback-status-point",
        "state-migration-point",
        "server-locator-point",
    ];
    let callers = [
        "client",
        "distribution-point",
        "pull-distribution-point",
        "branch-distribution-point",
        "cmg-connection-point",
    ];
    callers.contains(&link.from.as_str()) && web_sites.contains(&link.to.as_str())
}

/// In 2007 reporting has the ports of clients.
fn of_reporting(link: &Link) -> bool {
    link.from.as_str() == "console" && link.to.as_str().starts_with("reporting-")
}

fn is_current(link: &Link) -> bool {
    link.source.is_some()
}

const MOVES: [Moves; 18] = [
    (PortSetting::Http, |link, row| {
        is(row, "http") && (of_clients(link) || !is_current(link) && of_reporting(link))
    }),
    (PortSetting::Https, |link, row| {
        is(row, "https") && (of_clients(link) || !is_current(link) && of_reporting(link))
    }),
    (PortSetting::WsusHttp, |_, row| {
        is(row, "http") && row.ports.len() == 2
    }),
    (PortSetting::Sql, |link, row| {
        is(row, "sql") && link.to.as_str() != "wsus-sql-server"
    }),
    (PortSetting::WakeOnLan, |_, row| is(row, "wake-on-lan")),
    (PortSetting::AmtProvisioning, |_, row| {
        is(row, "amt-provisioning")
    }),
    (PortSetting::ClientNotification, |_, row| {
        is(row, "client-notification")
    }),
    (PortSetting::WakeUpProxy, |_, row| is(row, "wake-up-proxy")),
    (PortSetting::ExpressUpdates, |_, row| {
        is(row, "express-updates")
    }),
    (PortSetting::PeerCacheBroadcast, |_, row| {
        is(row, "peer-cache-broadcast")
    }),
    (PortSetting::PeerCacheDownload, |_, row| {
        is(row, "peer-cache-download")
    }),
    (PortSetting::SqlServiceBroker, |_, row| {
        is(row, "sql-service-broker")
    }),
    (PortSetting::WsusSql, |link, _| {
        link.to.as_str() == "wsus-sql-server"
    }),
    (PortSetting::DataWarehouseSql, |link, _| {
        link.from.as_str() == "data-warehouse-service-point"
    }),
    (PortSetting::ReportingHttp, |link, row| {
        is(row, "http") && is_current(link) && of_reporting(link)
    }),
    (PortSetting::ReportingHttps, |link, row| {
        is(row, "https") && is_current(link) && of_reporting(link)
    }),
    (PortSetting::Enrollment, |link, row| {
        is(row, "https") && link.to.as_str() == "enrollment-point"
    }),
    (PortSetting::CertificateRegistration, |link, row| {
        is(row, "https") && link.to.as_str() == "certificate-registration-point"
    }),
];

/// A port that no document has.
const ELSEWHERE: u16 = 44444;

#[test]
fn every_setting_moves_its_rows_in_every_edition_and_no_others() {
    for edition in Edition::ALL {
        let catalog = Catalog::of(edition);
        let before = Site::new(catalog);
        for (setting, moves) in MOVES {
            let flags = format!("--edition {edition} --{} {ELSEWHERE}", setting.key());
            let rows = || {
                let links = catalog.all_links();
                links.flat_map(|link| link.services.iter().map(move |row| (link, row)))
            };
            let expected = rows().filter(|(link, row)| moves(link, row)).count();
            if expected == 0 {
                let says = format!("edition {edition} has no {}", setting.key());
                refused(&flags, &says);
                continue;
            }
            let after = site(&flags).unwrap();
            for (link, row) in rows() {
                let moved = after.resolve(row).contains(&(ELSEWHERE..=ELSEWHERE));
                let about = format!("{flags}: link {}, {}", link.id, row.service);
                assert_eq!(moved, moves(link, row), "{about}");
                // HTTPS of WSUS follows from its HTTP.
                let follows = setting == PortSetting::WsusHttp
                    && row.port_from == Some(PortSetting::WsusHttps);
                let same = after.resolve(row) == before.resolve(row);
                assert_eq!(same, !moved && !follows, "{about}");
            }
        }
    }
}

#[test]
fn the_warehouse_has_a_database_beside_the_sites() {
    let link = "data-warehouse-service-point--sql-server";
    let ports = |flags: &str| ports(&format!("--edition current-branch {flags}"), link, "sql");
    assert_eq!(ports(""), ["1433-1433"]);
    assert_eq!(ports("--sql-port 1500"), ["1500-1500", "1433-1433"]);
    assert_eq!(
        ports("--data-warehouse-sql-port 1600"),
        ["1433-1433", "1600-1600"]
    );
    let both = "--sql-port 1500 --data-warehouse-sql-port 1500";
    assert_eq!(ports(both), ["1500-1500"]);
}

#[test]
fn a_gateway_in_the_cloud_has_a_port_for_each_instance() {
    let link = "cmg-connection-point--cmg-classic-cloud-service";
    for (instances, https, tls) in [
        (1, "10124-10124", "10140-10140"),
        (3, "10124-10126", "10140-10142"),
        (16, "10124-10139", "10140-10155"),
    ] {
        let flags = format!("--edition current-branch --cmg-instances {instances}");
        assert_eq!(ports(&flags, link, "cmg-https"), [https]);
        assert_eq!(ports(&flags, link, "cmg-tcp-tls"), [tls]);
        // With one instance, or as a fallback.
        assert_eq!(ports(&flags, link, "https"), ["443-443"]);
    }
    for wrong in ["0", "17", "x"] {
        let flags = format!("--edition current-branch --cmg-instances {wrong}");
        refused(&flags, "give a whole number from 1 to 16");
    }
    refused("--cmg-instances 2", "edition 2007 has no cmg-instances");
}

#[test]
fn an_unknown_edition_is_told_which_there_are() {
    refused("--edition 1999", "\"2007\", \"current-branch\"");
}
