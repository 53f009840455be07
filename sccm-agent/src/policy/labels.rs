//! Names for addresses, for people who read output.

use super::SitePolicy;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// The names of a policy's addresses: of `[names]`, and where that has none, of `[[protect]]` entries.
#[derive(Debug, Default)]
pub struct Labels {
    names: HashMap<IpNet, String>,
    /// The lengths of their prefixes, of IPv4 and of IPv6.
    lengths: [BTreeSet<u8>; 2],
}

impl Labels {
    /// As the policy has them.
    #[must_use]
    pub fn of(policy: &SitePolicy) -> Self {
        let mut labels = Self::default();
        for (name, prefixes) in &policy.names {
            for prefix in prefixes {
                let label = labels.names.entry(*prefix).or_default();
                if !label.is_empty() {
                    label.push_str(", ");
                }
                label.push_str(name);
            }
        }
        for entry in &policy.protect {
            for prefix in &entry.addresses {
                let label = labels.names.entry(*prefix);
                label.or_insert_with(|| entry.name.clone());
            }
        }
        for prefix in labels.names.keys() {
            let is_six = usize::from(prefix.addr().is_ipv6());
            labels.lengths[is_six].insert(prefix.prefix_len());
        }
        labels
    }

    /// What an address is called: by the longest prefix that has a name.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<&str> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        lengths.iter().rev().find_map(|length| {
            let prefix = IpNet::new(address, *length).ok()?;
            self.names.get(&prefix.trunc()).map(String::as_str)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Protected, Rpc};

    #[test]
    fn the_longest_prefix_names_an_address() {
        let prefixes = |texts: &[&str]| -> Vec<IpNet> {
            let parse = |text: &&str| text.parse().unwrap();
            texts.iter().map(parse).collect()
        };
        let entry = |name: &str, addresses: &[&str]| Protected {
            name: name.to_owned(),
            roles: Vec::new(),
            addresses: prefixes(addresses),
            rpc: Rpc::Static,
            elsewhere: false,
        };
        let policy = SitePolicy {
            names: [
                (
                    "dc1.example.com",
                    prefixes(&["10.1.0.10/32", "2001:db8::10/128"]),
                ),
                ("paris", prefixes(&["10.64.0.0/16"])),
                ("kiosk", prefixes(&["10.64.7.9/32"])),
                ("dp1.example.com", prefixes(&["10.2.0.12/32"])),
                ("cluster", prefixes(&["10.2.0.12/32"])),
            ]
            .map(|(name, prefixes)| (name.to_owned(), prefixes))
            .into(),
            protect: vec![
                entry("points", &["10.2.0.0/24", "10.2.0.12/32"]),
                entry("rest", &[]),
            ],
            ..SitePolicy::default()
        };
        let labels = Labels::of(&policy);
        for (address, name) in [
            ("10.1.0.10", Some("dc1.example.com")),
            ("2001:db8::10", Some("dc1.example.com")),
            ("10.64.3.7", Some("paris")),
            ("10.64.7.9", Some("kiosk")),
            ("10.2.0.12", Some("cluster, dp1.example.com")),
            ("10.2.0.13", Some("points")),
            ("10.1.0.11", None),
            ("2001:db8::11", None),
            ("::ffff:10.1.0.10", None),
        ] {
            assert_eq!(labels.get(address.parse().unwrap()), name, "{address}");
        }
        assert_eq!(Labels::default().get("10.1.0.10".parse().unwrap()), None);
    }
}
