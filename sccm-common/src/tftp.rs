//! TFTP transfers (RFC 1350, 2347, 2348, 7440; the document's note 5).
//!
//! The server answers a request to port 69 from a new port, and the rest of the
//! transfer is between the two new ports. When the policy allows a request, it is noted as
//! an expectation: this client, this server, any server port. The first answer
//! fixes the port. A server that answers a retried request twice has two
//! transfers, of which the client goes on with one. A transfer ends with its last
//! block, its error, or its silence; the last block is the first that is shorter
//! than those before it, because that needs no look at the options.

use crate::address::Address;
use crate::cursor::Payload;
use crate::packet::{Packet, Protocol};
use crate::verdict::Tables;

/// Where requests go.
pub const PORT: u16 = 69;

/// Transfers and expectations that are remembered at once.
pub const CAPACITY: u32 = 4_096;

/// Seconds of silence after which a transfer or expectation is over.
const IDLE: u32 = 60;

/// Seconds for which the end of a transfer may be repeated, because its last
/// acknowledgement may be lost.
const TAIL: u32 = 10;

/// Data bytes of a block unless both sides agree on another size (RFC 1350, 5).
const DEFAULT_BLOCK: u16 = 512;

/// Bytes of opcode and block number.
const HEADER: u16 = 4;

mod opcode {
    pub(crate) const READ: u16 = 1;
    pub(crate) const WRITE: u16 = 2;
    pub(crate) const DATA: u16 = 3;
    pub(crate) const ACKNOWLEDGE: u16 = 4;
    pub(crate) const ERROR: u16 = 5;
    pub(crate) const OPTIONS: u16 = 6;
}

/// Both ends of a transfer; the server's port is 0 while it is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TransferKey {
    /// The server.
    pub server: Address,
    /// The client.
    pub client: Address,
    /// The server's port for this transfer.
    pub server_port: u16,
    /// The client's port for this transfer.
    pub client_port: u16,
    /// The number of the family of both addresses.
    pub family: u32,
}

const _: () = assert!(size_of::<TransferKey>() == 40);

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct TransferState {
    /// Seconds since boot of the last packet that counts.
    seen: u32,
    /// Data bytes of a full block; 0 while both sides have agreed on a size
    /// that no block has shown yet.
    block_size: u16,
    /// Number of the short block, once it was sent.
    last_block: u16,
    /// 1 once a short block was sent, 2 once nothing new will come.
    progress: u32,
    /// Always 0.
    reserved: u32,
}

const _: () = assert!(size_of::<TransferState>() == 16);

const LAST_BLOCK_SENT: u32 = 1;
const ENDED: u32 = 2;

impl TransferState {
    #[inline(always)]
    const fn new(now: u32) -> Self {
        Self {
            seen: now,
            block_size: DEFAULT_BLOCK,
            last_block: 0,
            progress: 0,
            reserved: 0,
        }
    }

    /// Whether the transfer goes on, or its end may still be repeated.
    #[inline(always)]
    pub const fn is_alive(self, now: u32) -> bool {
        let limit = if self.progress == ENDED { TAIL } else { IDLE };
        now.saturating_sub(self.seen) <= limit
    }

    /// Where a packet brings it. `number` is the block's, `data` counts its bytes.
    #[inline(always)]
    const fn after(self, code: u16, number: u16, data: u16, now: u32) -> Self {
        if self.progress == ENDED {
            return self;
        }
        let mut next = Self { seen: now, ..self };
        match code {
            // The first block is a full one, or the only one: that ends by silence.
            opcode::DATA if self.block_size == 0 => next.block_size = data,
            opcode::DATA if data < self.block_size => {
                next.progress = LAST_BLOCK_SENT;
                next.last_block = number;
            }
            opcode::ACKNOWLEDGE
                if self.progress == LAST_BLOCK_SENT && number == self.last_block =>
            {
                next.progress = ENDED;
            }
            opcode::ERROR => next.progress = ENDED,
            opcode::OPTIONS => next.block_size = 0,
            _ => {}
        }
        next
    }
}

/// Notes a request that may pass.
#[inline(always)]
pub(crate) fn note_request<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
) {
    let Some(code) = payload.load(packet.payload_offset).map(u16::from_be_bytes) else {
        return;
    };
    // What a frame is padded with is no request.
    let is_whole = packet.payload >= HEADER as u32;
    if is_whole && (code == opcode::READ || code == opcode::WRITE) {
        let expected = TransferKey {
            server: packet.destination,
            client: packet.source,
            server_port: 0,
            client_port: packet.source_port,
            family: packet.family as u32,
        };
        tables.note_transfer(&expected, TransferState::new(tables.now()));
    }
}

/// Whether a datagram may belong to a transfer, as far as it says itself.
#[inline(always)]
pub(crate) fn may_follow<P: Payload + ?Sized>(payload: &P, packet: &Packet) -> bool {
    header(payload, packet).is_some()
}

/// Opcode and block number of what may belong to a transfer.
#[inline(always)]
fn header<P: Payload + ?Sized>(payload: &P, packet: &Packet) -> Option<(u16, u16)> {
    // Port 0 is nobody's (RFC 6335, 6), and stands for the port that is not known yet.
    let named = packet.source_port != 0 && packet.destination_port != 0;
    if !named || packet.payload < HEADER as u32 {
        return None;
    }
    let [c0, c1, n0, n1] = payload.load(packet.payload_offset)?;
    let code = u16::from_be_bytes([c0, c1]);
    matches!(code, opcode::DATA..=opcode::OPTIONS).then_some((code, u16::from_be_bytes([n0, n1])))
}

/// Whether a packet belongs to a transfer, which it then moves on.
#[inline(always)]
pub(crate) fn follows<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
) -> bool {
    if packet.protocol != Protocol::UDP {
        return false;
    }
    let Some((code, number)) = header(payload, packet) else {
        return false;
    };
    let Some((mut key, state)) = find(tables, packet) else {
        return false;
    };
    let data = (packet.payload as u16).wrapping_sub(HEADER);
    let next = state.after(code, number, data, tables.now());
    if key.server_port == 0 {
        key.server_port = packet.source_port;
    }
    tables.note_transfer(&key, next);
    true
}

/// The transfer of a packet, from its server, expected or not, or from its client.
#[inline(always)]
fn find<T: Tables>(tables: &T, packet: &Packet) -> Option<(TransferKey, TransferState)> {
    let now = tables.now();
    // One key in three shapes: the kernel's stack is short.
    let mut key = TransferKey {
        server: packet.source,
        client: packet.destination,
        server_port: packet.source_port,
        client_port: packet.destination_port,
        family: packet.family as u32,
    };
    let known = tables.transfer(&key);
    if let Some(state) = known
        && state.is_alive(now)
    {
        return Some((key, state));
    }
    key.server_port = 0;
    // A late block does not begin a transfer again that is over: only a request
    // since then does. A number, because what is compared only if it is there would
    // share a register with the pointer to it, which the verifier refuses.
    let since = match known {
        Some(over) => over.seen.saturating_add(1),
        None => 0,
    };
    if let Some(request) = tables.transfer(&key)
        && request.is_alive(now)
        && request.seen >= since
    {
        return Some((key, request));
    }
    key = TransferKey {
        server: packet.destination,
        client: packet.source,
        server_port: packet.destination_port,
        client_port: packet.source_port,
        family: packet.family as u32,
    };
    let state = tables.transfer(&key)?;
    state.is_alive(now).then_some((key, state))
}
