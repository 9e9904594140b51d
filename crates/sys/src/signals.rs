//! Signal dispositions and mask of a process that is about to become another program.

/// The highest signal number, real-time signals included.
const LAST: i32 = 64;

/// Every signal acts by default and none is blocked, as a program may expect at its start.
/// What a Rust program ignores (`SIGPIPE`) or its caller blocked would otherwise be inherited.
pub fn reset() {
    // SAFETY: an all-zero sigset_t is a valid value, filled below.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigemptyset(&raw mut none) };
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL is no code of ours; signals that cannot be set say EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set outlives the call, and no old set is asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}
