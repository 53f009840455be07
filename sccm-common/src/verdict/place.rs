//! Where a card stands.

/// On which side of the protected systems a card is; fixed when its programs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Place {
    /// On the protected host itself.
    Host = 0,
    /// On a gateway, on the side of the peers.
    Uplink = 1,
    /// On a gateway, on the side of the protected systems.
    Segment = 2,
    /// The loopback interface of a host, by which it sends to itself.
    Loopback = 3,
}

impl Place {
    /// The place with this number; a host for a number that means nothing.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Uplink,
            2 => Self::Segment,
            3 => Self::Loopback,
            _ => Self::Host,
        }
    }

    /// Whether whatever comes in here is for this machine, and whatever goes out is from it.
    #[inline(always)]
    pub const fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::Loopback)
    }

    /// Whether frames that come in here can take the fast path, which leaves the machine's own addresses
    /// to the slow path.
    #[inline(always)]
    pub const fn has_fast_path(self) -> bool {
        match self {
            Self::Host | Self::Uplink | Self::Segment => true,
            Self::Loopback => false,
        }
    }
}
