//! Operations that the compiler leaves as they are written.
//!
//! The verifier must find the bounds of every index itself, and the verifiers of older kernels
//! know less than the compiler: nothing of a number that was converted from big endian, for
//! example. The compiler leaves out a mask that changes nothing; then the verifier does not know
//! the bound. The compiler also makes jumps of arithmetic; then the verifier follows both sides.
//!
//! [`core::hint::black_box`] would help, too, but on this target it writes to the stack and reads
//! back. Each function here is the instruction that its name says. (An empty piece of assembler,
//! a mere comment, spoils the table of lines, and the kernel refuses the program.)

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

/// `word ^ key ^ key`, which is `word` again. The verifier does not know the key, so it no longer
/// knows the word, and follows what comes next once whatever the word is.
#[inline(always)]
#[must_use]
pub fn opaque(word: u64, key: u64) -> u64 {
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
