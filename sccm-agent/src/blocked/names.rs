//! From the numbers of a flow to what people call them.

use super::{Party, Refused};
use crate::kernel::Maps;
use crate::policy::{Labels, ServiceNames, ip_of};
use anyhow::Result;
use sccm_common::blocked::{BlockedKey, mark};
use sccm_common::packet::Protocol;
use sccm_common::wire::ethernet::Header;
use sccm_common::{Reason, ServiceClass};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Who sent, and to whom, of a flow of IP.
pub(super) fn ends(key: &BlockedKey) -> (IpAddr, IpAddr) {
    let family = key.family();
    (ip_of(family, key.source), ip_of(family, key.destination))
}

/// What the numbers of a flow are called.
#[derive(Debug, Default)]
pub struct Names {
    /// By slot.
    pub interfaces: BTreeMap<u32, String>,
    /// By class.
    pub services: ServiceNames,
    /// By address, where the policy as it was written is known.
    pub labels: Arc<Labels>,
}

impl Names {
    /// As the pinned maps have them; labels are not in these.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub fn read(maps: &Maps, labels: Arc<Labels>) -> Result<Self> {
        let interfaces = maps.interfaces()?.into_iter();
        Ok(Self {
            interfaces: interfaces.map(|one| (one.slot, one.name)).collect(),
            services: maps.service_names()?,
            labels,
        })
    }

    /// Who was refused what.
    #[must_use]
    pub fn of(&self, key: &BlockedKey) -> Refused {
        let protocol = Protocol(key.protocol);
        let link = key.link();
        let (is_icmp, has_ports) = (
            matches!(protocol, Protocol::ICMP | Protocol::ICMPV6),
            matches!(protocol, Protocol::TCP | Protocol::UDP),
        );
        let service = self.services.get(ServiceClass(key.service));
        let interface = self.interfaces.get(&u32::from(key.slot));
        let (source, destination) = match link {
            Some(link) => (
                Party::hardware(link.source),
                Party::hardware(link.destination),
            ),
            None => {
                let (source, destination) = ends(key);
                (Party::Ip(source), Party::Ip(destination))
            }
        };
        let label = |party: Party| self.labels.get(party.ip()?).map(str::to_owned);
        Refused {
            source,
            destination,
            source_name: label(source),
            destination_name: label(destination),
            protocol: link.map_or_else(|| protocol_name(protocol), link_name),
            port: has_ports.then_some(key.port),
            icmp_type: is_icmp.then_some(key.port),
            ethertype: link.and_then(ethertype),
            snap: link.and_then(snap),
            llc: link.and_then(llc),
            service: service.map_or_else(|| "none".to_owned(), |name| name.service.clone()),
            reason: reason(key).map_or("unknown", Reason::label),
            interface: interface.cloned().unwrap_or_else(|| key.slot.to_string()),
            direction: match key.marks & mark::OUTBOUND {
                0 => "inbound",
                _ => "outbound",
            },
            observed: key.marks & mark::OBSERVED != 0,
        }
    }
}

/// The reason of a flow; `None` for a number that this program does not know.
pub(super) fn reason(key: &BlockedKey) -> Option<Reason> {
    Reason::from_number(key.reason)
}

fn link_name(link: Header) -> String {
    let name = match (link.ethertype, link.snap()) {
        (0, Some(_)) => "snap",
        (0, None) => "llc",
        _ => "ethernet",
    };
    name.to_owned()
}

fn ethertype(link: Header) -> Option<String> {
    (link.ethertype != 0).then(|| format!("{:#06x}", link.ethertype))
}

fn snap(link: Header) -> Option<String> {
    let ([a, b, c], protocol) = link.snap()?;
    Some(format!("{a:02x}{b:02x}{c:02x}-{protocol:04x}"))
}

fn llc(link: Header) -> Option<String> {
    let [to, from, ..] = link.llc.to_be_bytes();
    let is_llc = link.ethertype == 0 && link.snap().is_none();
    is_llc.then(|| format!("{to:02x}-{from:02x}"))
}

/// The name of an IP protocol, or its number.
#[must_use]
pub fn protocol_name(protocol: Protocol) -> String {
    let name = match protocol {
        Protocol::TCP => "tcp",
        Protocol::UDP => "udp",
        Protocol::ICMP => "icmp",
        Protocol::ICMPV6 => "icmpv6",
        Protocol::IGMP => "igmp",
        Protocol::GRE => "gre",
        Protocol::ESP => "esp",
        Protocol::AH => "ah",
        Protocol(number) => return number.to_string(),
    };
    name.to_owned()
}
