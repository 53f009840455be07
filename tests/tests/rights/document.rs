//! A random policy, as somebody could have written it.

use fastrand::Rng;
use ipnet::IpNet;
use std::collections::BTreeMap;

/// Prefixes that lie within, beside and over each other, and whole families.
const PREFIXES: [&str; 24] = [
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
    "fc00::/7",
    "fd00:1::/32",
    "fd00:1:2::/48",
    "fd00:1:2:3::/64",
    "fd00:1:2:3::a/128",
    "fd00:1:2:3::b/127",
    "2001:db8::/33",
    "2001:db8:8000::1/128",
    "fe80::/10",
    "::/0",
];

/// Roles that speak with each other in many ways, and the two that are peers only.
const ROLES: [&str; 12] = [
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
    "pxe-client",
    "dhcp-relay",
];

/// How many of [`ROLES`] a protected system can have.
const SYSTEM_ROLES: usize = 10;

const TCP_PORTS: [(u16, u16); 4] = [(22, 22), (80, 80), (5000, 5010), (49200, 49300)];

/// An entry of `[[protect]]`.
pub struct Entry {
    pub roles: Vec<&'static str>,
    pub addresses: Vec<IpNet>,
}

/// An entry of `[[allow]]`: TCP ports.
pub struct Rule {
    pub ports: (u16, u16),
    pub from: Vec<IpNet>,
    pub to: Vec<IpNet>,
}

/// The policy.
pub struct Document {
    pub peers: Option<BTreeMap<&'static str, Vec<IpNet>>>,
    pub protect: Vec<Entry>,
    pub allow: Vec<Rule>,
    pub management: Vec<Rule>,
}

impl Document {
    /// One that `random` decides; the same one for the same seed.
    pub fn random(random: &mut Rng) -> Self {
        let peers = random.u8(..8) != 0;
        let mut protect: Vec<Entry> = (0..random.usize(1..4))
            .map(|_| Entry {
                roles: pick(random, &ROLES[..SYSTEM_ROLES], 3),
                addresses: some_prefixes(random, 3),
            })
            .collect();
        if random.u8(..3) == 0 {
            protect[0].addresses.clear();
        }
        let listed: Vec<IpNet> = protect
            .iter()
            .flat_map(|entry| entry.addresses.clone())
            .collect();
        let mut rules = |protect: &[IpNet], most: usize| -> Vec<Rule> {
            (0..random.usize(..=most))
                .map(|_| Rule {
                    ports: *random.choice(&TCP_PORTS).unwrap(),
                    from: match random.bool() {
                        true => some_prefixes(random, 2),
                        false => Vec::new(),
                    },
                    to: match (random.bool(), protect) {
                        (true, [first, ..]) => vec![*first],
                        _ => Vec::new(),
                    },
                })
                .collect()
        };
        let allow = rules(&listed, 3);
        let management = rules(&[], 2);
        let peers = peers.then(|| {
            let roles = pick(random, &ROLES, 5).into_iter();
            roles.map(|role| (role, some_prefixes(random, 3))).collect()
        });
        Self {
            peers,
            protect,
            allow,
            management,
        }
    }

    /// What the operator would have written.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        if let Some(peers) = &self.peers {
            text.push_str("[peers]\n");
            for (role, prefixes) in peers {
                text.push_str(&format!("{role} = {}\n", list(prefixes)));
            }
        }
        for (number, entry) in self.protect.iter().enumerate() {
            text.push_str(&format!(
                "[[protect]]\nname = \"system{number}\"\nroles = {:?}\n",
                entry.roles
            ));
            if !entry.addresses.is_empty() {
                text.push_str(&format!("addresses = {}\n", list(&entry.addresses)));
            }
        }
        for (table, rules) in [
            ("allow", &self.allow),
            ("management.allow", &self.management),
        ] {
            for (number, rule) in rules.iter().enumerate() {
                let (low, high) = rule.ports;
                text.push_str(&format!(
                    "[[{table}]]\nname = \"{table}-{number}\"\nprotocol = \"tcp\"\n\
                     ports = [\"{low}-{high}\"]\nreason = \"a test\"\n"
                ));
                let from = match rule.from.is_empty() {
                    true => "\"any\"".to_owned(),
                    false => list(&rule.from),
                };
                text.push_str(&format!("from = {from}\n"));
                if !rule.to.is_empty() {
                    text.push_str(&format!("to = {}\n", list(&rule.to)));
                }
            }
        }
        text
    }

    /// Every prefix that is named anywhere.
    pub fn prefixes() -> impl Iterator<Item = IpNet> {
        PREFIXES
            .iter()
            .map(|prefix| prefix.parse::<IpNet>().unwrap().trunc())
    }
}

fn list(prefixes: &[IpNet]) -> String {
    let quoted: Vec<String> = prefixes
        .iter()
        .map(|prefix| format!("\"{prefix}\""))
        .collect();
    format!("[{}]", quoted.join(", "))
}

fn some_prefixes(random: &mut Rng, most: usize) -> Vec<IpNet> {
    let chosen = pick(random, &PREFIXES, most).into_iter();
    chosen
        .map(|prefix| prefix.parse::<IpNet>().unwrap().trunc())
        .collect()
}

/// At least one, each once.
fn pick(random: &mut Rng, from: &[&'static str], most: usize) -> Vec<&'static str> {
    let count = random.usize(1..=most);
    random.choose_multiple(from.iter().copied(), count)
}
