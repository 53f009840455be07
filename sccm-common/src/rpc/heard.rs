//! What is said to and by an endpoint mapper, as the kernel program hands it to the agent, which reads
//! what the program leaves unread.
//!
//! Each segment of a connection to TCP 135 that counts is copied into a record, and sent through a ring
//! buffer, whether it says something or opens or ends the connection. A record for which the buffer has
//! no room is lost, and counted: the agent finds a gap there.

use crate::address::{Address, Family};
use crate::desk;

/// The most bytes of a segment that are copied: an answer with the addresses of a hundred cards is
/// shorter.
pub const LONGEST: usize = 8192;

/// Bytes of the ring buffer: some 1,000 questions with their answers.
pub const RING_BYTES: u32 = 1 << 18;

/// The part of a record before the segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Who sent it.
    pub source: Address,
    /// To whom.
    pub destination: Address,
    /// When, in seconds of the clock of [`Tables::now`](crate::Tables::now).
    pub at: u32,
    /// Bytes of the whole segment, its TCP header included.
    pub length: u32,
    /// The number of the [`Family`].
    pub family: u32,
    /// Bits of [`mark`].
    pub marks: u32,
}

/// Bits of [`Header::marks`].
pub mod mark {
    /// The program has read every answer in the segment, and opened or refused what it names.
    pub const SETTLED: u32 = 1 << 0;
}

impl Header {
    /// The family of both addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.family {
            0 => Family::V4,
            _ => Family::V6,
        }
    }

    /// Whether the program has left nothing of it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.marks & mark::SETTLED != 0
    }
}

/// Bytes of [`Header`].
pub const HEADER: usize = 48;

const _: () = assert!(size_of::<Header>() == HEADER);

/// Where the kernel program puts a record together, from the segment's TCP header on.
pub type Desk = desk::Desk<Header, LONGEST>;

const _: () = assert!(size_of::<Desk>() == 8 + HEADER + LONGEST);
