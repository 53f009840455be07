//! The memory of this process.

/// Has all threads share one heap. By itself glibc gives each its own, and every one of them
/// keeps what the largest policy took of it. To be called before there are other threads;
/// another C library has one heap anyway.
pub fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, under the allocator's lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
