//! The allocator's unused memory.

/// Gives memory that was freed back to the kernel. For a process that has done its one large piece
/// of work and will now wait for days.
pub fn give_back() {
    // SAFETY: glibc's own bookkeeping; no memory in use is touched.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
