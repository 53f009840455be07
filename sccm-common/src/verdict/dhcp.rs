//! DHCP: who asked, and who answers.
//!
//! A client without an address asks everybody, and any server or relay may answer, to its future
//! address or to everybody. So an answer is found by its transaction (RFC 2131, 4.1), or by the
//! address of a client that has one. A client of DHCPv6 always has one, and a server may answer
//! from any port (RFC 8415, 7.2).
//!
//! A relay asks on behalf of clients. What it asks says where it is answered: at its address on the
//! clients' link (RFC 2131, 4.1: `giaddr`), whatever address it sends from; with DHCPv6 at the
//! address that it sends from, and here also at that link's. The answer comes to the server's port,
//! or to the one that the relay sent from (RFC 8357).

use crate::address::{Address, Family};
use crate::cursor::Payload;
use crate::packet::{Packet, Protocol};
use crate::question::{QuestionKey, Relay};

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const SERVER_V6: u16 = 547;
const CLIENT_V6: u16 = 546;

/// Where the transaction is in a message (RFC 2131, 2: `xid`).
const TRANSACTION: u32 = 4;

/// What the messages of relays are, and what they have: RFC 2131, 2 and RFC 8415, 9.
mod message {
    /// `op`: to a server.
    pub(super) const REQUEST: u8 = 1;
    /// `op`: from a server.
    pub(super) const REPLY: u8 = 2;
    /// Where the address is at which a relay is answered: `giaddr`.
    pub(super) const RELAY: u32 = 24;
    /// Bytes up to its end.
    pub(super) const RELAY_END: u32 = 28;
    /// `msg-type` of DHCPv6: RELAY-FORW.
    pub(super) const RELAY_FORWARD: u8 = 12;
    /// `msg-type` of DHCPv6: RELAY-REPL.
    pub(super) const RELAY_REPLY: u8 = 13;
    /// Where `link-address` is.
    pub(super) const LINK: u32 = 2;
    /// Where the second half of `peer-address` is, which an answer repeats.
    pub(super) const CLIENT: u32 = 26;
    /// Bytes up to its end.
    pub(super) const CLIENT_END: u32 = 34;
}

/// All servers and relays on the link, and all servers of the site (RFC 8415, 7.1).
const GROUPS_V6: [Address; 2] = [
    Address {
        high: 0xff02 << 48,
        low: 0x1_0002,
    },
    Address {
        high: 0xff05 << 48,
        low: 0x1_0003,
    },
];

/// Whether a packet is to a client, from a server or a relay.
#[inline(always)]
pub(super) const fn is_to_client(packet: &Packet) -> bool {
    if packet.protocol.0 != Protocol::UDP.0 {
        return false;
    }
    match packet.family {
        Family::V4 => packet.source_port == SERVER && packet.destination_port == CLIENT,
        Family::V6 => packet.destination_port == CLIENT_V6,
    }
}

/// Whether a datagram between these ports may be to a client or to a relay.
#[inline(always)]
pub(super) const fn may_answer(source: u16, destination: u16) -> bool {
    matches!(destination, CLIENT | CLIENT_V6 | SERVER_V6) || matches!(source, SERVER | SERVER_V6)
}

/// Whether a datagram between these ports may be of DHCP, whoever sends it.
#[inline(always)]
pub(super) const fn may_concern(source: u16, destination: u16) -> bool {
    may_answer(source, destination) || may_answer(destination, source)
}

/// The port of servers.
#[inline(always)]
pub(super) const fn server_port(family: Family) -> u16 {
    match family {
        Family::V4 => SERVER,
        Family::V6 => SERVER_V6,
    }
}

/// Whether a packet may be from a relay to a server.
#[inline(always)]
pub(super) const fn may_be_of_relay(packet: &Packet) -> bool {
    packet.protocol.0 == Protocol::UDP.0 && packet.destination_port == server_port(packet.family)
}

/// Whether a packet may be from a server to a relay.
#[inline(always)]
pub(super) const fn may_be_to_relay(packet: &Packet) -> bool {
    packet.protocol.0 == Protocol::UDP.0
        && match packet.family {
            Family::V4 => packet.source_port == SERVER,
            Family::V6 => packet.source_port == SERVER_V6 || packet.destination_port == SERVER_V6,
        }
}

/// What a relay asks.
pub(super) struct Relayed {
    /// Where it is answered: two addresses, which may be the same.
    pub(super) at: [Address; 2],
    /// What the answer repeats.
    exchange: u64,
}

impl Relayed {
    /// The question as it is answered at one of its addresses and at this port.
    #[inline(always)]
    pub(super) const fn key(
        &self,
        relay: Relay,
        family: Family,
        address: Address,
        port: u16,
    ) -> QuestionKey {
        QuestionKey::dhcp_relay(relay, family, address, port, self.exchange)
    }
}

/// What a relay asks by this packet, of which [`may_be_of_relay`] holds.
#[inline(always)]
pub(super) fn asked_by_relay<P: Payload + ?Sized>(payload: &P, packet: &Packet) -> Option<Relayed> {
    let exchange = exchange(payload, packet, [message::REQUEST, message::RELAY_FORWARD])?;
    let at = packet.payload_offset;
    let at = match packet.family {
        Family::V4 => {
            let relay = Address::v4(payload.load(at + message::RELAY)?);
            [relay, relay]
        }
        Family::V6 => {
            let high = u64::from_be_bytes(payload.load(at + message::LINK)?);
            let low = u64::from_be_bytes(payload.load(at + message::LINK + 8)?);
            [packet.source, Address { high, low }]
        }
    };
    Some(Relayed { at, exchange })
}

/// The question of a relay that a packet answers, of which [`may_be_to_relay`] holds.
#[inline(always)]
pub(super) fn answer_to_relay<P: Payload + ?Sized>(
    payload: &P,
    packet: &Packet,
    relay: Relay,
) -> Option<QuestionKey> {
    let exchange = exchange(payload, packet, [message::REPLY, message::RELAY_REPLY])?;
    let (family, at) = (packet.family, packet.destination);
    let port = packet.destination_port;
    Some(QuestionKey::dhcp_relay(relay, family, at, port, exchange))
}

/// What tells the messages of a relay apart: the transaction, or the second half of the client's
/// address. `None`: the message is too short, or of none of these kinds (of DHCP, of DHCPv6).
#[inline(always)]
fn exchange<P: Payload + ?Sized>(payload: &P, packet: &Packet, kinds: [u8; 2]) -> Option<u64> {
    let at = packet.payload_offset;
    // Of one byte alone, the verifier would not see that it is there.
    let [kind, _] = payload.load(at)?;
    match packet.family {
        Family::V4 if kind == kinds[0] && packet.payload >= message::RELAY_END => {
            let transaction = payload.load(at + TRANSACTION)?;
            Some(u32::from_be_bytes(transaction).into())
        }
        Family::V6 if kind == kinds[1] && packet.payload >= message::CLIENT_END => {
            payload.load(at + message::CLIENT).map(u64::from_be_bytes)
        }
        _ => None,
    }
}

/// Whether a packet comes from a client.
#[inline(always)]
pub(super) const fn is_from_client(packet: &Packet) -> bool {
    packet.protocol.0 == Protocol::UDP.0
        && matches!(
            (packet.family, packet.source_port, packet.destination_port),
            (Family::V4, CLIENT, SERVER) | (Family::V6, CLIENT_V6, SERVER_V6)
        )
}

/// Whether a packet goes to all servers.
#[inline(always)]
pub(super) fn is_to_all_servers(packet: &Packet) -> bool {
    match packet.family {
        Family::V4 => packet.destination == Address::V4_BROADCAST,
        Family::V6 => GROUPS_V6.contains(&packet.destination),
    }
}

/// Whether a client asks that has no address yet.
#[inline(always)]
pub(super) fn is_from_nowhere(packet: &Packet) -> bool {
    is_from_client(packet) && packet.source == Address::V4_UNSPECIFIED
}

/// Whether a packet goes to a server or a relay.
#[inline(always)]
pub(super) fn is_to_server(packet: &Packet) -> bool {
    packet.protocol == Protocol::UDP && packet.destination_port == SERVER
}

/// Whether a packet comes from a server, to a client or a relay.
#[inline(always)]
pub(super) fn is_from_server(packet: &Packet) -> bool {
    packet.protocol == Protocol::UDP
        && packet.source_port == SERVER
        && matches!(packet.destination_port, SERVER | CLIENT)
}

/// The transaction of a message, which a peer or a protected system began; `None` for DHCPv6,
/// whose clients are known by their addresses.
#[inline(always)]
pub(super) fn transaction<P: Payload + ?Sized>(
    payload: &P,
    packet: &Packet,
    of_peer: bool,
) -> Option<QuestionKey> {
    if packet.family != Family::V4 {
        return None;
    }
    let number = payload.load(packet.payload_offset + TRANSACTION);
    let number = number.map_or(0, u32::from_be_bytes);
    Some(QuestionKey::dhcp_transaction(number, of_peer))
}
