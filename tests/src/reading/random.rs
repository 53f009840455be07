//! A random policy, as somebody could have written it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fastrand::Rng;
use ipnet::IpNet;
use sccm_common::essential::ESSENTIALS;

use super::{
    Addresses, Document, Ends, Entry, Management, OutRule, Outbound, Outward, Publish, Rule, Site,
};

/// Prefixes that lie within, beside and over each other, and whole families.
const PREFIXES: [&str; 26] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/23",
    "10.1.2.0/24",
    "10.1.2.64/26",
    "10.1.2.3/32",
    "10.1.3.3/32",
    "10.1.4.0/22",
    "192.168.0.0/16",
    "192.168.7.8/31",
    "198.51.100.0/25",
    "203.0.113.200/32",
    "128.0.0.0/1",
    "0.0.0.0/0",
    "239.0.0.0/8",
    "fc00::/7",
    "fd00:1::/32",
    "fd00:1:2::/48",
    "fd00:1:2:3::/64",
    "fd00:1:2:3::a/128",
    "fd00:1:2:3::b/127",
    "2001:db8::/33",
    "2001:db8:8000::1/128",
    "fe80::/10",
    "ff15::/16",
    "::/0",
];

/// Roles that speak with each other in many ways, and three that are peers only.
const ROLES: [&str; 14] = [
    "site-server",
    "primary-site-server",
    "client",
    "distribution-point",
    "multicast-distribution-point",
    "management-point",
    "pxe-service-point",
    "sql-server",
    "software-update-point",
    "global-catalog-domain-controller",
    "system-health-validator",
    "pxe-client",
    "dhcp-relay",
    "client-status-reporting-host",
];

/// The same of today.
const CURRENT_ROLES: [&str; 17] = [
    "site-server",
    "client",
    "distribution-point",
    "multicast-distribution-point",
    "pxe-distribution-point",
    "pull-distribution-point",
    "management-point",
    "sql-server",
    "wsus-sql-server",
    "software-update-point",
    "reporting-services-point",
    "cmg-connection-point",
    "global-catalog-domain-controller",
    "data-warehouse-service-point",
    "pxe-client",
    "dhcp-relay",
    "console",
];

/// How many of [`CURRENT_ROLES`] a protected system can have.
const CURRENT_SYSTEM_ROLES: usize = 14;

/// How many of [`ROLES`] a protected system can have.
const SYSTEM_ROLES: usize = 11;

/// What rules let in. Few, because every name that counters ever had keeps its number.
const TARGETS: [(&str, &[&str]); 13] = [
    ("tcp", &["22"]),
    ("tcp", &["80"]),
    ("tcp", &["5000-5010", "22"]),
    ("tcp", &["49200-49300"]),
    ("udp", &["53"]),
    ("udp", &["69"]),
    ("icmp", &["echo-request"]),
    ("icmp", &["13"]),
    ("icmpv6", &["echo-request"]),
    ("gre", &[]),
    ("esp", &[]),
    ("ah", &[]),
    ("ip", &["89", "132"]),
];

impl Document {
    /// One that `random` decides; the same one for the same seed.
    #[must_use]
    pub fn random(random: &mut Rng) -> Self {
        let site = Site::random(random);
        let (all_roles, system_roles) = match site.is_current() {
            true => (&CURRENT_ROLES[..], CURRENT_SYSTEM_ROLES),
            false => (&ROLES[..], SYSTEM_ROLES),
        };
        let mut protect: Vec<Entry> = (0..random.usize(1..4))
            .map(|number| Entry {
                name: format!("system{number}"),
                roles: pick(random, &all_roles[..system_roles], 3),
                addresses: prefixes(random, 3),
                elsewhere: random.u8(..4) == 0,
                rpc: match random.u8(..6) {
                    0 => Some("static".to_owned()),
                    1 => Some("tracked".to_owned()),
                    _ => None,
                },
            })
            .collect();
        if random.u8(..3) == 0 {
            stand_for_the_rest(&mut protect[0]);
        }
        if random.u8(..6) == 0 {
            // Nothing is told apart, unless by the rules.
            protect.truncate(1);
            stand_for_the_rest(&mut protect[0]);
        }
        let to: Vec<IpNet> = match protect.iter().any(|entry| entry.addresses.is_empty()) {
            true => prefixes(random, 1),
            false => protect[0].addresses[..1].to_vec(),
        };
        let allow = rules(random, "allow", 3, &to);
        let management = rules(random, "manage", 2, &[]);
        let publish = published(random, to[0].addr());
        let peers = (random.u8(..4) != 0).then(|| {
            let roles = pick(random, all_roles, 5).into_iter();
            roles.map(|role| (role, prefixes(random, 3))).collect()
        });
        let timeouts = timeouts(random);
        let outward = Outward {
            allow: let_out(random, &protect, peers.as_ref()),
        };
        Self {
            site,
            timeouts,
            peers,
            protect,
            allow,
            outward,
            management: Management { allow: management },
            publish,
        }
    }

    /// Every prefix that a random policy may name.
    ///
    /// # Panics
    /// Never.
    pub fn prefixes() -> impl Iterator<Item = IpNet> {
        PREFIXES.iter().map(|prefix| parsed(prefix))
    }
}

fn stand_for_the_rest(entry: &mut Entry) {
    entry.addresses.clear();
    entry.elsewhere = false;
}

impl Site {
    fn random(random: &mut Rng) -> Self {
        let mut some = |of: &[u16]| match random.u8(..4) {
            0 => random.choice(of).copied(),
            _ => None,
        };
        let ports = [
            some(&[8080, 49200]),
            some(&[8443]),
            some(&[80, 8530]),
            some(&[14330]),
            some(&[7]),
            some(&[9972]),
        ];
        let [http_port, https_port, wsus_http_port, sql_port, wake, amt] = ports;
        let mut chance = |one_in: u8| random.u8(..one_in) == 0;
        let mut site = Self {
            http_port,
            https_port,
            wsus_http_port,
            sql_port,
            wake_on_lan_port: wake,
            amt_provisioning_port: amt,
            rpc: chance(2).then(|| "tracked".to_owned()),
            rpc_range: chance(4).then(|| "1025-5000".to_owned()),
            multicast_range: chance(4).then(|| "62000-62010".to_owned()),
            site_server_initiated_only: chance(4),
            rpc_dynamic_with_mapper: chance(4),
            pass_orphan_fragments: chance(4),
            pass_source_routes: chance(4),
            pass_unrelated_icmp_errors: chance(4),
            pass_other_ethertypes: chance(4),
            ..Self::default()
        };
        if random.bool() {
            site.make_current(random);
        }
        let features: &[&str] = match site.is_current() {
            true => &[
                "administration-service",
                "client-push",
                "sql-browser",
                "branchcache",
            ],
            false => &["netbios-remote-control", "named-pipes"],
        };
        for feature in features {
            if random.u8(..4) == 0 {
                site.enable.push((*feature).to_owned());
            }
        }
        site.outbound = match random.u8(..8) {
            0..4 => Outbound::Enforce,
            4 => Outbound::Off,
            _ => Outbound::Track,
        };
        if random.u8(..4) == 0 {
            site.pass_sources = prefixes(random, 2);
        }
        if random.u8(..4) == 0 {
            site.internal = Some(prefixes(random, 3));
        }
        if random.u8(..3) == 0 {
            // The last one is that of RARP.
            let some = ["0x886f", "0x886f@segment", "0x22f0@uplink", "32821"].map(str::to_owned);
            site.pass_ethertypes = random.choose_multiple(some, 2);
        }
        if random.u8(..4) == 0 {
            let labels = ESSENTIALS.iter().map(|reason| reason.label().to_owned());
            site.without_essentials = random.choose_multiple(labels, 3);
        }
        site
    }
}

impl Site {
    /// A site of today, with the settings that only it has.
    fn make_current(&mut self, random: &mut Rng) {
        self.edition = Some("current-branch".to_owned());
        self.amt_provisioning_port = None;
        // Few ports, which meet those of the document and each other.
        let mut some = || match random.u8(..6) {
            0 => random.choice([443, 1433, 4022, 8003, 8080, 49200]),
            _ => None,
        };
        self.client_notification_port = some();
        self.wake_up_proxy_port = some();
        self.express_updates_port = some();
        self.peer_cache_broadcast_port = some();
        self.peer_cache_download_port = some();
        self.sql_service_broker_port = some();
        self.wsus_sql_port = some();
        self.data_warehouse_sql_port = some();
        self.reporting_http_port = some();
        self.reporting_https_port = some();
        self.enrollment_port = some();
        self.certificate_registration_port = some();
        self.cmg_instances = random.choice([None, Some(1), Some(2), Some(16)]).flatten();
    }
}

fn timeouts(random: &mut Rng) -> BTreeMap<String, u32> {
    if random.bool() {
        return BTreeMap::new();
    }
    let timeouts = [
        ("tcp-established", 1010),
        ("other", 40),
        ("tcp-opening", 110),
        ("tcp-half-closed", 400),
        ("rpc-unused", 40),
        ("rpc-used", 110),
    ];
    let timeouts = timeouts.map(|(key, seconds)| (key.to_owned(), seconds));
    // Of RPC's, neither, one or both.
    let left_out = random.usize(..3);
    let count = timeouts.len() - left_out;
    timeouts.into_iter().take(count).collect()
}

fn rules(random: &mut Rng, name: &str, most: usize, to: &[IpNet]) -> Vec<Rule> {
    let rules = 0..random.usize(..=most);
    rules
        .map(|number| {
            let (protocol, ports) = TARGETS[random.usize(..TARGETS.len())];
            Rule {
                name: format!("{name}{number}"),
                protocol: protocol.to_owned(),
                ports: ports.iter().map(|port| (*port).to_owned()).collect(),
                from: match random.bool() {
                    true => Addresses::Listed(prefixes(random, 2)),
                    false => Addresses::any(),
                },
                to: match random.bool() {
                    true => to.to_vec(),
                    false => Vec::new(),
                },
                reason: "a test".to_owned(),
            }
        })
        .collect()
}

/// Rules for what goes out. What is protected may open it, or some of it; to prefixes, roles that
/// somebody holds, the Internet, or anybody.
fn let_out(
    random: &mut Rng,
    protect: &[Entry],
    peers: Option<&BTreeMap<String, Vec<IpNet>>>,
) -> Vec<OutRule> {
    let rules = 0..random.usize(..=3);
    rules
        .map(|number| {
            let (protocol, ports) = TARGETS[random.usize(..TARGETS.len())];
            let to: Vec<String> = match random.u8(..4) {
                0 => vec!["internet".to_owned()],
                1 => peers.map_or_else(Vec::new, |peers| {
                    random.choice(peers.keys()).into_iter().cloned().collect()
                }),
                2 => Vec::new(),
                _ => prefixes(random, 2)
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            };
            let own = &protect[random.usize(..protect.len())].addresses;
            let is_group = |prefix: &&IpNet| prefix.network().is_multicast();
            let own: Vec<IpNet> = own.iter().filter(|one| !is_group(one)).copied().collect();
            OutRule {
                name: format!("out{number}"),
                protocol: protocol.to_owned(),
                ports: ports.iter().map(|port| (*port).to_owned()).collect(),
                from: if random.bool() { own } else { Vec::new() },
                to: match to.is_empty() {
                    true => Ends::Word("any".to_owned()),
                    false => Ends::Listed(to),
                },
                reason: "a test".to_owned(),
            }
        })
        .collect()
}

fn published(random: &mut Rng, to: IpAddr) -> Vec<Publish> {
    let ports = [8530, 22, 53, 5004, 49201];
    let behind = [80, 445, 69, 53, 22];
    let all = 0..random.usize(..=2);
    all.map(|number| Publish {
        name: format!("publish{number}"),
        protocol: if random.bool() { "tcp" } else { "udp" }.to_owned(),
        ports: [ports[random.usize(..ports.len())]],
        to,
        to_port: random.bool().then(|| behind[random.usize(..behind.len())]),
        reason: "a test".to_owned(),
    })
    .collect()
}

fn prefixes(random: &mut Rng, most: usize) -> Vec<IpNet> {
    let chosen = pick(random, &PREFIXES, most).into_iter();
    chosen.map(|prefix| parsed(&prefix)).collect()
}

fn parsed(prefix: &str) -> IpNet {
    prefix.parse::<IpNet>().expect("a prefix").trunc()
}

/// At least one, each once.
fn pick(random: &mut Rng, from: &[&str], most: usize) -> Vec<String> {
    let count = random.usize(1..=most);
    let chosen = random.choose_multiple(from.iter(), count).into_iter();
    chosen.map(|text| (*text).to_owned()).collect()
}
