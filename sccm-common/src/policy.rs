//! The compiled policy, as the kernel reads it.
//!
//! One value holds a whole policy, so one array read finds it and one write of
//! the active bank's number replaces it. Elements of a BPF array are padded to
//! 8 bytes, so the port tables live inside the value, where a `u16` index needs
//! no bounds check.

use crate::address::{AddressClass, OwnFilter};
use crate::as_written;
use crate::essential::EssentialSet;
use crate::ethertype::{MAX_ETHERTYPES, PassedEthertype};
use crate::peer::Peer;
use crate::service::{ServiceClass, ServiceSet};
use crate::usage::{Row, Rows};

/// Banks that take turns: the active policy and the one that is being written.
pub const LIVE_BANKS: u32 = 2;

/// The bank of the shadow: a candidate that judges beside the active policy.
pub const SHADOW_BANK: u32 = LIVE_BANKS;

/// All banks.
pub const BANKS: u32 = SHADOW_BANK + 1;

/// What the word that names the active bank says, besides, while there is a shadow. The
/// word is then the number of no bank, so that a program for which a bank's number is all
/// needs no look at this bit.
pub const SHADOWED: u32 = 1 << 31;

/// Pairs of (local class, peer class) that a policy can tell apart.
pub const MAX_PAIRS: usize = 4096;

/// Settings that are single bits of [`Policy::flags`].
pub mod flag {
    /// Count what would be dropped, and drop nothing.
    pub const OBSERVE: u32 = 1 << 0;
    /// The policy tells addresses apart.
    pub const ADDRESSES: u32 = 1 << 1;
    /// Later fragments pass whose first was not seen.
    pub const PASS_ORPHAN_FRAGMENTS: u32 = 1 << 2;
    /// Ethertypes other than IP and the essentials pass.
    pub const PASS_OTHER_ETHERTYPES: u32 = 1 << 3;
    /// What the protected systems open is judged, not only noted.
    pub const OUTBOUND_ENFORCE: u32 = 1 << 4;
    /// What the protected systems open is not even noted.
    pub const OUTBOUND_OFF: u32 = 1 << 5;
    /// The policy tells protected systems apart by their addresses.
    pub const LOCAL_ADDRESSES: u32 = 1 << 6;
    /// Addresses of local class 0 are not protected systems.
    pub const LISTED_ONLY: u32 = 1 << 7;
    /// Refused flows are counted, and not noted.
    pub const COUNT_ONLY: u32 = 1 << 8;
    /// Packets pass that a source route or a routing header sends on to others.
    pub const PASS_SOURCE_ROUTES: u32 = 1 << 9;
    /// ICMP errors pass, whatever they are about.
    pub const PASS_UNRELATED_ICMP_ERRORS: u32 = 1 << 10;
    /// The policy is a gateway's.
    pub const GATEWAY: u32 = 1 << 11;
    /// A bridge joins the two sides of that gateway, so that they are one link.
    pub const BRIDGE: u32 = 1 << 12;
    /// It began with a warm-up, in which packets pass whatever the verdict.
    pub const WARM_UP: u32 = 1 << 13;
    /// Probes may pass until a time that is set when a gateway begins, or gets another address.
    pub const PROBES: u32 = 1 << 14;
}

/// Seconds without a packet after which a flow or a question is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Timeouts {
    /// TCP, from the first SYN until an answer arrives.
    pub tcp_opening: u32,
    /// TCP, both sides have spoken.
    pub tcp_established: u32,
    /// TCP, one side has closed.
    pub tcp_half_closed: u32,
    /// TCP, both sides have closed, or one has reset it.
    pub tcp_closing: u32,
    /// Everything else.
    pub other: u32,
    /// What a peer asked a service without connections, where an answer needs a question; at
    /// most [`MAX_AGE`](crate::question::MAX_AGE).
    pub answer: u32,
    /// A port that the endpoint mapper of RPC has handed out, until somebody connects to it.
    pub rpc_unused: u32,
    /// The same, after the last packet of a connection to it.
    pub rpc_used: u32,
}

impl Timeouts {
    /// A day for what is established, because a session that idles overnight is
    /// normal here; an hour for whoever still waits for an answer after its last word; as much as a
    /// resent SYN needs, and short tails, for the rest. Clients remember a port that they were told;
    /// four hours are more than the three that domain controllers of different sites pause for by
    /// default between two replications.
    pub const DEFAULT: Self = Self {
        tcp_opening: 60,
        tcp_established: 24 * 3600,
        tcp_half_closed: 3600,
        tcp_closing: 30,
        other: 180,
        answer: 60,
        rpc_unused: 120,
        rpc_used: 4 * 3600,
    };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a pair of classes may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Access {
    /// The peer, to the protected system.
    pub inbound: ServiceSet,
    /// The protected system, to the peer.
    pub outbound: ServiceSet,
}

impl Access {
    /// Nothing.
    pub const NONE: Self = Self {
        inbound: ServiceSet([0; 4]),
        outbound: ServiceSet([0; 4]),
    };
}

/// A local class and a peer class, as one number below [`MAX_PAIRS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(u64);

impl Pair {
    /// Where no address is looked up.
    pub const ANY: Self = Self(0);
}

/// One bank.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Policy {
    /// Bits of [`flag`].
    pub flags: u32,
    /// The essentials that pass.
    pub essentials: EssentialSet,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// How many peer classes there are: the width of a row of `access`.
    pub peers: u32,
    /// With [`flag::WARM_UP`]: until when packets pass whatever the verdict; else with
    /// [`flag::PROBES`]: until when probes pass. In seconds of the clock of
    /// [`Tables::now`](crate::Tables::now).
    pub until: u32,
    /// The machine's own addresses, for sources that are looked up nowhere else. Beside the flags,
    /// so that both share a line of the cache.
    pub own: OwnFilter,
    /// The classes of the RPC dynamic range, if some pair has
    /// [`HANDED_OUT`](ServiceClass::HANDED_OUT) instead of them.
    pub dynamic: ServiceSet,
    /// TCP port -> class.
    pub tcp: [ServiceClass; 1 << 16],
    /// UDP port -> class.
    pub udp: [ServiceClass; 1 << 16],
    /// ICMP type -> class.
    pub icmp: [ServiceClass; 256],
    /// ICMPv6 type -> class.
    pub icmpv6: [ServiceClass; 256],
    /// Any other IP protocol -> class.
    pub protocol: [ServiceClass; 256],
    /// What each pair of classes may open, at `local * peers + peer`.
    pub access: [Access; MAX_PAIRS],
    /// Who the peer of each pair is, apart from what they may, because only refusals ask.
    pub peer_of: [Peer; MAX_PAIRS],
    /// Where the rights of each pair are counted.
    pub rows: [Rows; MAX_PAIRS],
    /// Ethertypes that pass by their numbers.
    pub ethertypes: [PassedEthertype; MAX_ETHERTYPES],
}

impl Policy {
    /// A policy that allows nothing and knows no service.
    pub const EMPTY: Self = Self {
        flags: 0,
        essentials: EssentialSet::ALL,
        timeouts: Timeouts::DEFAULT,
        own: OwnFilter::EMPTY,
        dynamic: ServiceSet([0; 4]),
        tcp: [ServiceClass::TCP; 1 << 16],
        udp: [ServiceClass::UDP; 1 << 16],
        icmp: [ServiceClass::ICMP; 256],
        icmpv6: [ServiceClass::ICMPV6; 256],
        protocol: [ServiceClass::OTHER; 256],
        peers: 1,
        until: 0,
        access: [Access::NONE; MAX_PAIRS],
        peer_of: [Peer::NOT_KNOWN; MAX_PAIRS],
        rows: [Rows {
            inbound: Row::NONE,
            outbound: Row::NONE,
        }; MAX_PAIRS],
        ethertypes: [PassedEthertype::NONE; MAX_ETHERTYPES],
    };

    /// The pair of systems of class `local` and peers of class `peer`. Marks of an
    /// [`AddressClass`] make no difference.
    #[inline(always)]
    pub const fn pair(&self, local: u16, peer: u16) -> Pair {
        let pair = local as u64 * self.peers as u64 + peer as u64;
        Pair(pair & (MAX_PAIRS as u64 - 1))
    }

    /// What they may open to each other.
    #[inline(always)]
    pub const fn access(&self, pair: Pair) -> &Access {
        &self.access[pair.0 as usize & (MAX_PAIRS - 1)]
    }

    /// Who the peer is.
    #[inline(always)]
    pub fn peer_of(&self, pair: Pair) -> Peer {
        const LAST: u32 = MAX_PAIRS as u32 - 1;
        self.peer_of[as_written::and::<LAST>(pair.0) as usize]
    }

    /// Where their rights are counted.
    #[inline(always)]
    pub fn rows(&self, pair: Pair) -> Rows {
        const LAST: u32 = MAX_PAIRS as u32 - 1;
        self.rows[as_written::and::<LAST>(pair.0) as usize]
    }

    /// Whether packets pass whatever the verdict: observe mode, or the warm-up after a first start.
    /// `now` is asked only where there was one.
    #[inline(always)]
    pub fn observes(&self, now: impl FnOnce() -> u32) -> bool {
        self.flags & (flag::OBSERVE | flag::WARM_UP) != 0
            && (self.has(flag::OBSERVE) || now() < self.until)
    }

    /// Whether probes pass.
    #[inline(always)]
    pub fn probes(&self, now: impl FnOnce() -> u32) -> bool {
        self.flags & (flag::PROBES | flag::WARM_UP | flag::OUTBOUND_OFF) == flag::PROBES
            && now() < self.until
    }

    /// Whether a bit of [`flag`] is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

// What they add to the number of a pair falls behind its bits.
const _: () =
    assert!((AddressClass::INSIDE | AddressClass::NOBODY) as usize & (MAX_PAIRS - 1) == 0);

// The kernel and the agent may be built by different compilers: no padding.
const _: () =
    assert!(size_of::<Policy>() == 112 + 2 * 65536 + 3 * 256 + MAX_PAIRS * 69 + MAX_ETHERTYPES * 4);
const _: () = assert!(align_of::<Policy>() == 8);
