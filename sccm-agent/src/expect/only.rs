//! Nothing but what is named may reach a system.

use super::{may_send, meets, of_sort};
use crate::policy::{Ends, Expectation, Kind, Kinds, Must, Opener, Target, table_of};
use ipnet::IpNet;
use sccm_common::ServiceClass;
use std::net::IpAddr;

/// The protocols that policies have tables of.
const PROTOCOLS: [&str; 5] = ["tcp", "udp", "icmp", "icmpv6", "ip"];

/// What passes to the systems of an expectation that neither it nor another one of its sort names.
pub(super) fn breaks(kinds: &Kinds<'_>, expectation: &Expectation) -> Option<String> {
    let systems = kinds
        .all
        .iter()
        .filter(|kind| meets(&expectation.to, kind) && (!kind.systems.is_empty() || kind.is_own()));
    let mut asked = false;
    for system in systems {
        let named: Vec<&Expectation> = of_sort(kinds.policy, Must::Only)
            .filter(|one| meets(&one.to, system))
            .collect();
        let senders = kinds
            .all
            .iter()
            .filter(|kind| kind.is_of_family(system) && may_send(kind) && !kind.is_group);
        for sender in senders {
            asked = true;
            if let Some((what, address)) = unnamed(kinds, &named, system, sender) {
                return Some(format!(
                    "{what} from {address} to {} passes, and is not named",
                    super::example(&expectation.to, system)
                ));
            }
        }
    }
    (!asked).then(|| "`to` means no system that is protected here".to_owned())
}

/// Something that passes from some of the senders, and that nobody names.
fn unnamed(
    kinds: &Kinds<'_>,
    named: &[&Expectation],
    system: &Kind,
    sender: &Kind,
) -> Option<(String, IpAddr)> {
    let open = kinds.open(Opener::Peer, system, sender);
    for protocol in PROTOCOLS {
        let of_other_family = match protocol {
            "icmp" => sender.example().is_ipv6(),
            "icmpv6" => sender.example().is_ipv4(),
            _ => false,
        };
        if of_other_family {
            continue;
        }
        let targets = named
            .iter()
            .flat_map(|one| one.targets.iter().map(move |it| (*one, it)));
        let targets: Vec<(&Expectation, &Target)> = targets
            .filter(|(_, target)| target.protocol() == protocol)
            .collect();
        let table = table_of(&kinds.compiled.policy, protocol);
        // Between two of these, nothing changes: a class, or what is named.
        let mut before: Option<(ServiceClass, Vec<usize>)> = None;
        for (number, class) in (0..=u16::MAX).zip(table) {
            // Of who has no address yet, nothing passes but DHCP.
            let is_lost = sender.is_nobody() && (protocol, number) != ("udp", 67);
            if is_lost || !open.contains(*class) {
                before = None;
                continue;
            }
            let numbered = targets.iter().enumerate();
            let covering = numbered.filter(|(_, (_, target))| target.numbers().contains(&number));
            let covering: Vec<usize> = covering.map(|(index, _)| index).collect();
            let here = Some((*class, covering));
            if here == before {
                continue;
            }
            let covering = here.as_ref().map(|(_, covering)| covering.as_slice());
            let from = covering
                .unwrap_or_default()
                .iter()
                .map(|index| &targets[*index].0.from);
            if let Some(address) = outside(sender, &from.collect::<Vec<_>>()) {
                return Some((format!("{protocol}/{number}"), address));
            }
            before = here;
        }
    }
    None
}

/// An address of a kind that none of these ends means.
fn outside(kind: &Kind, ends: &[&Ends]) -> Option<IpAddr> {
    let mut prefixes: Vec<&IpNet> = Vec::new();
    for end in ends {
        match end {
            Ends::Anybody => return None,
            Ends::Protected => {}
            Ends::Listed(_, true) if kind.is_of_the_internet => return None,
            Ends::Listed(listed, _) => prefixes.extend(listed),
        }
    }
    prefixes.sort_by_key(|prefix| prefix.network());
    kind.rows.iter().find_map(|(first, last)| {
        let mut next = *first;
        for prefix in &prefixes {
            let (low, high) = (prefix.network(), prefix.broadcast());
            if low.is_ipv4() != next.is_ipv4() || high < next {
                continue;
            }
            if low > next {
                break;
            }
            if high >= *last {
                return None;
            }
            next = after(high)?;
        }
        Some(next)
    })
}

fn after(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => IpAddr::V4(address.to_bits().checked_add(1)?.into()),
        IpAddr::V6(address) => IpAddr::V6(address.to_bits().checked_add(1)?.into()),
    })
}
