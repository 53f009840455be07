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
use core::hint::black_box;

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

/// How far a transfer has come, in one word that is read and replaced as a whole. From the lowest
/// bit on: 30 of the seconds since boot of the last packet that counts; 16 of the data bytes of a
/// full block, 0 while both sides have agreed on a size that no block has shown yet; 16 of the
/// number of the short block, once it was sent; 2 of the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct TransferState(u64);

const BLOCK_SIZE: u32 = 30;
const LAST_BLOCK: u32 = 46;
const PROGRESS: u32 = 62;

/// A short block was sent.
const LAST_BLOCK_SENT: u64 = 1;
/// Nothing new will come.
const ENDED: u64 = 2;

impl TransferState {
    #[inline(always)]
    const fn new(now: u32) -> Self {
        Self::of(now, DEFAULT_BLOCK, 0, 0)
    }

    #[inline(always)]
    const fn of(seen: u32, block_size: u16, last_block: u16, progress: u64) -> Self {
        let seen = seen as u64 & ((1 << BLOCK_SIZE) - 1);
        let (block_size, last_block) = (block_size as u64, last_block as u64);
        Self(seen | block_size << BLOCK_SIZE | last_block << LAST_BLOCK | progress << PROGRESS)
    }

    #[inline(always)]
    const fn seen(self) -> u32 {
        self.0 as u32 & ((1 << BLOCK_SIZE) - 1)
    }

    #[inline(always)]
    const fn block_size(self) -> u16 {
        (self.0 >> BLOCK_SIZE) as u16
    }

    #[inline(always)]
    const fn last_block(self) -> u16 {
        (self.0 >> LAST_BLOCK) as u16
    }

    #[inline(always)]
    const fn progress(self) -> u64 {
        self.0 >> PROGRESS
    }

    /// Whether the transfer goes on, or its end may still be repeated.
    #[inline(always)]
    pub const fn is_alive(self, now: u32) -> bool {
        let limit = if self.progress() == ENDED { TAIL } else { IDLE };
        now.saturating_sub(self.seen()) <= limit
    }

    /// Where a packet brings it. `number` is the block's, `data` counts its bytes.
    #[inline(always)]
    const fn after(self, code: u16, number: u16, data: u16, now: u32) -> Self {
        if self.progress() == ENDED {
            return self;
        }
        let (mut block_size, mut last_block) = (self.block_size(), self.last_block());
        let mut progress = self.progress();
        match code {
            // The first block is a full one, or the only one: that ends by silence.
            opcode::DATA if block_size == 0 => block_size = data,
            opcode::DATA if data < block_size => {
                progress = LAST_BLOCK_SENT;
                last_block = number;
            }
            opcode::ACKNOWLEDGE if progress == LAST_BLOCK_SENT && number == last_block => {
                progress = ENDED;
            }
            opcode::ERROR => progress = ENDED,
            opcode::OPTIONS => block_size = 0,
            _ => {}
        }
        Self::of(now, block_size, last_block, progress)
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
    match header(payload, packet) {
        Some((code, number)) => moves_on(tables, packet, code, number),
        None => false,
    }
}

/// Not inlined: its part of the stack is then its own.
#[inline(never)]
fn moves_on<T: Tables>(tables: &T, packet: &Packet, code: u16, number: u16) -> bool {
    // One key, which changes in its place: the kernel's stack is short, and the compiler would
    // make one of each shape.
    let mut key = TransferKey {
        server: packet.source,
        client: packet.destination,
        server_port: packet.source_port,
        client_port: packet.destination_port,
        family: packet.family as u32,
    };
    let key = black_box(&mut key);
    let Some(state) = find(tables, packet, key) else {
        return false;
    };
    let packet = black_box(packet);
    let data = (packet.payload as u16).wrapping_sub(HEADER);
    let next = state.after(code, number, data, tables.now());
    if key.server_port == 0 {
        key.server_port = packet.source_port;
    }
    tables.note_transfer(key, next);
    true
}

/// The transfer of a packet, from its server, expected or not, or from its client. `key` is that of
/// a packet from the server, and becomes that of the transfer.
#[inline(always)]
fn find<T: Tables>(tables: &T, packet: &Packet, key: &mut TransferKey) -> Option<TransferState> {
    let now = tables.now();
    let known = tables.transfer(key);
    if let Some(state) = known
        && state.is_alive(now)
    {
        return Some(state);
    }
    key.server_port = 0;
    // Read once more: kept, what was read would take half of the stack.
    let packet = black_box(packet);
    // A late block does not begin a transfer again that is over: only a request
    // since then does. A number, because what is compared only if it is there would
    // share a register with the pointer to it, which the verifier refuses.
    let since = match known {
        Some(over) => over.seen() + 1,
        None => 0,
    };
    if let Some(request) = tables.transfer(key)
        && request.is_alive(now)
        && request.seen() >= since
    {
        return Some(request);
    }
    key.server = packet.destination;
    key.client = packet.source;
    key.server_port = packet.destination_port;
    key.client_port = packet.source_port;
    let state = tables.transfer(key)?;
    state.is_alive(now).then_some(state)
}
