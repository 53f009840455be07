//! Bytes that are read in order, in either byte order, and never past their end.

/// The order of the bytes in an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest first.
    Little,
    /// The highest first.
    Big,
}

/// A place in some bytes. Every read says `None` where they end before.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
    order: Order,
}

impl<'a> Bytes<'a> {
    /// The first place of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8], order: Order) -> Self {
        Self {
            bytes,
            at: 0,
            order,
        }
    }

    /// The order of their integers.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// How many are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count`.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    /// The next `N`.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    /// Moves `count` on.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    /// Moves on to the next multiple of `size`, counted from the first byte.
    pub fn align(&mut self, size: usize) -> Option<()> {
        self.skip(self.at.next_multiple_of(size) - self.at)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(byte)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        let bytes = self.array()?;
        Some(match self.order {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        })
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        let bytes = self.array()?;
        Some(match self.order {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        })
    }
}
