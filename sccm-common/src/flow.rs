//! Flows that protected systems opened, so that the answers come back.
//!
//! The state rule: only packets of the protected side write entries, and only
//! those that open something. An answer never does: a SYN-ACK from port 80
//! answers whoever forged the SYN. Packets of the other side may refresh or
//! close an entry that exists, nothing more.

use crate::address::Address;
use crate::packet::{Packet, Protocol, TcpFlags};
use crate::policy::Timeouts;

/// Flows that are remembered at most, by default.
pub const DEFAULT_CAPACITY: u32 = 262_144;

/// Both ends of a flow, seen from the protected system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The protected system.
    pub local: Address,
    /// The other end.
    pub peer: Address,
    /// Port of the protected system; 0 where there is none.
    pub local_port: u16,
    /// Port of the other end, or the identifier of an ICMP echo; 0 where there is none.
    pub peer_port: u16,
    /// IP protocol number: a whole word, so that the key is written in words.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The flow that an arriving packet would be an answer in.
    #[inline(always)]
    pub const fn of_inbound(packet: &Packet) -> Self {
        Self {
            local: packet.destination,
            peer: packet.source,
            local_port: packet.destination_port,
            peer_port: packet.source_port,
            protocol: packet.protocol.0 as u32,
        }
    }

    /// The flow that a leaving packet belongs to.
    #[inline(always)]
    pub const fn of_outbound(packet: &Packet) -> Self {
        Self {
            local: packet.source,
            peer: packet.destination,
            local_port: packet.source_port,
            peer_port: packet.destination_port,
            protocol: packet.protocol.0 as u32,
        }
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
        // Another CPU may have written a later second than this one has read.
        now.saturating_sub(self.seen()) <= limit
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
