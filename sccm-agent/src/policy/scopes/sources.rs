//! What policy and machine say of addresses as sources of packets that come in.

use super::super::addresses::{Source, Tag};
use super::super::{SitePolicy, Surroundings};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefixes and what they say; in which order is of no account.
pub(super) fn of(policy: &SitePolicy, machine: &Surroundings) -> Vec<(IpNet, Tag)> {
    let mut said: Vec<(IpNet, Source)> = Vec::new();
    let mut say = |prefixes: &[IpNet], source| {
        said.extend(prefixes.iter().map(|prefix| (*prefix, source)));
    };
    say(&martians(), Source::Nobody);
    let own = machine.own.iter().copied();
    let broadcasts = machine.broadcasts.iter().copied().map(IpAddr::V4);
    let own: Vec<IpNet> = own.chain(broadcasts).map(IpNet::from).collect();
    say(&own, Source::Nobody);
    say(&policy.pass_sources, Source::Passes);
    for entry in &policy.protect {
        match (entry.addresses.as_slice(), entry.elsewhere) {
            ([], _) => say(&whole_families(), Source::Rest),
            (listed, true) => say(listed, Source::Elsewhere),
            (listed, false) if machine.is_bridge => {
                let of_one_side = |prefix: &&IpNet| !is_of_every_link(prefix);
                let listed: Vec<IpNet> = listed.iter().filter(of_one_side).copied().collect();
                say(&listed, Source::Inside);
            }
            (listed, false) => say(listed, Source::Listed),
        }
    }
    if !machine.routes.is_empty() {
        // Every link has such addresses, whatever the routes say.
        say(&[link_local()], Source::Behind(false));
    }
    for (prefix, behind) in &machine.routes {
        if !link_local().contains(prefix) {
            say(&[*prefix], Source::Behind(*behind));
        }
    }
    said.into_iter()
        .map(|(prefix, source)| (prefix, Tag::Source(source)))
        .collect()
}

/// Addresses that stand for no single system, or only for the one that uses them: "this network"
/// and loopback (RFC 1122, 3.2.1.3), multicast (RFC 5771), reserved and broadcast (RFC 1112, 4;
/// RFC 919); the same in IPv6 (RFC 4291, 2.5 and 2.7), and IPv4-mapped addresses, which mean IPv4
/// inside a host (RFC 4942, 2.2).
fn martians() -> [IpNet; 8] {
    let v4 = |first, length| Ipv4Net::new_assert(Ipv4Addr::new(first, 0, 0, 0), length).into();
    let v6 = |address, length| Ipv6Net::new_assert(Ipv6Addr::from_bits(address), length).into();
    [
        v4(0, 8),
        v4(127, 8),
        v4(224, 4),
        v4(240, 4),
        v6(0, 128),
        v6(1, 128),
        v6(0xffff << 32, 96),
        v6(0xff << 120, 8),
    ]
}

/// Whether systems on every link have addresses of this prefix.
fn is_of_every_link(prefix: &IpNet) -> bool {
    link_local().contains(prefix) && prefix.prefix_len() < prefix.max_prefix_len()
}

fn link_local() -> IpNet {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(0xfe80 << 112), 10).into()
}

fn whole_families() -> [IpNet; 2] {
    [Ipv4Net::default().into(), Ipv6Net::default().into()]
}
