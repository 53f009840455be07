//! How a key finds its place in a table that many write: by a secret, so that nobody can aim.

/// A hash with one more word in it. The first word goes in with a secret, and so does the last.
#[inline(always)]
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}
