//! Fingerprints: of a policy as it was written, and of compiled tables.

use super::addresses::AddressTable;
use super::{Outbound, Protected, Publish, Rule, SitePolicy};
use crate::catalog::{Edition, RoleId};
use crate::site::Site;
use ipnet::IpNet;
use sccm_common::Policy;
use sccm_common::policy::Timeouts;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;

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
    ] {
        hasher.update(number.to_le_bytes());
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

/// The layout of [`WrittenPolicy`]. Raised when it changes, so that no two layouts meet by chance.
const LAYOUT: u32 = 1;

/// A policy as it is hashed: as JSON, in this order. Whatever is in it is the operator's word; nothing
/// of the machine is.
#[derive(Serialize)]
struct WrittenPolicy<'a> {
    layout: u32,
    edition: Edition,
    http: [NonZeroU16; 2],
    wsus: Option<[NonZeroU16; 2]>,
    sql: NonZeroU16,
    wake_on_lan: NonZeroU16,
    amt_provisioning: NonZeroU16,
    ranges: [RangeInclusive<u16>; 2],
    site_server_initiated_only: bool,
    rpc_dynamic_with_mapper: bool,
    features: &'a BTreeSet<String>,
    outbound: &'static str,
    timeouts: [u32; 6],
    warm_up: u32,
    without: Vec<&'static str>,
    passes: [bool; 4],
    pass_ethertypes: Vec<String>,
    count_only: bool,
    pass_sources: &'a [IpNet],
    internal: &'a [IpNet],
    peers: &'a Option<BTreeMap<RoleId, Vec<IpNet>>>,
    protect: Vec<(&'a str, &'a [RoleId], &'a [IpNet], bool)>,
    allow: Vec<WrittenRule<'a>>,
    management: Vec<WrittenRule<'a>>,
    publish: Vec<WrittenPort<'a>>,
}

type WrittenRule<'a> = (&'a str, Vec<String>, &'a [IpNet], &'a [IpNet], &'a str);
type WrittenPort<'a> = (&'a str, Vec<String>, IpAddr, Option<u16>, &'a str);

/// SHA-256 of what the operator wrote: the same on every machine and after every start.
pub(super) fn of_written(policy: &SitePolicy) -> [u8; 32] {
    // Nothing in it can fail to be written.
    let text = serde_json::to_vec(&written(policy)).unwrap_or_default();
    Sha256::digest(text).into()
}

fn written(policy: &SitePolicy) -> WrittenPolicy<'_> {
    // Every field by name: a new one cannot be forgotten.
    let SitePolicy {
        site,
        outbound,
        timeouts,
        warm_up,
        without,
        pass_orphan_fragments,
        pass_source_routes,
        pass_unrelated_icmp_errors,
        pass_other_ethertypes,
        pass_ethertypes,
        count_only,
        pass_sources,
        internal,
        peers,
        protect,
        allow,
        management,
        publish,
    } = policy;
    let Site {
        catalog,
        http,
        wsus,
        sql,
        wake_on_lan,
        amt_provisioning,
        rpc_range,
        multicast_range,
        site_server_initiated_only,
        rpc_dynamic_with_mapper,
        features,
    } = site;
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_half_closed,
        tcp_closing,
        other,
        answer,
    } = *timeouts;
    WrittenPolicy {
        layout: LAYOUT,
        edition: catalog.edition,
        http: [http.http(), http.https()],
        wsus: wsus.map(|wsus| [wsus.http(), wsus.https()]),
        sql: *sql,
        wake_on_lan: *wake_on_lan,
        amt_provisioning: *amt_provisioning,
        ranges: [(*rpc_range).into(), (*multicast_range).into()],
        site_server_initiated_only: *site_server_initiated_only,
        rpc_dynamic_with_mapper: *rpc_dynamic_with_mapper,
        features,
        outbound: match outbound {
            Outbound::Track => "track",
            Outbound::Enforce => "enforce",
            Outbound::Off => "off",
        },
        timeouts: [
            tcp_opening,
            tcp_established,
            tcp_half_closed,
            tcp_closing,
            other,
            answer,
        ],
        warm_up: *warm_up,
        without: without
            .iter()
            .map(|essential| essential.0.label())
            .collect(),
        passes: [
            *pass_orphan_fragments,
            *pass_source_routes,
            *pass_unrelated_icmp_errors,
            *pass_other_ethertypes,
        ],
        pass_ethertypes: texts(pass_ethertypes),
        count_only: *count_only,
        pass_sources,
        internal,
        peers,
        protect: protect.iter().map(written_entry).collect(),
        allow: allow.iter().map(written_rule).collect(),
        management: management.iter().map(written_rule).collect(),
        publish: publish.iter().map(written_port).collect(),
    }
}

fn written_entry(entry: &Protected) -> (&str, &[RoleId], &[IpNet], bool) {
    let Protected {
        name,
        roles,
        addresses,
        elsewhere,
    } = entry;
    (name, roles, addresses, *elsewhere)
}

fn written_rule(rule: &Rule) -> WrittenRule<'_> {
    let Rule {
        name,
        targets,
        from,
        to,
        reason,
    } = rule;
    (name, texts(targets), from, to, reason)
}

fn written_port(published: &Publish) -> WrittenPort<'_> {
    let Publish {
        name,
        targets,
        to,
        to_port,
        reason,
    } = published;
    (name, texts(targets), *to, *to_port, reason)
}

fn texts<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Compiled, Request, ServiceNames, Surroundings, Target, compile, hash_text,
    };

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
        let text = serde_json::to_string(&written(&policy("dp"))).unwrap();
        let begins = "{\"layout\":1,\"edition\":\"2007\",\"http\":[80,443],\"wsus\":null,";
        assert!(text.starts_with(begins), "{text}");
        let ends = "\"protect\":[[\"dp\",[\"distribution-point\"],[\"10.2.0.0/24\"],false]],\
                    \"allow\":[],\"management\":[],\"publish\":[]}";
        assert!(text.ends_with(ends), "{text}");
        let golden = "4ebb1b1d1c1da9836ed126f8a29aba22b906ee1305e5cd6bc088a1052ac1576b";
        assert_eq!(hash_text(&of_written(&policy("dp"))), golden);
    }
}
