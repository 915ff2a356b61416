//! Loops compiled twice: for any processor of the target, and for the wider vectors that most have.

/// Runs a loop over pixels in the widest vectors that this processor has. It and what it calls must be
/// `#[inline(always)]`, which is what compiles them once more in here. NEON is part of its targets and needs none of it.
#[inline(always)]
pub fn widest<A, R>(kernel: impl Fn(A) -> R, arguments: A) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<A, R>(kernel: impl Fn(A) -> R, arguments: A) -> R {
            kernel(arguments)
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has these instructions, as was just found.
            return unsafe { with_avx2(kernel, arguments) };
        }
    }
    kernel(arguments)
}
