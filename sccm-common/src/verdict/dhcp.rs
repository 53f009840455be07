//! DHCP: who asked, and who answers.
//!
//! A client without an address asks everybody, and any server or relay may answer, to its future
//! address or to everybody. So an answer is found by its transaction (RFC 2131, 4.1), or by the
//! address of a client that has one. A client of DHCPv6 always has one, and a server may answer
//! from any port (RFC 8415, 7.2).

use crate::address::{Address, Family};
use crate::cursor::Payload;
use crate::packet::{Packet, Protocol};
use crate::question::QuestionKey;

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const SERVER_V6: u16 = 547;
const CLIENT_V6: u16 = 546;

/// Where the transaction is in a message (RFC 2131, 2: `xid`).
const TRANSACTION: u32 = 4;

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

/// Whether a datagram to `port` may be to a client.
#[inline(always)]
pub(super) const fn is_client_port(port: u16) -> bool {
    matches!(port, CLIENT | CLIENT_V6)
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
