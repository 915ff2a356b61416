//! The C library's heap after an encoder or a crowd of connections, which come in many pieces between those of others.

/// Returns the pages that hold nothing any more to the system. Left to itself the C library keeps them.
pub fn give_back_pages() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes nothing and gives no pointer.
    unsafe {
        libc::malloc_trim(0);
    }
}
