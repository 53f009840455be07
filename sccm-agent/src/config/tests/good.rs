use super::*;
use crate::catalog::PortSetting;
use crate::policy::{Essential, Outbound, Rpc, Rule, Target, default_internal};
use ipnet::IpNet;
use sccm_common::Reason;
use sccm_common::policy::Timeouts;
use std::num::NonZeroU16;

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn an_entry_is_all_that_a_policy_needs() {
    let policy = good("");
    assert_eq!(policy.protect[0].name, "dp");
    assert_eq!(policy.protect[0].roles, ["distribution-point".into()]);
    assert_eq!(policy.protect[0].addresses, nets(&["10.2.0.0/24"]));
    assert_eq!(policy.peers, None);
    assert_eq!(policy.internal, default_internal());
    assert_eq!(policy.timeouts, Timeouts::DEFAULT);
    assert_eq!(policy.outbound, Outbound::Track);
}

#[test]
fn sets_stand_for_rules() {
    let policy = good(
        r#"
        [site]
        edition = "current-branch"
        outbound = "enforce"
        rpc-range = "50000-50100"
        sets = ["domain-member"]
        proxy = "10.1.0.80:8080"
        [peers]
        domain-controller = ["10.1.0.10"]
        global-catalog-domain-controller = ["10.1.0.11", "2001:db8::11"]
        administrator = ["10.1.9.0/28"]
        kms-host = []
        [[protect]]
        name = "sup"
        roles = ["software-update-point"]
        addresses = ["10.2.1.5"]
        sets = ["managed", "windows-update", "kms-client"]
        [[allow]]
        name = "backup"
        protocol = "tcp"
        ports = [10000]
        from = ["administrator"]
        reason = "a test"
        "#,
    );
    // They are no roles: counters know only those of the document.
    assert_eq!(policy.peers.as_ref().unwrap().len(), 2);
    let of = |rules: &[Rule], name: &str| {
        let rule = rules.iter().find(|rule| rule.name == name);
        rule.unwrap_or_else(|| panic!("{name}: {rules:?}")).clone()
    };
    let out = &policy.outbound_allow;
    assert_eq!(out.len(), 3, "{out:?}");
    let member = of(out, "domain-member");
    assert!(member.from.is_empty() && !member.internet);
    assert_eq!(
        member.to,
        nets(&["10.1.0.10/32", "10.1.0.11/32", "2001:db8::11/128"])
    );
    for target in [
        Target::Udp(53..=53),
        Target::Tcp(88..=88),
        Target::Udp(389..=389),
        Target::Tcp(3268..=3269),
        Target::Tcp(50000..=50100),
        Target::ECHO,
        Target::ECHO_V6,
    ] {
        assert!(member.targets.contains(&target), "{target}");
    }
    // To Microsoft by the proxy alone, and so do the links that the note about it is for.
    let proxied = [Target::Tcp(8080..=8080)];
    for name in ["windows-update", "proxy"] {
        let rule = of(out, name);
        assert_eq!(rule.from, nets(&["10.2.1.5/32"]), "{name}");
        assert_eq!((&rule.targets[..], rule.internet), (&proxied[..], false));
        assert_eq!(rule.to, nets(&["10.1.0.80/32"]));
    }
    let managed = of(&policy.allow, "managed");
    assert_eq!(managed.from, nets(&["10.1.9.0/28"]));
    assert_eq!(managed.to, nets(&["10.2.1.5/32"]));
    assert!(managed.targets.contains(&Target::Tcp(3389..=3389)));
    assert_eq!(of(&policy.allow, "backup").from, managed.from);
}

#[test]
fn exceptions_take_away_from_their_own_list() {
    let policy = good(
        r#"
        [peers]
        client = { prefixes = ["10.64.0.0/30", "fd00::/126"], except = ["10.64.0.1", "fd00::2/127"] }
        console = ["10.64.0.1"]
        [[allow]]
        name = "ssh"
        protocol = "tcp"
        ports = [22]
        from = { prefixes = ["10.9.0.0/24"], except = ["10.9.0.0/25", "10.64.0.0/30"] }
        reason = "a test"
        "#,
    );
    let peers = policy.peers.unwrap();
    let of = |role: &str| peers[&role.into()].clone();
    assert_eq!(
        of("client"),
        nets(&["10.64.0.0/32", "10.64.0.2/31", "fd00::/127"])
    );
    assert_eq!(of("console"), nets(&["10.64.0.1/32"]));
    assert_eq!(policy.allow[0].from, nets(&["10.9.0.128/25"]));
}

#[test]
fn addresses_have_names() {
    let policy = good(
        "[names]\n\"dc1.example.com\" = [\"10.1.0.10\", \"2001:db8::10\"]\n\"Büro Süd\" = [\"10.64.0.0/16\"]",
    );
    let names = [
        ("Büro Süd", nets(&["10.64.0.0/16"])),
        (
            "dc1.example.com",
            nets(&["10.1.0.10/32", "2001:db8::10/128"]),
        ),
    ];
    assert_eq!(
        policy.names,
        names.map(|(name, nets)| (name.to_owned(), nets)).into()
    );
}

#[test]
fn every_setting_of_a_site_arrives() {
    let policy = good(
        r#"
        [site]
        edition = "2007"
        http-port = 8080
        https-port = "8443"
        wsus-http-port = 9000
        wsus-https-port = 9001
        sql-port = 14330
        wake-on-lan-port = 7
        amt-provisioning-port = 9972
        rpc-range = "5000-6000"
        multicast-range = "64001-65000"
        site-server-initiated-only = true
        rpc-dynamic-with-mapper = true
        enable = ["named-pipes"]
        outbound = "enforce"
        internal = ["10.0.0.0/8"]
        without-essentials = ["lldp"]
        pass-orphan-fragments = true
        pass-source-routes = true
        pass-unrelated-icmp-errors = true
        pass-other-ethertypes = true
        pass-ethertypes = [0x886f, "0x8847@uplink", "35000@segment"]
        pass-sources = ["192.0.2.0/24", "fd00::5"]
        count-only = true
        warm-up = "5m"
        [timeouts]
        tcp-opening = 1
        tcp-established = 2
        tcp-half-closed = 6
        tcp-closing = 3
        other = 4
        answer = 5
        rpc-unused = 7
        rpc-used = 8
        "#,
    );
    let site = &policy.site;
    assert_eq!(
        (site.http.http().get(), site.http.https().get()),
        (8080, 8443)
    );
    let wsus = site.wsus.unwrap();
    assert_eq!((wsus.http().get(), wsus.https().get()), (9000, 9001));
    assert_eq!(site.sql.get(), 14330);
    assert_eq!(site.wake_on_lan.get(), 7);
    assert_eq!(site.amt_provisioning.get(), 9972);
    assert_eq!(std::ops::RangeInclusive::from(site.rpc_range), 5000..=6000);
    assert_eq!(
        std::ops::RangeInclusive::from(site.multicast_range),
        64001..=65000
    );
    assert!(site.site_server_initiated_only && site.rpc_dynamic_with_mapper);
    assert!(site.features.contains("named-pipes"));
    assert_eq!(policy.outbound, Outbound::Enforce);
    assert_eq!(policy.internal, nets(&["10.0.0.0/8"]));
    assert_eq!(policy.pass_sources, nets(&["192.0.2.0/24", "fd00::5/128"]));
    assert_eq!(policy.without, [Essential(Reason::Lldp)]);
    assert!(policy.pass_orphan_fragments && policy.pass_other_ethertypes && policy.count_only);
    assert!(policy.pass_source_routes && policy.pass_unrelated_icmp_errors);
    let ethertypes = policy.pass_ethertypes.iter().map(ToString::to_string);
    assert!(ethertypes.eq(["0x886f", "0x8847@uplink", "0x88b8@segment"]));
    assert_eq!(policy.warm_up, 300);
    let timeouts = Timeouts {
        tcp_opening: 1,
        tcp_established: 2,
        tcp_half_closed: 6,
        tcp_closing: 3,
        other: 4,
        answer: 5,
        rpc_unused: 7,
        rpc_used: 8,
    };
    assert_eq!(policy.timeouts, timeouts);
}

/// What an entry says is told before what the site says, wherever that stands.
#[test]
fn tracking_is_of_the_site_or_of_an_entry() {
    let modes = |site: &str, entry: &str| {
        let text = format!(
            "[[protect]]\nname = \"own\"\nroles = [\"client\"]\n{entry}\n\
             addresses = [\"10.3.0.0/24\"]\n[site]\n{site}\nsets = [\"windows-update\"]"
        );
        let policy = good(&text);
        let tracked: Vec<bool> = policy.rules().map(|rule| rule.tracked).collect();
        assert_eq!(tracked, [policy.tracks()]);
        let modes = policy.protect.iter();
        modes.map(|entry| entry.rpc).collect::<Vec<_>>()
    };
    for (site, entry, expected) in [
        ("", "", [Rpc::Static, Rpc::Static]),
        ("rpc = \"static\"", "", [Rpc::Static, Rpc::Static]),
        ("rpc = \"tracked\"", "", [Rpc::Tracked, Rpc::Tracked]),
        (
            "rpc = \"tracked\"",
            "rpc = \"static\"",
            [Rpc::Static, Rpc::Tracked],
        ),
        ("", "rpc = \"tracked\"", [Rpc::Tracked, Rpc::Static]),
    ] {
        assert_eq!(modes(site, entry), expected, "{site} {entry}");
    }
    let hash = |text: &str| crate::policy::hash_of(&good(text));
    assert_eq!(hash("[site]\nrpc = \"static\""), hash(""));
    assert_ne!(hash("[site]\nrpc = \"tracked\""), hash(""));
}

#[test]
fn peers_are_lists_or_anybody() {
    let policy = good(
        r#"
        [peers]
        client = "any"
        site-server = ["10.1.0.5", "2001:db8::5"]
        pxe-client = ["10.9.0.0/16"]
        dhcp-relay = ["10.9.0.1"]
        "#,
    );
    let peers = policy.peers.unwrap();
    assert_eq!(peers[&"client".into()], nets(&["0.0.0.0/0", "::/0"]));
    assert_eq!(
        peers[&"site-server".into()],
        nets(&["10.1.0.5/32", "2001:db8::5/128"])
    );
    assert_eq!(peers[&"pxe-client".into()], nets(&["10.9.0.0/16"]));
    assert_eq!(peers[&"dhcp-relay".into()], nets(&["10.9.0.1/32"]));
}

#[test]
fn rules_are_read_whole() {
    let policy = good(
        r#"
        [[allow]]
        name = "backup"
        protocol = "tcp"
        ports = [10000, "10001-10010"]
        from = ["192.0.2.0/24"]
        to = ["dp", "10.2.0.7"]
        reason = "nightly backup"
        [[allow]]
        name = "ping"
        protocol = "icmp"
        ports = ["echo-request", 13]
        from = "any"
        reason = "monitoring"
        [[allow]]
        name = "tunnel"
        protocol = "gre"
        from = "any"
        reason = "old branch"
        [[management.allow]]
        name = "ospf"
        protocol = "ip"
        ports = [89]
        from = ["10.0.0.0/8"]
        reason = "routing"
        "#,
    );
    let [backup, ping, tunnel] = &policy.allow[..] else {
        panic!("{:?}", policy.allow)
    };
    assert_eq!(
        backup.targets,
        [Target::Tcp(10000..=10000), Target::Tcp(10001..=10010)]
    );
    assert_eq!(backup.from, nets(&["192.0.2.0/24"]));
    assert_eq!(backup.to, nets(&["10.2.0.0/24", "10.2.0.7/32"]));
    assert_eq!(backup.reason, "nightly backup");
    assert_eq!(ping.targets, [Target::Icmp(8), Target::Icmp(13)]);
    assert!(ping.from.is_empty() && ping.to.is_empty());
    assert_eq!(tunnel.targets, [Target::Protocol(47)]);
    assert_eq!(policy.management[0].targets, [Target::Protocol(89)]);
    assert_eq!(policy.management[0].from, nets(&["10.0.0.0/8"]));
}

#[test]
fn both_spellings_of_management_are_the_same() {
    let rule = r#"name = "ssh", protocol = "tcp", ports = [22], from = "any", reason = "r""#;
    let short = good(&format!("[management]\nallow = [{{ {rule} }}]"));
    let long = good(&format!(
        "[[management.allow]]\n{}",
        rule.replace(", ", "\n")
    ));
    assert_eq!(short.management, long.management);
    assert_eq!(short.management.len(), 1);
}

#[test]
fn a_system_may_be_elsewhere() {
    let policy = good(
        r#"
        [[protect]]
        name = "there"
        roles = ["distribution-point"]
        addresses = ["10.3.0.0/24"]
        elsewhere = true
        "#,
    );
    let elsewhere: Vec<bool> = policy.protect.iter().map(|entry| entry.elsewhere).collect();
    assert_eq!(elsewhere, [true, false]);
}

#[test]
fn published_ports_are_read_whole() {
    let policy = good(
        r#"
        [[publish]]
        name = "web"
        protocol = "tcp"
        ports = [8080, "5000-5010"]
        to = "10.2.0.7"
        reason = "clients elsewhere"
        [[publish]]
        name = "dns"
        protocol = "udp"
        ports = [53]
        to = "10.2.0.8"
        to-port = 5353
        reason = "names"
        "#,
    );
    let [web, dns] = policy.publish.as_slice() else {
        panic!("{:?}", policy.publish);
    };
    assert_eq!(
        web.targets,
        [Target::Tcp(8080..=8080), Target::Tcp(5000..=5010)]
    );
    assert_eq!(
        (web.to.to_string(), web.to_port),
        ("10.2.0.7".to_owned(), None)
    );
    assert_eq!(dns.targets, [Target::Udp(53..=53)]);
    assert_eq!(dns.to_port, Some(5353));
    assert_eq!((web.name.as_str(), dns.reason.as_str()), ("web", "names"));
}

#[test]
fn roles_have_short_names_and_may_be_known_to_be_held_by_nobody() {
    let policy = good("[peers]\ndp = [\"10.1.0.0/24\"]\nclient = []\n");
    let peers = policy.peers.unwrap();
    assert_eq!(peers[&"distribution-point".into()].len(), 1);
    assert!(peers[&"client".into()].is_empty());
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// `good` also shows that each of them is kept as it was written.
#[test]
fn a_site_of_today_may_move_what_its_edition_lets_it_move() {
    let keys = [
        ("client-notification-port", PortSetting::ClientNotification),
        ("wake-up-proxy-port", PortSetting::WakeUpProxy),
        ("express-updates-port", PortSetting::ExpressUpdates),
        ("peer-cache-broadcast-port", PortSetting::PeerCacheBroadcast),
        ("peer-cache-download-port", PortSetting::PeerCacheDownload),
        ("sql-service-broker-port", PortSetting::SqlServiceBroker),
        ("wsus-sql-port", PortSetting::WsusSql),
        ("data-warehouse-sql-port", PortSetting::DataWarehouseSql),
        ("reporting-http-port", PortSetting::ReportingHttp),
        ("reporting-https-port", PortSetting::ReportingHttps),
        ("enrollment-port", PortSetting::Enrollment),
        (
            "certificate-registration-port",
            PortSetting::CertificateRegistration,
        ),
    ];
    let mut text = "[site]\nedition = \"current-branch\"\ncmg-instances = 3\n".to_owned();
    for (number, (key, _)) in keys.iter().enumerate() {
        text += &format!("{key} = {}\n", 40000 + number);
    }
    let policy = good(&text);
    assert_eq!(policy.site.catalog.edition, Edition::CurrentBranch);
    let moved = keys.iter().enumerate();
    let moved = moved.map(|(number, (key, setting))| {
        assert_eq!(setting.key(), *key);
        (*setting, port(40000 + number as u16))
    });
    assert_eq!(policy.site.moved, moved.collect());
    assert_eq!(policy.site.cmg_instances, Some(port(3)));
}

#[test]
fn rules_name_peers_by_address_by_role_and_as_the_internet() {
    let policy = good(
        r#"
        [site]
        outbound = "enforce"
        [peers]
        site-server = ["10.1.0.5"]
        primary-site-server = ["10.1.0.6"]
        client = "any"
        [[outbound.allow]]
        name = "dns"
        protocol = "udp"
        ports = [53]
        from = ["dp", "10.2.0.7"]
        to = ["10.1.0.10", "site-server", "239.1.2.3"]
        reason = "names"
        [[outbound.allow]]
        name = "web"
        protocol = "tcp"
        ports = [443]
        to = ["internet"]
        reason = "updates"
        [[outbound.allow]]
        name = "time"
        protocol = "udp"
        ports = [123]
        to = "any"
        reason = "clocks"
        [[allow]]
        name = "probe"
        protocol = "tcp"
        ports = [9100]
        from = ["dp", "internet"]
        reason = "watch"
        [[allow]]
        name = "agents"
        protocol = "tcp"
        ports = [9101]
        from = ["client"]
        reason = "watch"
        "#,
    );
    let [dns, web, time] = policy.outbound_allow.as_slice() else {
        panic!("{:?}", policy.outbound_allow);
    };
    assert_eq!(dns.from, nets(&["10.2.0.0/24", "10.2.0.7/32"]));
    // Who is a kind of site server is one. (Peers are in the order of their roles.)
    let to = ["10.1.0.10/32", "10.1.0.6/32", "10.1.0.5/32", "239.1.2.3/32"];
    assert_eq!(dns.to, nets(&to));
    assert!(!dns.internet && web.internet && !time.internet);
    assert!(web.from.is_empty() && web.to.is_empty() && time.to.is_empty());
    // A role, by its short name; and not a protected system.
    assert_eq!(policy.allow[0].from, nets(&["10.2.0.0/24"]));
    assert!(policy.allow[0].internet);
    assert_eq!(policy.allow[1].from, nets(&["0.0.0.0/0", "::/0"]));
}
