//! Records that the kernel program sends to a process through a ring buffer: a header, and a part of
//! a packet.

/// A record.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Record<Header, const LONGEST: usize> {
    /// What is said of the packet.
    pub header: Header,
    /// Its part.
    pub bytes: [u8; LONGEST],
}

/// Where the kernel program puts a record together. `LONGEST`: the most bytes of a packet; a power of
/// two, so that the verifier can bound it by a mask.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Desk<Header, const LONGEST: usize> {
    /// Records for which the ring buffer had no room.
    pub lost: u64,
    /// The record.
    pub record: Record<Header, LONGEST>,
}
