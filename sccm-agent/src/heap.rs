//! The memory of this process: what was needed for a moment goes back to the machine.
//!
//! Settings of glibc's; another C library has one heap, and its own ways, anyway.

/// Has all threads share one heap: otherwise each has its own, and every one of them keeps
/// what the largest policy took of it. To be called before there are other threads.
pub fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, under the allocator's lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back what is free, also between what is not.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches what nobody has, under the allocator's lock.
    unsafe {
        libc::malloc_trim(0);
    }
}
