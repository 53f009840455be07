//! How a frame ended: the one value that is counted, noted and captured.

use crate::counter::Direction;
use crate::verdict::{Place, Verdict};

/// Where a program is attached to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Hook {
    /// XDP, or TC ingress: frames that come in at the card.
    Ingress = 0,
    /// TC egress: frames that go out through it.
    Egress = 1,
}

impl Hook {
    /// How many there are: the two programs of a card may run one within the other, so each has
    /// its own element in the maps that they work in.
    pub const COUNT: u32 = 2;

    /// The name in messages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// In which direction the frames of this hook are counted at `place`. What comes in at a
    /// gateway's segment is from the protected systems.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self, place: Place) -> Direction {
        match (self, place) {
            (Self::Ingress, Place::Host | Place::Uplink | Place::Loopback) => Direction::Inbound,
            (Self::Ingress, Place::Segment) | (Self::Egress, _) => Direction::Outbound,
        }
    }
}

/// A verdict, and the frame on which it was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Under which number the interface is counted.
    pub slot: u32,
    /// Which way the frame goes.
    pub direction: Direction,
    /// Observe mode: the frame passes, whatever the verdict.
    pub observing: bool,
    /// What became of it, and why.
    pub verdict: Verdict,
    /// Bytes of the frame, from the Ethernet header on.
    pub length: u64,
}

impl Judgement {
    /// Whether the frame is dropped: the verdict says so, and is not only observed.
    #[inline(always)]
    #[must_use]
    pub const fn drops(&self) -> bool {
        !self.verdict.reason.passes() && !self.observing
    }
}
