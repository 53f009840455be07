//! Operations that the compiler leaves as they are written.
//!
//! The verifier must find the bounds of every index itself, and verifiers of older kernels
//! know less than the compiler: nothing, say, of what was converted from big endian. The
//! compiler leaves out each mask that changes nothing, and makes jumps of what was written
//! without any; the verifier would not understand the one, and follow both ways of the other.
//! Unlike [`core::hint::black_box`], which on this target writes to the stack and reads again,
//! each of these is the one instruction that it says. (One that is none, a mere comment,
//! spoils the table of lines, and the kernel refuses that.)

/// `word & MASK`; the mask is below 2^31.
#[inline(always)]
#[must_use]
pub fn and<const MASK: u32>(word: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut word = word;
        // SAFETY: it changes the one register that it says.
        unsafe {
            core::arch::asm!("{0} &= {1}", inout(reg) word, const MASK, options(pure, nomem, nostack));
        }
        // Or else every index would be compared once more.
        // SAFETY: those were all bits of the mask.
        unsafe { core::hint::assert_unchecked(word <= MASK as u64) };
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        word & MASK as u64
    }
}

/// `-word`: all bits of what was 1, none of what was 0.
#[inline(always)]
#[must_use]
pub fn neg(word: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut word = word;
        // SAFETY: as in `and`.
        unsafe {
            core::arch::asm!("{0} = -{0}", inout(reg) word, options(pure, nomem, nostack));
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    word.wrapping_neg()
}

/// `word ^ key ^ key`, which is `word` again: with a key that the verifier does not know, it
/// does not know the word any more, and follows what comes next once whatever the word was.
#[inline(always)]
#[must_use]
pub fn forgotten(word: u64, key: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut word = word;
        // SAFETY: as in `and`, with two instructions.
        unsafe {
            core::arch::asm!("{0} ^= {1}", "{0} ^= {1}", inout(reg) word, in(reg) key, options(pure, nomem, nostack));
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        word ^ key ^ key
    }
}
