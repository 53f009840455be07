//! Each rule of the site's settings from both sides.

use super::*;
use crate::catalog::{Catalog, Edition, Link};
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
    let site = flags.site.site(Catalog::of(Edition::default()));
    site.map_err(|error| format!("{error:#}"))
}

/// "first-last" of each range of one service of one link.
fn ports(flags: &str, link: &str, service: &str) -> Vec<String> {
    let site = site(flags).unwrap();
    let catalog = site.catalog;
    let has = |link: &&Link| link.services.iter().any(|row| row.service == service);
    let link = catalog
        .links
        .iter()
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
