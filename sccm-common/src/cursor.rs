//! How the parser reads a frame: forwards only, a few bytes at a time.
//!
//! The kernel's verifier can follow a pointer that only moves forward and is
//! compared with the end before every read. It rejects slices and absolute
//! offsets. So the parser is written against this trait; the kernel program and
//! the agent each have a cursor of their own.

use crate::rpc::room::{self, Room};

/// A position in a frame.
///
/// Integers on the wire are big endian; the cursor hands out raw bytes and the
/// wire modules convert.
pub trait Cursor {
    /// Reads the next `N` bytes and moves past them; `None`, without moving,
    /// when they are not all there.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]>;

    /// Moves `count` bytes on (at most [`MAX_SKIP`]); `None` when the frame ends before.
    fn skip(&mut self, count: u32) -> Option<()>;

    /// Whether `count` more bytes are there, those in later buffers of a
    /// multi-buffer frame included.
    fn holds(&mut self, count: u32) -> bool;

    /// Bytes from here to the end of the frame, those in later buffers included.
    fn left(&mut self) -> u32;

    /// Bytes from the first of the frame to here.
    fn position(&self) -> u32;

    /// VLAN tags that the kernel has taken off the frame and keeps beside it.
    fn tags_beside(&self) -> u32 {
        0
    }

    /// Makes the verifier forget on which path through the parser the cursor came here. Otherwise
    /// it would follow what comes next once for each path. The position stays the same.
    fn forget_path(&mut self) {}

    /// The same word, of which the verifier knows nothing any more, for the same reason.
    fn opaque(&self, word: u32) -> u32 {
        word
    }
}

/// The most that one [`Cursor::skip`] may be asked for: the body of the
/// longest IPv6 extension header. A power of two less one, so that the
/// verifier can bound it by a mask.
pub const MAX_SKIP: u32 = 2047;

/// A frame, or the part of it that lies in one piece of memory, read without copying.
pub trait Contiguous {
    /// `N` bytes from `offset` on; `None` when they are not all there.
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]>;

    /// Whether the first `count` bytes are there.
    fn holds(&self, count: usize) -> bool;

    /// The same `count`, made opaque: the verifier knows only that it is below 32. Otherwise it
    /// would follow what comes next once for each value.
    fn opaque(&self, count: usize) -> usize {
        count
    }

    /// What is behind the first `count` bytes, which are there.
    #[must_use]
    fn skip(&self, count: usize) -> Self;
}

impl Contiguous for &[u8] {
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.get(offset..)?.first_chunk()
    }

    fn holds(&self, count: usize) -> bool {
        count <= self.len()
    }

    fn skip(&self, count: usize) -> Self {
        &self[count..]
    }
}

/// The bytes behind the headers, for the few protocols that are followed.
pub trait Payload {
    /// `N` bytes from `offset` on, counted from the first of the frame; `None`
    /// when they are not all there.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// Shows a block of `count` bytes from `offset` on, counted from the first of the frame, or as
    /// many as there is room for. Shows nothing when they are not all there.
    fn show(&self, offset: u32, count: u32, to: impl FnOnce(&Room));
}

impl Payload for [u8] {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }

    fn show(&self, offset: u32, count: u32, to: impl FnOnce(&Room)) {
        let count = count.min(room::BYTES) as usize;
        let bytes = self.get(offset as usize..);
        if let Some(bytes) = bytes.and_then(|bytes| bytes.get(..count)) {
            let mut room = Room::EMPTY;
            room.bytes[..count].copy_from_slice(bytes);
            to(&room);
        }
    }
}

/// A [`Cursor`] over bytes in memory, for everything but the kernel.
#[derive(Debug, Clone)]
pub struct SliceCursor<'a> {
    rest: &'a [u8],
    position: u32,
}

impl<'a> SliceCursor<'a> {
    /// A cursor at the first byte of `frame`.
    pub fn new(frame: &'a [u8]) -> Self {
        Self {
            rest: frame,
            position: 0,
        }
    }
}

impl Cursor for SliceCursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        self.position += N as u32;
        Some(*head)
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        let count = count & MAX_SKIP;
        self.rest = self.rest.get(count as usize..)?;
        self.position += count;
        Some(())
    }

    fn holds(&mut self, count: u32) -> bool {
        count as usize <= self.rest.len()
    }

    fn left(&mut self) -> u32 {
        self.rest.len() as u32
    }

    fn position(&self) -> u32 {
        self.position
    }
}
