//! Fingerprints: of a policy as it was written, and of compiled tables.

use super::addresses::AddressTable;
use super::{SitePolicy, WrittenPolicy};
use sccm_common::Policy;
use sha2::{Digest, Sha256};

/// SHA-256 of everything that decides: two policies with the same tables decide, and count, alike.
pub(super) fn of_tables(policy: &Policy, addresses: &AddressTable) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(policy.flags.to_le_bytes());
    hasher.update(policy.essentials.0.to_le_bytes());
    for table in [
        &policy.tcp[..],
        &policy.udp,
        &policy.icmp,
        &policy.icmpv6,
        &policy.protocol,
    ] {
        let numbers: Vec<u8> = table.iter().map(|class| class.0).collect();
        hasher.update(&numbers);
    }
    let limits = policy.timeouts;
    for number in [
        policy.peers,
        limits.tcp_opening,
        limits.tcp_established,
        limits.tcp_half_closed,
        limits.tcp_closing,
        limits.other,
        limits.answer,
        limits.rpc_unused,
        limits.rpc_used,
    ] {
        hasher.update(number.to_le_bytes());
    }
    for word in policy.dynamic.0 {
        hasher.update(word.to_le_bytes());
    }
    for access in &policy.access {
        for word in [access.inbound.0, access.outbound.0].concat() {
            hasher.update(word.to_le_bytes());
        }
    }
    let peers: Vec<u8> = policy.peer_of.iter().map(|peer| peer.0).collect();
    hasher.update(&peers);
    for ethertype in policy.ethertypes {
        for number in [ethertype.number, ethertype.places] {
            hasher.update(number.to_le_bytes());
        }
    }
    let words = addresses.used().iter();
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    hasher.update(&bytes);
    hasher.finalize().into()
}

/// SHA-256 of what the operator wrote: the same on every machine and after every start.
#[must_use]
pub fn of_written(policy: &SitePolicy) -> [u8; 32] {
    // Nothing in it can fail to be written.
    let text = serde_json::to_vec(&WrittenPolicy::of(policy)).unwrap_or_default();
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Compiled, Protected, Request, Rpc, Rule, ServiceNames, Surroundings, Target, compile,
        hash_text,
    };
    use std::net::IpAddr;

    fn compiled(policy: &SitePolicy, own: &[&str], names: ServiceNames) -> Compiled {
        let own: Vec<IpAddr> = own.iter().map(|own| own.parse().unwrap()).collect();
        let request = Request {
            policy,
            machine: &Surroundings::gateway(&own),
            observe: own.len() > 1,
        };
        compile(&request, names).unwrap()
    }

    fn policy(name: &str) -> SitePolicy {
        SitePolicy {
            protect: vec![Protected {
                name: name.to_owned(),
                roles: vec!["distribution-point".into()],
                addresses: vec!["10.2.0.0/24".parse().unwrap()],
                rpc: Rpc::Static,
                elsewhere: false,
            }],
            ..SitePolicy::default()
        }
    }

    /// Of a gateway and its twin, of which one has been through another policy.
    #[test]
    fn one_hash_names_one_policy_on_every_machine() {
        let policy = policy("dp");
        let other = SitePolicy {
            allow: vec![Rule {
                tracked: false,
                internet: false,
                name: "x".to_owned(),
                targets: vec![Target::Tcp(7..=7)],
                from: Vec::new(),
                to: Vec::new(),
                reason: String::new(),
            }],
            ..policy.clone()
        };
        let first = compiled(&policy, &["10.2.0.1"], ServiceNames::default());
        let before = compiled(&other, &["10.2.0.2"], ServiceNames::default());
        let twin = compiled(&policy, &["10.2.0.2", "2001:db8::2"], before.services);
        assert_eq!(first.info.hash, twin.info.hash);
        assert_ne!(first.info.tables, twin.info.tables);
        assert_ne!(first.info.hash, before.info.hash);
    }

    /// Also what decides nothing is the operator's word.
    #[test]
    fn every_word_counts() {
        assert_ne!(of_written(&policy("a")), of_written(&policy("b")));
    }

    /// An upgrade must not change it: whoever changes the layout raises its number, and this.
    #[test]
    fn the_layout_stays() {
        let text = serde_json::to_string(&WrittenPolicy::of(&policy("dp"))).unwrap();
        let begins = "{\"layout\":1,\"edition\":\"2007\",\"http\":[80,443],\"wsus\":null,";
        assert!(text.starts_with(begins), "{text}");
        let ends = "\"protect\":[[\"dp\",[\"distribution-point\"],[\"10.2.0.0/24\"],false]],\
                    \"allow\":[],\"management\":[],\"publish\":[]}";
        assert!(text.ends_with(ends), "{text}");
        let golden = "4ebb1b1d1c1da9836ed126f8a29aba22b906ee1305e5cd6bc088a1052ac1576b";
        assert_eq!(hash_text(&of_written(&policy("dp"))), golden);
    }
}
