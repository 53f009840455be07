//! The two ends of what was refused.

use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;

/// Who sent, or to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// By IP address.
    Ip(IpAddr),
    /// By hardware address, where no IP packet was found.
    Hardware([u8; 6]),
}

impl Party {
    /// By the hardware address that is this number.
    pub(super) const fn hardware(address: u64) -> Self {
        let [_, _, address @ ..] = address.to_be_bytes();
        Self::Hardware(address)
    }

    /// The IP address, if there is one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Hardware(_) => None,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(text),
            Self::Hardware([a, b, c, d, e, f]) => {
                write!(text, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
            }
        }
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
