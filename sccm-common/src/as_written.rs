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

/// The same reference, through which memory is read once more: the compiler does not know that it is
/// the same.
#[inline(always)]
#[must_use]
pub fn same<T>(reference: &T) -> &T {
    #[cfg(target_arch = "bpf")]
    {
        let mut pointer = core::ptr::from_ref(reference);
        // SAFETY: it moves a register to itself.
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) pointer, options(readonly, nostack));
        }
        // SAFETY: it is the reference.
        unsafe { &*pointer }
    }
    #[cfg(not(target_arch = "bpf"))]
    reference
}

/// Writes a word of memory that others write, too, if it is still the one before, and all that was
/// written earlier before that. Returns what it was. The compiler makes no such instruction of
/// [`core::sync::atomic`] for this target.
///
/// # Safety
/// The pointer is to an aligned word, and nobody has a reference to it.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, before: u64, after: u64) -> u64 {
    let found;
    // SAFETY: the caller's promise; it changes the one register that it says.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {after})",
            word = in(reg) word,
            after = in(reg) after,
            inlateout("r0") before => found,
            options(nostack),
        );
    }
    found
}
