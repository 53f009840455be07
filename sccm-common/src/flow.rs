//! Flows that protected systems opened, so that the answers come back.
//!
//! The state rule: only packets of the protected side write entries, and only
//! those that open something. An answer never does: a SYN-ACK from port 80
//! answers whoever forged the SYN. Packets of the other side may refresh or
//! close an entry that exists, nothing more.

pub mod table;

use crate::address::{Address, Family};
use crate::packet::{Packet, Protocol, TcpFlags};
use crate::policy::Timeouts;

/// Flows that are remembered at most, by default.
pub const DEFAULT_CAPACITY: u32 = 131_072;

/// Both ends of a flow, seen from the protected system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The protected system.
    pub local: Address,
    /// The other end.
    pub peer: Address,
    /// From the lowest bit on: 16 of the port of the protected system, 16 of the port of
    /// the other end or the identifier of an ICMP echo (each 0 where there is none), 8 of the IP
    /// protocol number, 24 of the family: an IPv4 address and the same one mapped into IPv6 are
    /// different ends. One word, because a processor waits for a word that it reads
    /// (to hash it) right after it was written in parts.
    ends: u64,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The flow between two addresses of a family and `(local, peer)` ports.
    #[inline(always)]
    pub const fn new(
        family: Family,
        local: Address,
        peer: Address,
        ports: (u16, u16),
        protocol: Protocol,
    ) -> Self {
        let ends = (family as u64) << 40
            | (protocol.0 as u64) << 32
            | (ports.1 as u64) << 16
            | ports.0 as u64;
        Self { local, peer, ends }
    }

    /// The IP protocol.
    #[inline(always)]
    pub const fn protocol(&self) -> Protocol {
        Protocol((self.ends >> 32) as u8)
    }

    /// The ports of the protected system and of the other end.
    #[inline(always)]
    pub const fn ports(&self) -> (u16, u16) {
        (self.ends as u16, (self.ends >> 16) as u16)
    }

    /// The family of both addresses.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        match self.ends >> 40 {
            0 => Family::V4,
            _ => Family::V6,
        }
    }

    /// The flow that an arriving packet would be an answer in.
    #[inline(always)]
    pub const fn of_inbound(packet: &Packet) -> Self {
        let ports = (packet.destination_port, packet.source_port);
        let (local, peer) = (packet.destination, packet.source);
        Self::new(packet.family, local, peer, ports, packet.protocol)
    }

    /// The flow that a leaving packet opens; `tunnel`: for its control connection, that of GRE.
    #[inline(always)]
    pub const fn opened_by(packet: &Packet, tunnel: bool) -> Self {
        match tunnel {
            true => {
                let (local, peer) = (packet.source, packet.destination);
                Self::new(packet.family, local, peer, (0, 0), Protocol::GRE)
            }
            false => Self::of_outbound(packet),
        }
    }

    /// The flow that a leaving packet belongs to.
    #[inline(always)]
    pub const fn of_outbound(packet: &Packet) -> Self {
        let ports = (packet.source_port, packet.destination_port);
        let (local, peer) = (packet.source, packet.destination);
        Self::new(packet.family, local, peer, ports, packet.protocol)
    }
}

/// How far a flow has come. Flows without a handshake are open at once.
///
/// What the other side says about an end may be forged. It is a claim until the protected side
/// acknowledges more than it had: then it has received the end, or what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The protected side has sent a SYN.
    Opening = 0,
    /// The protected side has gone on after that.
    Open = 1,
    /// The protected side has sent its FIN, and still hears the other.
    Closing = 2,
    /// The other side claims to have sent its last byte.
    PeerClosing = 3,
    /// The other side has sent its last byte, and still hears the protected one.
    PeerClosed = 4,
    /// The protected side has sent its FIN, and the other claims the same.
    LastAck = 5,
    /// Both sides have closed, or one of them has reset the connection.
    Closed = 6,
}

/// How far ahead of what the protected side acknowledged last an end of the other side may be,
/// in bytes of the stream: as much as may be on its way.
const NEAR: u32 = 1 << 18;

impl Phase {
    const fn from_bits(bits: u64) -> Self {
        match bits {
            0 => Self::Opening,
            1 => Self::Open,
            2 => Self::Closing,
            3 => Self::PeerClosing,
            4 => Self::PeerClosed,
            5 => Self::LastAck,
            _ => Self::Closed,
        }
    }

    /// Where a packet of the protected side brings a flow. `moved`: it acknowledges another byte
    /// than the last one did.
    #[inline(always)]
    const fn after_outbound(self, flags: TcpFlags, moved: bool) -> Self {
        if flags.is_reset() {
            return Self::Closed;
        }
        let fin = flags.is_closing();
        if flags.is_bare_syn() && !fin {
            return Self::Opening;
        }
        match (self, fin, moved) {
            (Self::Closed, _, _)
            | (Self::PeerClosed, true, _)
            | (Self::PeerClosing, true, true)
            | (Self::LastAck, _, true) => Self::Closed,
            (Self::PeerClosed, false, _) | (Self::PeerClosing, false, true) => Self::PeerClosed,
            (Self::Closing | Self::LastAck, _, _) | (_, true, _) => Self::Closing,
            _ => Self::Open,
        }
    }

    /// Where an end of the other side brings a flow, `ahead` bytes from what the protected side
    /// acknowledged last. A reset ends it if it is exactly there (RFC 5961, 3.2).
    #[inline(always)]
    const fn after_end(self, is_reset: bool, ahead: u32) -> Self {
        match self {
            Self::Opening | Self::Closed => self,
            _ if is_reset && ahead == 0 => Self::Closed,
            Self::Open if ahead < NEAR => Self::PeerClosing,
            Self::Closing if ahead < NEAR && !is_reset => Self::LastAck,
            phase => phase,
        }
    }
}

/// The state of a flow in one word: 3 bits of the phase, 29 of seconds, 32 of the number that the
/// protected side acknowledged last (TCP; 0 if it is not known).
///
/// Several CPUs write it without a lock, so it is read and replaced as a whole, and only by whoever
/// knows what it was. If a number is lost, a true reset may be overlooked until the next packet of the
/// protected side; if a phase is lost, the flow lives longer. Neither lets it end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct FlowState(u64);

const PHASE_SHIFT: u32 = 61;
const SEEN_SHIFT: u32 = 32;
/// Enough for 17 years without a reboot.
const SEEN: u32 = (1 << (PHASE_SHIFT - SEEN_SHIFT)) - 1;

impl FlowState {
    /// A flow last heard of at `now`, in seconds; nothing is known of acknowledgements.
    #[inline(always)]
    pub const fn new(phase: Phase, now: u32) -> Self {
        Self::with(phase, now, 0)
    }

    /// The same, and the protected side acknowledged this number last.
    #[inline(always)]
    pub const fn with(phase: Phase, now: u32, acknowledged: u32) -> Self {
        let seen = (now & SEEN) as u64;
        Self((phase as u64) << PHASE_SHIFT | seen << SEEN_SHIFT | acknowledged as u64)
    }

    /// The state that is this word.
    #[inline(always)]
    pub const fn of(word: u64) -> Self {
        Self(word)
    }

    /// The word that it is.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// A flow of which nothing is known: its packets go on like those of an open one.
    pub const UNKNOWN: Self = Self::new(Phase::Open, 0);

    /// The same, of which the verifier knows nothing any more. `opaque` is that of the tables.
    #[inline(always)]
    pub fn opaque(self, opaque: impl FnOnce(u64) -> u64) -> Self {
        Self(opaque(self.0))
    }

    /// The same, last heard of at another time.
    #[must_use]
    pub const fn at(self, seen: u32) -> Self {
        Self::with(self.phase(), seen, self.acknowledged())
    }

    /// The phase as written.
    #[inline(always)]
    pub const fn phase(self) -> Phase {
        Phase::from_bits(self.0 >> PHASE_SHIFT)
    }

    /// When it was last heard of, in seconds of the clock of [`Tables::now`](crate::Tables::now).
    #[inline(always)]
    pub const fn seen(self) -> u32 {
        (self.0 >> SEEN_SHIFT) as u32 & SEEN
    }

    /// What the protected side acknowledged last, the next byte that it expects; 0: not known.
    #[inline(always)]
    pub const fn acknowledged(self) -> u32 {
        self.0 as u32
    }

    /// The state after a packet of the protected side.
    #[inline(always)]
    pub fn after_outbound(self, packet: &Packet, now: u32) -> Self {
        if packet.protocol != Protocol::TCP {
            return Self::new(Phase::Open, now);
        }
        let before = self.acknowledged();
        let flags = packet.tcp_flags;
        let acknowledged = match flags.is_bare_syn() || !flags.acknowledges() {
            // A connection that begins anew acknowledges nothing yet.
            true if flags.is_bare_syn() => 0,
            true => before,
            false => packet.tcp_acknowledgement,
        };
        let phase = self.phase().after_outbound(flags, acknowledged != before);
        Self::with(phase, now, acknowledged)
    }

    /// The state after a packet of the other side: never further open.
    #[inline(always)]
    pub fn after_inbound(self, packet: &Packet, now: u32) -> Self {
        let (flags, acknowledged) = (packet.tcp_flags, self.acknowledged());
        let mut phase = self.phase();
        if flags.is_closing() && acknowledged != 0 {
            let is_reset = flags.is_reset();
            // A FIN is behind the data of its segment.
            let data = if is_reset { 0 } else { packet.payload };
            let place = packet.tcp_sequence.wrapping_add(data);
            phase = phase.after_end(is_reset, place.wrapping_sub(acknowledged));
        }
        Self::with(phase, now, acknowledged)
    }

    /// Whether the flow still counts at `now`.
    #[inline(always)]
    pub const fn is_alive(self, protocol: Protocol, timeouts: &Timeouts, now: u32) -> bool {
        let limit = match (protocol, self.phase()) {
            (Protocol::TCP, Phase::Open) => timeouts.tcp_established,
            (Protocol::TCP, Phase::Opening) => timeouts.tcp_opening,
            (Protocol::TCP, Phase::Closed) => timeouts.tcp_closing,
            (Protocol::TCP, _) => timeouts.tcp_half_closed,
            _ => timeouts.other,
        };
        // Signed, because another CPU may have written a later second than this one has read.
        now as i64 - self.seen() as i64 <= limit as i64
    }
}

/// Where the state of one flow is kept.
pub trait FlowSlot {
    /// Reads the word.
    fn load(&self) -> FlowState;
    /// Writes the word, if it is still `before`.
    fn exchange(&self, before: FlowState, after: FlowState);

    /// Replaces the word if it changes, so that the cache line stays shared.
    #[inline(always)]
    fn replace(&self, before: FlowState, after: FlowState) {
        if before != after {
            self.exchange(before, after);
        }
    }
}
