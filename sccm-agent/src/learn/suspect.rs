//! What gets no rule: scans, and what looks like reconnaissance or coercion.

use super::input::Seen;
use crate::policy::{CLIENT, INTERNET, Labels, Opener, SitePolicy, Target};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One source at so many ports of one host has looked for open ones. No role opens so many at another.
const MANY_PORTS: usize = 16;

/// One source at the same port of so many hosts, and refused, has looked for hosts.
const MANY_HOSTS: usize = 16;

/// One source that was refused by so many ports and hosts together, however it mixed them.
const MANY_ENDS: usize = 32;

/// From here on, ports are handed out by the RPC endpoint mapper: many of them are one service.
const DYNAMIC: u16 = 49152;

/// Somebody who has tried many ports or hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Scan {
    /// Who.
    #[cfg_attr(test, schemars(with = "String"))]
    pub source: IpAddr,
    /// Hosts.
    pub hosts: usize,
    /// Ports, or types and protocols.
    pub ports: usize,
    /// Packets.
    pub packets: u64,
}

/// A conversation that looks like reconnaissance or coercion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Suspect {
    /// The protected system that opened it.
    #[cfg_attr(test, schemars(with = "String"))]
    pub source: IpAddr,
    /// To whom.
    #[cfg_attr(test, schemars(with = "String"))]
    pub destination: IpAddr,
    /// What: `tcp/445`.
    pub what: String,
    /// Packets.
    pub packets: u64,
    /// Why it is suspect.
    pub why: String,
}

/// A port counts as one, and all dynamic ones together.
fn door(target: &Target) -> String {
    match target {
        Target::Tcp(ports) if *ports.start() >= DYNAMIC => "tcp/dynamic".to_owned(),
        other => other.to_string(),
    }
}

/// Scans, and all that belongs to none.
pub(super) fn without_scans(seen: &[Seen]) -> (Vec<Scan>, Vec<&Seen>) {
    type Sets<K, V> = BTreeMap<K, BTreeSet<V>>;
    let mut ports: Sets<(IpAddr, IpAddr), String> = Sets::new();
    let mut hosts: Sets<(IpAddr, String), IpAddr> = Sets::new();
    let mut ends: Sets<IpAddr, (IpAddr, String)> = Sets::new();
    for one in seen {
        let (opener, server, door) = (one.opener(), one.server(), door(&one.question.target));
        let of_host = ports.entry((opener, server)).or_default();
        of_host.insert(door.clone());
        if one.refused {
            let of_port = hosts.entry((opener, door.clone())).or_default();
            of_port.insert(server);
            ends.entry(opener).or_default().insert((server, door));
        }
    }
    let is_scan = |one: &Seen| {
        let (opener, door) = (one.opener(), door(&one.question.target));
        let tried = |set: Option<usize>, many: usize| set.is_some_and(|tried| tried >= many);
        let at_host = ports.get(&(opener, one.server())).map(BTreeSet::len);
        let at_port = hosts.get(&(opener, door)).map(BTreeSet::len);
        let anywhere = ends.get(&opener).map(BTreeSet::len);
        tried(at_host, MANY_PORTS)
            || one.refused && (tried(at_port, MANY_HOSTS) || tried(anywhere, MANY_ENDS))
    };
    let (scanned, rest): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|one| is_scan(one));
    let mut of_source: BTreeMap<IpAddr, Vec<&Seen>> = BTreeMap::new();
    for one in scanned {
        of_source.entry(one.opener()).or_default().push(one);
    }
    let scans = of_source.into_iter().map(|(source, all)| {
        let hosts: BTreeSet<IpAddr> = all.iter().map(|one| one.server()).collect();
        let ports: BTreeSet<String> = all
            .iter()
            .map(|one| one.question.target.to_string())
            .collect();
        Scan {
            source,
            hosts: hosts.len(),
            ports: ports.len(),
            packets: all.iter().map(|one| one.packets[0]).sum(),
        }
    });
    (scans.collect(), rest)
}

/// What a site system opens when somebody makes it log on to them, or asks through it (SMB, LDAP, HTTP,
/// WinRM, RPC), and the name of that.
const COERCED: [(u16, &str); 9] = [
    (80, "HTTP"),
    (135, "RPC"),
    (139, "SMB"),
    (389, "LDAP"),
    (443, "HTTPS"),
    (445, "SMB"),
    (636, "LDAP"),
    (3268, "LDAP"),
    (5985, "WinRM"),
];

/// What is suspect, and the rest. A site system that speaks to a system without any role, or to a
/// client, in a protocol by which its own account can be relayed, is what coercion looks like.
pub(super) fn without_suspects<'s>(
    policy: &SitePolicy,
    seen: &[&'s Seen],
    labels: &Labels,
) -> (Vec<Suspect>, Vec<&'s Seen>) {
    let (mut suspects, mut rest) = (Vec::new(), Vec::new());
    for one in seen {
        match why(policy, one, labels) {
            None => rest.push(*one),
            Some(why) => suspects.push(Suspect {
                source: one.opener(),
                destination: one.server(),
                what: one.question.target.to_string(),
                packets: one.packets[0],
                why,
            }),
        }
    }
    (suspects, rest)
}

fn why(policy: &SitePolicy, one: &Seen, labels: &Labels) -> Option<String> {
    let question = &one.question;
    let port = match (&question.target, question.opener) {
        (Target::Tcp(ports), Opener::Protected) => *ports.start(),
        _ => return None,
    };
    let (_, name) = COERCED.iter().find(|(coerced, _)| *coerced == port)?;
    if !is_site_system(policy, question.protected) || !may_be_client(policy, question.peer) {
        return None;
    }
    let who = labels.get(question.protected).unwrap_or("a site system");
    Some(format!(
        "{who} speaks {name} to a system without a role: so it looks when somebody makes a site system \
         log on to him, and relays that"
    ))
}

/// Whether a protected system is more than a client. Where no entry lists addresses, all have the
/// roles of every entry.
fn is_site_system(policy: &SitePolicy, system: IpAddr) -> bool {
    let entries = policy.protect.iter().filter(|entry| {
        let mut addresses = entry.addresses.iter();
        entry.addresses.is_empty() || addresses.any(|prefix| prefix.contains(&system))
    });
    let mut roles = entries.flat_map(|entry| &entry.roles);
    roles.any(|role| !policy.site.catalog.is(role, CLIENT))
}

/// Whether a peer has no role, or that of a client alone.
fn may_be_client(policy: &SitePolicy, peer: IpAddr) -> bool {
    let named = policy.peers.iter().flatten().filter(|(role, _)| {
        let role = role.as_str();
        role != CLIENT && role != INTERNET
    });
    let mut prefixes = named.flat_map(|(_, prefixes)| prefixes);
    let protected = policy.protect.iter().flat_map(|entry| &entry.addresses);
    !prefixes.any(|prefix| prefix.contains(&peer))
        && !protected.into_iter().any(|prefix| prefix.contains(&peer))
}
