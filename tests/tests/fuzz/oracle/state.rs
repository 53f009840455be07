//! What is remembered of flows, fragments and transfers, and for how long (`docs/policy.md`,
//! ARCHITECTURE "State", RFC 1350).

use std::net::IpAddr;

use super::Oracle;
use super::parse::{Seen, Transport};

/// Both ends of a flow, from the protected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    pub local: IpAddr,
    pub peer: IpAddr,
    pub protocol: u8,
    pub local_port: u16,
    pub peer_port: u16,
}

/// What is known of a flow. All but `seen` is of TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlowState {
    pub seen: u64,
    /// The protected side has sent nothing but a SYN.
    pub opening: bool,
    /// The protected side has sent its FIN.
    pub own_fin: bool,
    /// Whether the other side has.
    pub peer_fin: PeerFin,
    /// One of them has reset it, or both have closed.
    pub over: bool,
    /// The next byte that the protected side expects; 0 if it has not said so.
    pub expected: u32,
}

/// What is known of the other side's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeerFin {
    #[default]
    None,
    /// Somebody has sent one in its name.
    Claimed,
    /// The protected side has acknowledged more since.
    Acknowledged,
}

/// How far ahead an end is believed to be on its way.
const ON_ITS_WAY: u32 = 256 * 1024;

impl FlowState {
    /// After a segment of the protected side.
    pub fn after_own(before: Option<Self>, transport: Transport, seen: u64) -> Self {
        let Transport::Tcp {
            syn,
            fin,
            rst,
            acknowledged,
            ..
        } = transport
        else {
            return Self {
                seen,
                ..Self::default()
            };
        };
        let begins = syn && acknowledged.is_none();
        let mut state = before.unwrap_or_default();
        let expected = match (acknowledged, begins) {
            (Some(number), _) => number,
            (None, true) => 0,
            (None, false) => state.expected,
        };
        let acknowledges_more = expected != state.expected;
        state = Self {
            seen,
            expected,
            ..state
        };
        if rst {
            state.over = true;
        } else if begins && !fin {
            return Self {
                seen,
                opening: true,
                ..Self::default()
            };
        }
        state.opening = false;
        if state.over {
            return state;
        }
        if state.peer_fin == PeerFin::Claimed {
            state.peer_fin = match acknowledges_more {
                true => PeerFin::Acknowledged,
                false => PeerFin::None,
            };
        }
        state.own_fin |= fin;
        state.over = state.own_fin && state.peer_fin == PeerFin::Acknowledged;
        state
    }

    /// After a segment of the other side.
    pub fn after_peer(mut self, transport: Transport, seen: u64) -> Self {
        self.seen = seen;
        let Transport::Tcp {
            fin,
            rst,
            sequence,
            data,
            ..
        } = transport
        else {
            return self;
        };
        if self.over || self.opening || self.expected == 0 || !(fin || rst) {
            return self;
        }
        let place = match rst {
            true => sequence,
            false => sequence.wrapping_add(data as u32),
        };
        let ahead = place.wrapping_sub(self.expected);
        let near = ahead < ON_ITS_WAY && self.peer_fin == PeerFin::None;
        if rst && ahead == 0 {
            self.over = true;
        } else if near && (fin && !rst || !self.own_fin) {
            self.peer_fin = PeerFin::Claimed;
        }
        self
    }
}

/// What the fragments of a datagram share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datagram {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub id: u32,
    pub protocol: u8,
}

/// Both ends of a TFTP transfer; without a server's port while it is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transfer {
    pub server: IpAddr,
    pub client: IpAddr,
    pub server_port: Option<u16>,
    pub client_port: u16,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub seen: u64,
    /// Bytes of a full block, once they are known.
    pub block: Option<usize>,
    /// Number of the short block, once it was sent.
    pub last: Option<u16>,
    pub over: bool,
}

/// What was asked, so that the answer passes to who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// Of `asked`, unless a group was, at `port`; by `asker`.
    Ends {
        protocol: u8,
        asked: Option<IpAddr>,
        port: u16,
        asker: IpAddr,
        asker_port: u16,
    },
    /// By DHCP, in a transaction that a peer began, or a protected system.
    Dhcp { of_peer: bool, transaction: u32 },
    /// By DHCP, by a protected system.
    DhcpBy(IpAddr),
    /// By DHCP, by a relay that is answered at this address and port.
    Relayed {
        by: Asker,
        at: IpAddr,
        port: u16,
        exchange: u64,
    },
}

/// Who relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    Peer,
    Protected,
    Gateway,
}

/// What the message of a relay says (RFC 2131, 2; RFC 8415, 9).
pub struct RelayMessage {
    pub is_question: bool,
    pub is_answer: bool,
    /// giaddr, or link-address.
    pub relay: IpAddr,
    /// xid, or the interface identifier of peer-address.
    pub exchange: u64,
}

/// Reads it, of a datagram that is long enough.
pub fn relay_message(packet: &Seen<'_>) -> Option<RelayMessage> {
    let Transport::Udp { data, .. } = packet.transport else {
        return None;
    };
    let needed = if packet.is_v4() { 28 } else { 34 };
    let message = packet.rest.get(..needed).filter(|_| data >= needed)?;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
    };
    let (relay, exchange) = match packet.is_v4() {
        true => (
            <[u8; 4]>::try_from(&message[24..28]).ok()?.into(),
            number(&message[4..8]),
        ),
        false => (
            <[u8; 16]>::try_from(&message[2..18]).ok()?.into(),
            number(&message[26..34]),
        ),
    };
    let kinds = if packet.is_v4() { [1, 2] } else { [12, 13] };
    Some(RelayMessage {
        is_question: message[0] == kinds[0],
        is_answer: message[0] == kinds[1],
        relay,
        exchange,
    })
}

/// The transaction of a DHCP message (RFC 2131, 2).
pub fn transaction(packet: &Seen<'_>) -> u32 {
    let number = packet
        .rest
        .get(4..8)
        .and_then(|bytes| bytes.try_into().ok());
    number.map_or(0, u32::from_be_bytes)
}

/// Seconds for which the answer to a question of DHCP passes, and to any other.
pub const DHCP: u64 = 60;
const ANSWER: u32 = 60;

impl Oracle<'_> {
    pub(super) fn ask(&mut self, question: Question) {
        self.questions.insert(question, self.now);
    }

    pub(super) fn was_asked(&self, question: &Question, within: u64) -> bool {
        let asked = self.questions.get(question);
        asked.is_some_and(|asked| self.now - asked <= within)
    }

    /// For how long an answer passes.
    pub(super) fn answer_time(&self) -> u64 {
        let set = self.setting.document.timeouts.get("answer");
        set.copied().unwrap_or(ANSWER).into()
    }
}

impl Oracle<'_> {
    /// Whether a datagram with these ends belongs to a transfer that is under way.
    pub(super) fn has_transfer(&self, one: (IpAddr, u16), other: (IpAddr, u16)) -> bool {
        [(one, other), (other, one)]
            .into_iter()
            .any(|(server, client)| {
                let transfer = Transfer {
                    server: server.0,
                    client: client.0,
                    server_port: Some(server.1),
                    client_port: client.1,
                };
                let known = self.transfers.get(&transfer);
                known.is_some_and(|progress| progress.is_alive(self.now))
            })
    }
}

impl Progress {
    pub fn begun(now: u64) -> Self {
        Self {
            seen: now,
            block: Some(512),
            last: None,
            over: false,
        }
    }

    fn is_alive(&self, now: u64) -> bool {
        now - self.seen <= if self.over { 10 } else { 60 }
    }

    /// Where a packet with `data` bytes behind opcode and number brings it.
    fn after(mut self, opcode: u16, number: u16, data: usize, now: u64) -> Self {
        if self.over {
            return self;
        }
        self.seen = now;
        match (opcode, self.block) {
            (3, None) if data > 0 => self.block = Some(data),
            (3, Some(block)) if data < block => self.last = Some(number),
            (4, _) if self.last == Some(number) => self.over = true,
            (5, _) => self.over = true,
            (6, _) => self.block = None,
            _ => {}
        }
        self
    }
}

impl Datagram {
    pub fn of(packet: &Seen<'_>) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            id: packet.id,
            protocol: if packet.is_v4() { packet.protocol } else { 0 },
        }
    }
}

impl Flow {
    pub fn new(local: IpAddr, peer: IpAddr, protocol: u8, ports: (u16, u16)) -> Self {
        Self {
            local,
            peer,
            protocol,
            local_port: ports.0,
            peer_port: ports.1,
        }
    }
}

impl Oracle<'_> {
    /// Whether what is known of a flow still counts.
    pub(super) fn is_alive(&self, flow: &Flow) -> bool {
        let Some(state) = self.flows.get(flow) else {
            return false;
        };
        let (key, default) = match flow.protocol {
            6 if state.opening => ("tcp-opening", 60),
            6 if state.over => ("tcp-closing", 30),
            6 if state.own_fin || state.peer_fin != PeerFin::None => ("tcp-half-closed", 3_600),
            6 => ("tcp-established", 86_400),
            _ => ("other", 180),
        };
        let limit = self
            .setting
            .document
            .timeouts
            .get(key)
            .copied()
            .unwrap_or(default);
        self.now - state.seen <= u64::from(limit)
    }

    /// Notes a TFTP request that passes, from a client to a server.
    pub(super) fn note_request(&mut self, packet: &Seen<'_>) {
        let Transport::Udp {
            ports: (client_port, 69),
            data: 4..,
        } = packet.transport
        else {
            return;
        };
        if let Some([0, 1 | 2]) = packet.rest.get(..2) {
            let expected = Transfer {
                server: packet.destination,
                client: packet.source,
                server_port: None,
                client_port,
            };
            self.transfers.insert(expected, Progress::begun(self.now));
        }
    }

    /// Whether a packet belongs to a transfer, which it then moves on.
    pub(super) fn follows_transfer(&mut self, packet: &Seen<'_>) -> bool {
        // Port 0 is nobody's.
        let Transport::Udp {
            ports: (from @ 1.., to @ 1..),
            data: data @ 4..,
        } = packet.transport
        else {
            return false;
        };
        let Some(&[0, opcode @ 3..=6, high, low]) = packet.rest.get(..4) else {
            return false;
        };
        let (source, destination) = (packet.source, packet.destination);
        let of_server = Transfer {
            server: source,
            client: destination,
            server_port: Some(from),
            client_port: to,
        };
        let expected = Transfer {
            server_port: None,
            ..of_server
        };
        let of_client = Transfer {
            server: destination,
            client: source,
            server_port: Some(to),
            client_port: from,
        };
        let known = |key: &Transfer| self.transfers.get(key).copied();
        let alive = |key: &Transfer| known(key).filter(|progress| progress.is_alive(self.now));
        // A late block does not begin again what is over: only a newer request does.
        let newer = |progress: &Progress| {
            known(&of_server).is_none_or(|before| progress.seen > before.seen)
        };
        let (key, progress) = if let Some(progress) = alive(&of_server) {
            (of_server, progress)
        } else if let Some(progress) = alive(&expected).filter(newer) {
            (of_server, progress)
        } else if let Some(progress) = alive(&of_client) {
            (of_client, progress)
        } else {
            return false;
        };
        let number = u16::from_be_bytes([high, low]);
        let next = progress.after(opcode.into(), number, data - 4, self.now);
        self.transfers.insert(key, next);
        true
    }
}
