//! The contract between a pinned program and the agent that finds it.
//!
//! Maps outlive the agent. A new agent takes them over only if they carry the
//! version below and have the shapes that the program was built with.

pub mod map;

/// Raised whenever a program gets another name, or a map, its key, its value or the meaning of one
/// changes.
pub const VERSION: u32 = 8;

/// Names of the programs.
pub mod program {
    /// The ingress program at XDP: judges what comes in at a card.
    pub const XDP: &str = "sccm_xdp";
    /// The same at TC ingress.
    pub const TC: &str = "sccm_tc";
    /// The egress program (TC): judges what goes out.
    pub const EGRESS: &str = "sccm_egress";
    /// [`XDP`] on a trunk: slot and place of a frame are those of its VLAN, in the table
    /// of the program's own slot.
    pub const XDP_TRUNK: &str = "sccm_xdp_trunk";
    /// [`TC`] on a trunk.
    pub const TC_TRUNK: &str = "sccm_tc_trunk";
    /// [`TC`] for frames without an Ethernet header.
    pub const TC_IP: &str = "sccm_tc_ip";
    /// [`EGRESS`] for them.
    pub const EGRESS_IP: &str = "sccm_egress_ip";
    /// [`EGRESS`] on a trunk.
    pub const EGRESS_TRUNK: &str = "sccm_egress_trunk";
}

/// The read-only global that tells a program which interface it serves.
pub const SLOT_GLOBAL: &str = "SLOT";

/// The read-only global that tells a program its [`Place`](crate::Place), as a number.
pub const PLACE_GLOBAL: &str = "PLACE";

/// The read-only global that tells a program how long a tick of the kernel's clock
/// (`jiffies`) is: in seconds, with [`TICK_FRACTION_BITS`] bits of fraction, as `u64`.
pub const TICK_GLOBAL: &str = "TICK";

/// Enough for seven digits, and for a product that never overflows.
pub const TICK_FRACTION_BITS: u32 = 24;

/// The number of an interface that is to be enforced and has no programs yet, because the machine does
/// not have it, or because they could not be attached.
pub const AWAITED: u32 = u32::MAX;

/// Which interface a slot stands for, so that counters keep their names when
/// nobody runs. All zero: a free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct InterfaceRecord {
    /// Name, padded with zeros: 15 bytes of a card (`IFNAMSIZ`, include/uapi/linux/if.h),
    /// a dot and four digits of a VLAN.
    pub name: [u8; 24],
    /// Number of the card when it was attached; [`AWAITED`] before that.
    pub index: u32,
    /// The slot whose hook judges its frames: that of the card, for a VLAN.
    pub hook: u32,
}

/// Bytes of [`PolicyInfo::roles`]: room for every role of the catalog.
pub const ROLES_BYTES: usize = 1024;

/// What the agent knows about the policy in a bank. The kernel program does not read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PolicyInfo {
    /// Counts up with every published policy; 0 is a bank never written.
    pub generation: u64,
    /// SHA-256 of the policy as it was written: the same on every machine, and the one that people
    /// are shown.
    pub hash: [u8; 32],
    /// The policy's own flags.
    pub flags: u32,
    /// The number of the product edition that it was compiled for.
    pub edition: u32,
    /// When it was published, in seconds since 1970.
    pub published: u64,
    /// Until when somebody must confirm it, in the maps in seconds since the machine booted
    /// (`CLOCK_BOOTTIME`, which nobody can set); 0 once it is confirmed, or where nobody has to.
    pub confirm_by: u64,
    /// Until when packets pass whatever the verdict, because nothing was enforced before; in seconds
    /// since 1970. 0: there was no such warm-up.
    pub warm_up_until: u64,
    /// [`Policy::until`](crate::Policy::until), for agents.
    pub until: u64,
    /// SHA-256 of the compiled tables, which depend on this machine: its addresses, its routes, and
    /// the numbers that services got.
    pub tables: [u8; 32],
    /// The `hash` that was taken back in favour of this policy, and is not
    /// published again unasked; zeros if there is none.
    pub withdrawn: [u8; 32],
    /// The roles that it was compiled for, as `a,b`, padded with zeros.
    pub roles: [u8; ROLES_BYTES],
}

impl PolicyInfo {
    /// Whether this is a policy to go back to: published, and not on trial.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.generation != 0 && self.confirm_by == 0
    }

    /// Seconds that are left of the warm-up at `now`, in seconds since 1970.
    #[must_use]
    pub const fn warm_up_left(&self, now: u64) -> u64 {
        self.warm_up_until.saturating_sub(now)
    }
}

/// Bytes of a service's name in [`ServiceRecord`].
pub const SERVICE_NAME_BYTES: usize = 120;

/// What a service class is called, so that counters keep their names when
/// nobody runs. All zero: a number that was never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ServiceRecord {
    /// `tcp`, `udp` ..., padded with zeros.
    pub protocol: [u8; 8],
    /// The services, padded with zeros.
    pub service: [u8; SERVICE_NAME_BYTES],
}

/// Bytes of a peer's name in [`PeerRecord`].
pub const PEER_NAME_BYTES: usize = 128;

/// What a [`Peer`](crate::Peer) is called. All zero: a number that was never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PeerRecord {
    /// The roles, padded with zeros.
    pub name: [u8; PEER_NAME_BYTES],
}

const _: () =
    assert!(size_of::<PolicyInfo>() == 8 + 32 + 4 + 4 + 8 + 8 + 8 + 8 + 32 + 32 + ROLES_BYTES);
const _: () = assert!(size_of::<InterfaceRecord>() == 24 + 4 + 4);
const _: () = assert!(size_of::<ServiceRecord>() == 8 + SERVICE_NAME_BYTES);
