//! Which ports the endpoint mapper hands out, by what is said on TCP 135 (`docs/rpc.md`, "How the kernel
//! learns"; DCE 1.1: RPC, 12.6; MS-RPCE, 2.2.2).

use std::collections::HashMap;
use std::net::IpAddr;

use sccm_common::Reason;
use sccm_tests::reading::{Carrier, Way};

use super::Oracle;
use super::parse::{Part, Seen, Transport};
use super::rpc_answer;
use super::rpc_unit::{Unit, units};

const MAPPER: u16 = 135;

/// Seconds for which a context, a call and an answer are known.
const KNOWN: u64 = 120;

/// Contexts of a proposal that are read.
const CONTEXTS: usize = 8;

/// A port of a server that was handed to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handed {
    pub client: IpAddr,
    pub server: IpAddr,
    pub port: u16,
}

/// What is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// When it was handed out, or a packet went by last.
    pub seen: u64,
    /// Whether somebody has connected.
    pub is_used: bool,
    pub how: How,
}

/// By which calls ports are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    Map,
    Activation,
    LegacyActivation,
    Resolve,
    Resolve2,
}

impl How {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Map,
        Self::Activation,
        Self::LegacyActivation,
        Self::Resolve,
        Self::Resolve2,
    ];
}

/// Which interface a context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Service {
    Mapper,
    Activator,
    LegacyActivator,
    Resolver,
}

/// By UUID and version.
const SERVICES: [(u128, u32, Service); 4] = [
    (0xe1af8308_5d1f_11c9_91a4_08002b14a0fa, 3, Service::Mapper),
    (
        0x000001a0_0000_0000_c000_000000000046,
        0,
        Service::Activator,
    ),
    (
        0x4d9f4ab8_7d1c_11cf_861e_0020af6e7c57,
        0,
        Service::LegacyActivator,
    ),
    (0x99fcfec4_5260_101b_bbcb_00aa0021347a, 0, Service::Resolver),
];

impl Service {
    fn how(self, operation: u16) -> Option<How> {
        Some(match (self, operation) {
            (Self::Mapper, 3) => How::Map,
            (Self::Activator, 3 | 4) => How::Activation,
            (Self::LegacyActivator, 0) => How::LegacyActivation,
            (Self::Resolver, 0) => How::Resolve,
            (Self::Resolver, 4) => How::Resolve2,
            _ => return None,
        })
    }
}

/// A connection to a mapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Connection {
    client: IpAddr,
    server: IpAddr,
    port: u16,
}

/// A call, and where in the server's stream it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Call {
    connection: Connection,
    context: u16,
    number: u32,
    answer: u32,
    how: How,
}

/// What was said, and when.
#[derive(Debug, Default)]
pub struct Heard {
    contexts: HashMap<(Connection, u16, Service), u64>,
    calls: HashMap<Call, u64>,
    answered: HashMap<Call, u64>,
    pub openings: HashMap<Handed, Opening>,
}

impl Oracle<'_> {
    /// Whether ports of the range are handed out this way at all, and this is one.
    pub(super) fn may_be_handed_out(
        &self,
        way: Way,
        local: Option<IpAddr>,
        peer: IpAddr,
        (carrier, port): (Carrier, u16),
    ) -> bool {
        carrier == Carrier::Tcp
            && self.rights.is_dynamic(port)
            && self.rights.hands_out(way, local, peer)
            // Where another entry opens the whole range, nothing depends on it.
            && !self.rights.may(way, local, peer, (carrier, port))
    }

    /// Whether a packet goes by an opening, from its client or from its server, which renews it.
    pub(super) fn uses_opening(&mut self, packet: &Seen<'_>, of_client: bool) -> bool {
        let Transport::Tcp { ports, .. } = packet.transport else {
            return false;
        };
        let handed = match of_client {
            true => Handed {
                client: packet.source,
                server: packet.destination,
                port: ports.1,
            },
            false => Handed {
                client: packet.destination,
                server: packet.source,
                port: ports.0,
            },
        };
        let is_open = self.is_open(&handed);
        if is_open && let Some(opening) = self.heard.openings.get_mut(&handed) {
            (opening.seen, opening.is_used) = (self.now, true);
        }
        is_open
    }

    fn is_open(&self, handed: &Handed) -> bool {
        let lasts = |opening: &Opening| {
            let (key, default) = match opening.is_used {
                true => ("rpc-used", 14_400),
                false => ("rpc-unused", 120),
            };
            let set = self.setting.document.timeouts.get(key);
            u64::from(set.copied().unwrap_or(default))
        };
        let opening = self.heard.openings.get(handed);
        opening.is_some_and(|opening| self.now - opening.seen <= lasts(opening))
    }

    /// Hears what a packet says to a mapper, or a mapper to its client, after it was judged.
    pub(super) fn hear(
        &mut self,
        packet: &Seen<'_>,
        way: Way,
        local: Option<IpAddr>,
        reason: Reason,
    ) {
        let Transport::Tcp {
            ports,
            sequence,
            // Without, it is no data of an open connection.
            acknowledged: Some(acknowledged),
            data,
            ..
        } = packet.transport
        else {
            return;
        };
        let (of_client, connection) = match ports {
            (port, MAPPER) => (
                true,
                Connection {
                    client: packet.source,
                    server: packet.destination,
                    port,
                },
            ),
            (MAPPER, port) => (
                false,
                Connection {
                    client: packet.destination,
                    server: packet.source,
                    port,
                },
            ),
            _ => return,
        };
        // Which way the client opens.
        let (opens, peer) = match way {
            Way::In if of_client => (Way::In, packet.source),
            Way::In => (Way::Out, packet.source),
            Way::Out if of_client => (Way::Out, packet.destination),
            Way::Out => (Way::In, packet.destination),
        };
        let passed = match way {
            Way::In if of_client => reason == Reason::Service,
            Way::In => reason == Reason::Reply,
            Way::Out => reason == Reason::Outbound,
        };
        if !passed
            || !self.rights.hands_out(opens, local, peer)
            || !matches!(packet.part, Part::Whole | Part::Atomic)
        {
            return;
        }
        // Of a whole packet, this is the size of the header, of which all but options is left out.
        let behind = packet.edge - 20;
        let Some(data) = packet.rest.get(behind..behind + data) else {
            return;
        };
        for unit in units(data) {
            match (of_client, unit.kind) {
                (true, 11 | 14) => self.proposed(connection, &unit),
                (true, 0) if unit.flags & 1 != 0 => {
                    self.called(connection, &unit, acknowledged);
                }
                (false, 2 | 3) => {
                    let place = sequence.wrapping_add(unit.at as u32);
                    for port in self.answered(connection, &unit, place) {
                        self.hand_out(connection, port);
                    }
                }
                _ => {}
            }
        }
    }

    fn proposed(&mut self, connection: Connection, unit: &Unit<'_>) {
        let mut rest = unit.bytes.get(28..).unwrap_or_default();
        for _ in 0..usize::from(unit.bytes[24..].first().copied().unwrap_or_default()).min(CONTEXTS)
        {
            let Some((context, behind)) = rest.split_at_checked(24) else {
                return;
            };
            let (number, syntaxes) = (unit.word(context, 0), usize::from(context[2]));
            let name = (unit.uuid(&context[4..20]), unit.long(context, 20));
            for (uuid, version, service) in SERVICES {
                if name == (uuid, version) {
                    let key = (connection, number, service);
                    self.heard.contexts.insert(key, self.now);
                }
            }
            rest = behind.get(20 * syntaxes..).unwrap_or_default();
        }
    }

    fn called(&mut self, connection: Connection, unit: &Unit<'_>, answer: u32) {
        let (context, operation) = (unit.word(unit.bytes, 20), unit.word(unit.bytes, 22));
        let now = self.now;
        for (.., service) in SERVICES {
            let key = (connection, context, service);
            let seen = self.heard.contexts.get_mut(&key);
            let Some(seen) = seen.filter(|seen| now - **seen <= KNOWN) else {
                continue;
            };
            if let Some(how) = service.how(operation) {
                *seen = now;
                let call = Call {
                    connection,
                    context,
                    number: unit.call,
                    answer,
                    how,
                };
                self.heard.calls.insert(call, now);
            }
        }
    }

    /// The ports that an answer names, with how it does.
    fn answered(
        &mut self,
        connection: Connection,
        unit: &Unit<'_>,
        answer: u32,
    ) -> Vec<(u16, How)> {
        let now = self.now;
        let is_known = |seen: Option<&u64>| seen.is_some_and(|seen| now - seen <= KNOWN);
        let calls = How::ALL.map(|how| Call {
            connection,
            context: unit.word(unit.bytes, 20),
            number: unit.call,
            answer,
            how,
        });
        let mut calls = calls.into_iter();
        let Some(call) = calls.find(|call| is_known(self.heard.calls.get(call))) else {
            return Vec::new();
        };
        let before = self.heard.answered.insert(call, now);
        if is_known(before.as_ref()) || unit.kind != 2 {
            return Vec::new();
        }
        let Some(stub) = unit.stub() else {
            return Vec::new();
        };
        let ports = match call.how {
            How::Map => rpc_answer::of_towers(stub),
            // An HRESULT fails by its highest bit.
            How::Activation | How::LegacyActivation => rpc_answer::of_bindings(stub, 1 << 31),
            How::Resolve | How::Resolve2 => rpc_answer::of_bindings(stub, u32::MAX),
        };
        ports.into_iter().map(|port| (port, call.how)).collect()
    }

    fn hand_out(&mut self, connection: Connection, (port, how): (u16, How)) {
        const NEVER: [u16; 8] = [135, 139, 445, 593, 1433, 3389, 5985, 5986];
        if NEVER.contains(&port) || !self.rights.is_dynamic(port) {
            return;
        }
        let Connection { client, server, .. } = connection;
        let handed = Handed {
            client,
            server,
            port,
        };
        // One that has ended is nobody's: it begins anew.
        let known = self.heard.openings.get(&handed);
        let is_used = self.is_open(&handed) && known.is_some_and(|opening| opening.is_used);
        let opening = Opening {
            seen: self.now,
            is_used,
            how,
        };
        self.heard.openings.insert(handed, opening);
    }
}
