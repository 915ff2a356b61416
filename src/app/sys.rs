//! The C library's heap, which the encoders allocate from too, held to what a small board has.

/// Heaps that threads share: one for each thread, which is the default, keeps what encoders that came and went left in it.
const HEAPS: libc::c_int = 2;
/// What is as large as a small picture, in bytes, is mapped by itself and so given back whole. Left to itself the library
/// learns from each such block that is freed to keep the next ones.
const MAPPED_FROM: libc::c_int = 64 * 1024;

/// Keeps memory from growing over weeks of streams that begin and end. To be called before there are threads.
pub fn bound_heap() {
    for (option, value) in
        [(libc::M_ARENA_MAX, HEAPS), (libc::M_MMAP_THRESHOLD, MAPPED_FROM), (libc::M_TRIM_THRESHOLD, 4 * MAPPED_FROM)]
    {
        // SAFETY: sets a number inside the library, and nothing else runs yet. One that it refuses stays as it was.
        unsafe { libc::mallopt(option, value) };
    }
}
