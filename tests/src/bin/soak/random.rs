//! Numbers that nobody expects (Marsaglia, "Xorshift RNGs", 2003), the same again for a seed.

/// A row of them.
pub struct Random(u64);

impl Random {
    /// Begins a row.
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next one, below `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of some.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
