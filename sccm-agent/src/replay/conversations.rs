//! Who talked to whom: packets put together, whichever way they went, under the port that was opened.

use crate::blocked::protocol_name;
use crate::policy::{Target, ip_of};
use sccm_common::packet::{Fragment, Packet, Protocol};
use sccm_common::verdict::is_icmp_error;
use sccm_common::{Policy, Reason, ServiceClass};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Conversations that are told apart. Further ones are counted together: whoever scans makes up
/// thousands.
const MOST: usize = 262_144;

/// Pairs of ends of which is known who opened. When they are too many, the next packet of each
/// decides again.
const MOST_PAIRS: usize = 1_048_576;

/// Ports below it are opened, and not opened from.
const WELL_KNOWN: u16 = 1024;

/// One end to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    protocol: u8,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

/// A conversation: all connections of one system to a port of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub opener: IpAddr,
    pub server: IpAddr,
    pub protocol: u8,
    /// The port; of ICMP the type; else 0.
    pub port: u16,
}

impl Key {
    /// What is opened, as rules say it.
    #[must_use]
    pub fn target(&self) -> Target {
        match Protocol(self.protocol) {
            Protocol::TCP => Target::Tcp(self.port..=self.port),
            Protocol::UDP => Target::Udp(self.port..=self.port),
            Protocol::ICMP => Target::Icmp(self.port as u8),
            Protocol::ICMPV6 => Target::Icmpv6(self.port as u8),
            Protocol(number) => Target::Protocol(number),
        }
    }

    /// `tcp`, `udp` ...
    #[must_use]
    pub fn protocol(&self) -> String {
        protocol_name(Protocol(self.protocol))
    }
}

/// Which packet of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spotted {
    pub file: usize,
    pub number: u64,
    pub at: Duration,
}

/// What became of a conversation.
#[derive(Debug, Clone)]
pub struct Talk {
    /// The protected system opened it.
    pub outward: bool,
    pub service: ServiceClass,
    /// Packets of the opener, and of the other end.
    pub packets: [u64; 2],
    pub passed: u64,
    pub dropped: u64,
    pub reasons: Vec<Reason>,
    pub first: Spotted,
    pub last: Spotted,
    pub first_dropped: Option<Spotted>,
    /// Packets that another policy lets pass and this one drops, and the other way round.
    pub opens: u64,
    pub closes: u64,
}

/// All of them.
#[derive(Default)]
pub struct Conversations {
    pairs: HashMap<Pair, (usize, bool)>,
    numbers: HashMap<Key, usize>,
    talks: Vec<(Key, Talk)>,
    /// Packets of conversations that are not told apart.
    others: u64,
}

impl Conversations {
    /// The conversation of a packet, which `outward` says who sent, and which end sent it: 0 is the
    /// opener. `None` for what is no conversation, and for one too many.
    pub fn of(
        &mut self,
        packet: &Packet,
        outward: bool,
        policy: &Policy,
        spotted: Spotted,
    ) -> Option<(&mut Talk, usize)> {
        if packet.fragment == Fragment::Later || is_icmp_error(packet) {
            return None;
        }
        let pair = pair(packet)?;
        let flags = packet.tcp_flags;
        let opens = packet.protocol == Protocol::TCP && flags.is_bare_syn();
        let known = self.pairs.get(&pair).copied().filter(|_| !opens);
        let (number, by_opener) = match known {
            Some(known) => known,
            None => {
                let by_opener = is_by_opener(packet, policy);
                let Some(number) = self.number(packet, by_opener, outward, policy, spotted) else {
                    self.others += 1;
                    return None;
                };
                if self.pairs.len() >= MOST_PAIRS {
                    self.pairs.clear();
                }
                let back = Pair {
                    from: pair.to,
                    to: pair.from,
                    ..pair
                };
                self.pairs.insert(pair, (number, by_opener));
                self.pairs.insert(back, (number, !by_opener));
                (number, by_opener)
            }
        };
        let (_, talk) = self.talks.get_mut(number)?;
        let end = usize::from(!by_opener);
        if let Some(packets) = talk.packets.get_mut(end) {
            *packets += 1;
        }
        talk.last = spotted;
        Some((talk, end))
    }

    fn number(
        &mut self,
        packet: &Packet,
        by_opener: bool,
        outward: bool,
        policy: &Policy,
        spotted: Spotted,
    ) -> Option<usize> {
        let (source, destination) = (
            ip_of(packet.family, packet.source),
            ip_of(packet.family, packet.destination),
        );
        let has_ports = matches!(packet.protocol, Protocol::TCP | Protocol::UDP);
        let is_echo = packet.is_echo_request() || packet.is_echo_reply();
        let port = match (has_ports, by_opener) {
            (true, true) => packet.destination_port,
            (true, false) => packet.source_port,
            (false, _) if is_echo => echo(packet.protocol).into(),
            (false, _) => packet.icmp_type.into(),
        };
        let (opener, server) = match by_opener {
            true => (source, destination),
            false => (destination, source),
        };
        let key = Key {
            opener,
            server,
            protocol: packet.protocol.0,
            port,
        };
        if let Some(known) = self.numbers.get(&key) {
            return Some(*known);
        }
        if self.talks.len() >= MOST {
            return None;
        }
        let number = self.talks.len();
        let talk = Talk {
            outward: outward == by_opener,
            service: class_of(policy, packet.protocol, port),
            packets: [0, 0],
            passed: 0,
            dropped: 0,
            reasons: Vec::new(),
            first: spotted,
            last: spotted,
            first_dropped: None,
            opens: 0,
            closes: 0,
        };
        self.talks.push((key.clone(), talk));
        self.numbers.insert(key, number);
        Some(number)
    }

    /// Packets of conversations that are not told apart.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.others
    }

    /// All that were told apart, in the order in which they began.
    #[must_use]
    pub fn all(&self) -> &[(Key, Talk)] {
        &self.talks
    }
}

impl Talk {
    /// Notes what became of a packet.
    pub fn judged(&mut self, reason: Reason, spotted: Spotted) {
        if reason.passes() {
            self.passed += 1;
            return;
        }
        self.dropped += 1;
        self.first_dropped.get_or_insert(spotted);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

fn pair(packet: &Packet) -> Option<Pair> {
    let from = ip_of(packet.family, packet.source);
    let to = ip_of(packet.family, packet.destination);
    // An echo's identifier stands at both ends, so that both ways meet.
    let (source, destination) = match packet.protocol {
        Protocol::TCP | Protocol::UDP => (packet.source_port, packet.destination_port),
        Protocol::ICMP | Protocol::ICMPV6 => {
            let id = packet.source_port | packet.destination_port;
            (id, id)
        }
        _ => (0, 0),
    };
    (!from.is_unspecified() || !to.is_unspecified()).then_some(Pair {
        protocol: packet.protocol.0,
        from: (from, source),
        to: (to, destination),
    })
}

const fn echo(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::ICMPV6 => 128,
        _ => 8,
    }
}

/// Whether the sender of the first packet that was seen opened the conversation. A SYN says so. Where
/// a capture begins later, a port that the policy has a name for, or one below 1024, was opened.
fn is_by_opener(packet: &Packet, policy: &Policy) -> bool {
    let flags = packet.tcp_flags;
    match packet.protocol {
        Protocol::TCP if flags.is_bare_syn() => true,
        Protocol::TCP if flags.is_syn_ack() => false,
        Protocol::TCP | Protocol::UDP => {
            let is_served = |port: u16| {
                let class = class_of(policy, packet.protocol, port);
                (port < WELL_KNOWN, class.0 >= ServiceClass::FIRST_NAMED)
            };
            is_served(packet.destination_port) >= is_served(packet.source_port)
        }
        _ => !packet.is_echo_reply(),
    }
}

/// What a port, or a type, is to a policy.
fn class_of(policy: &Policy, protocol: Protocol, port: u16) -> ServiceClass {
    let at = usize::from(port);
    let class = match protocol {
        Protocol::TCP => policy.tcp.get(at),
        Protocol::UDP => policy.udp.get(at),
        Protocol::ICMP => policy.icmp.get(at),
        Protocol::ICMPV6 => policy.icmpv6.get(at),
        Protocol(number) => policy.protocol.get(usize::from(number)),
    };
    class.copied().unwrap_or(ServiceClass::NONE)
}
