//! Flows that protected systems opened, so that the answers come back.
//!
//! The state rule: only packets of the protected side write entries, and only
//! those that open something. An answer never does: a SYN-ACK from port 80
//! answers whoever forged the SYN. Packets of the other side may refresh or
//! close an entry that exists, nothing more.

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

    /// The flow that a leaving packet belongs to.
    #[inline(always)]
    pub const fn of_outbound(packet: &Packet) -> Self {
        let ports = (packet.source_port, packet.destination_port);
        let (local, peer) = (packet.source, packet.destination);
        Self::new(packet.family, local, peer, ports, packet.protocol)
    }
}

/// How far a flow has come. Flows without a handshake are open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The protected side has sent a SYN.
    Opening = 0,
    /// The protected side has gone on after that.
    Open = 1,
    /// The protected side has sent a FIN or RST.
    Closing = 2,
    /// The other side has; anybody may have forged that, so a further packet of
    /// the protected side takes it back.
    PeerClosing = 3,
}

impl Phase {
    /// Where a packet of the protected side brings a flow (`None`: a new one).
    #[inline(always)]
    pub const fn after_outbound(
        current: Option<Self>,
        protocol: Protocol,
        flags: TcpFlags,
    ) -> Self {
        if protocol.0 != Protocol::TCP.0 {
            return Self::Open;
        }
        match current {
            _ if flags.is_closing() => Self::Closing,
            _ if flags.is_bare_syn() => Self::Opening,
            Some(Self::Closing) => Self::Closing,
            _ => Self::Open,
        }
    }

    /// Where a packet of the other side brings a flow: never further open.
    #[inline(always)]
    pub const fn after_inbound(self, flags: TcpFlags) -> Self {
        match self {
            Self::Opening | Self::Open if flags.is_closing() => Self::PeerClosing,
            phase => phase,
        }
    }
}

/// The state of a flow in one word: the phase above, seconds below.
/// Several CPUs write it without a lock, so it is read and replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct FlowState(u64);

const PHASE_SHIFT: u32 = 56;

impl FlowState {
    /// A flow last heard of at `now`, in seconds.
    #[inline(always)]
    pub const fn new(phase: Phase, now: u32) -> Self {
        Self((phase as u64) << PHASE_SHIFT | now as u64)
    }

    /// The phase as written.
    #[inline(always)]
    pub const fn phase(self) -> Phase {
        match self.0 >> PHASE_SHIFT {
            0 => Phase::Opening,
            1 => Phase::Open,
            2 => Phase::Closing,
            _ => Phase::PeerClosing,
        }
    }

    /// When it was last heard of, in seconds of the clock of [`Tables::now`](crate::Tables::now).
    #[inline(always)]
    pub const fn seen(self) -> u32 {
        self.0 as u32
    }

    /// Whether the flow still counts at `now`.
    #[inline(always)]
    pub const fn is_alive(self, protocol: Protocol, timeouts: &Timeouts, now: u32) -> bool {
        let limit = match (protocol, self.phase()) {
            (Protocol::TCP, Phase::Opening) => timeouts.tcp_opening,
            (Protocol::TCP, Phase::Open) => timeouts.tcp_established,
            (Protocol::TCP, Phase::Closing | Phase::PeerClosing) => timeouts.tcp_closing,
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
    /// Replaces the word.
    fn store(&self, state: FlowState);

    /// Replaces the word if it differs, so that the cache line stays shared.
    #[inline(always)]
    fn note(&self, state: FlowState) {
        if self.load() != state {
            self.store(state);
        }
    }
}
