//! A processor at once for threads that take what a device gives: what waits too long in a driver is lost there.

/// Before every usual thread, behind the kernel's own (50) (sched(7)). The unit file's LimitRTPRIO allows it.
const PRIORITY: libc::c_int = 10;

/// Puts this thread before all usual ones, where the system lets it; programs and threads that it starts are usual again.
/// Whether it does.
pub fn ask() -> bool {
    sys::schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, PRIORITY)
}

mod sys {
    /// Sets how this thread is scheduled.
    pub fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
        // SAFETY: a plain struct of numbers, for which zero is a value.
        let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
        parameter.sched_priority = priority;
        // SAFETY: 0 is this thread, and the kernel reads the struct before it returns.
        unsafe { libc::sched_setscheduler(0, policy, &parameter) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, thread};

    /// The policy of this thread as the kernel counts (proc(5), the 41st field of stat).
    fn policy() -> i32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name in brackets is the second field and may hold spaces.
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().parse().unwrap()
    }

    #[test]
    fn where_it_is_allowed_the_thread_is_real_time_and_those_that_it_starts_are_not() {
        let asked = thread::spawn(|| (ask(), policy(), thread::spawn(policy).join().unwrap())).join().unwrap();
        match asked {
            (true, own, of_child) => assert_eq!((own, of_child), (libc::SCHED_FIFO, libc::SCHED_OTHER)),
            (false, own, _) => assert_eq!(own, libc::SCHED_OTHER),
        }
    }
}
