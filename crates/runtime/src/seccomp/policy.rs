//! The default policy: what a container may ask of the kernel.
//!
//! The same policy as Docker's: what ordinary programs need is allowed, what reaches beyond the
//! container is allowed only to those who hold the capability that the kernel asks for anyway, and
//! the rest fails with EPERM. Written by subject, so that a reader can check a subject.

use super::profile::{Conditions, Profile, ProfileArchitecture, ProfileArgument, ProfileSyscall};

/// Allowed to everybody, by subject.
const ALLOWED: &[&str] = &[
    // Files: opening, reading, writing, positions.
    "open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv \
     pwritev preadv2 pwritev2 lseek _llseek dup dup2 dup3 fcntl fcntl64 ioctl flock fsync fdatasync \
     sync syncfs sync_file_range truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 \
     fadvise64_64 readahead copy_file_range sendfile sendfile64 splice tee vmsplice cachestat",
    // Files: names, links, directories.
    "access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx \
     statfs statfs64 fstatfs fstatfs64 readlink readlinkat link linkat symlink symlinkat unlink \
     unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat chdir fchdir getcwd \
     getdents getdents64 name_to_handle_at umask",
    // Files: owners, modes, times, attributes.
    "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime \
     utimes utimensat utimensat_time64 futimesat getxattr lgetxattr fgetxattr setxattr lsetxattr \
     fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr getxattrat \
     setxattrat listxattrat removexattrat file_getattr file_setattr",
    // Waiting for descriptors, and descriptors that are events.
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 \
     epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 \
     signalfd signalfd4 timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime \
     timerfd_gettime64 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark \
     pipe pipe2",
    // Asynchronous I/O of the old kind. The new kind (io_uring) is left out: it does system calls
    // that no filter sees.
    "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64",
    // Memory.
    "brk mmap mmap2 munmap mremap mprotect msync madvise mincore mlock mlock2 mlockall munlock \
     munlockall remap_file_pages memfd_create memfd_secret membarrier pkey_alloc pkey_free \
     pkey_mprotect map_shadow_stack mseal process_mrelease",
    // Processes and threads.
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid \
     setpgid getpgrp getsid setsid set_tid_address set_robust_list get_robust_list set_thread_area \
     get_thread_area rseq prctl seccomp pidfd_open pidfd_send_signal getrusage getcpu times \
     restart_syscall landlock_create_ruleset landlock_add_rule landlock_restrict_self uretprobe",
    // Locks between threads.
    "futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue",
    // Signals.
    "kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo \
     rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigaltstack sigprocmask \
     sigreturn pause alarm",
    // Time. Setting a clock needs a capability that the kernel asks for (adjtimex reads without).
    "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 \
     clock_nanosleep clock_nanosleep_time64 clock_adjtime clock_adjtime64 adjtimex nanosleep \
     getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 \
     timer_settime timer_settime64",
    // Scheduling.
    "sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam \
     sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max \
     sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getpriority \
     setpriority ioprio_get ioprio_set",
    // Users, groups, capabilities, limits.
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 \
     getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 \
     setregid setregid32 setresuid setresuid32 setresgid setresgid32 setgroups setgroups32 setfsuid \
     setfsuid32 setfsgid setfsgid32 capget capset getrlimit ugetrlimit setrlimit prlimit64",
    // Network. Making a socket is judged by its family, below.
    "accept accept4 bind connect listen shutdown getpeername getsockname getsockopt setsockopt \
     recvfrom recvmsg recvmmsg recvmmsg_time64 sendto sendmsg sendmmsg socketcall socketpair",
    // Messages, semaphores and shared memory, within the IPC namespace.
    "ipc mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive \
     mq_timedreceive_time64 msgctl msgget msgrcv msgsnd semctl semget semop semtimedop \
     semtimedop_time64 shmat shmctl shmdt shmget",
    // The system, as far as everybody may know it.
    "uname sysinfo getrandom lsm_get_self_attr lsm_set_self_attr lsm_list_modules",
];

/// Looking into other processes: since Linux 4.8 a filter is applied before a tracer can change
/// the call, so that tracing does not get around it.
const TRACING: &str = "ptrace process_vm_readv process_vm_writev";

/// Allowed with a capability.
const WITH_CAPABILITY: &[(&str, &str)] = &[
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount \
         mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd \
         setdomainname sethostname setns statmount syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    (
        "CAP_SYS_PTRACE",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    (
        "CAP_SYS_TIME",
        "settimeofday stime clock_settime clock_settime64",
    ),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    (
        "CAP_SYS_NICE",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// `AF_VSOCK`: reaches the hypervisor and other guests, past every network namespace.
const VSOCK: u64 = 40;

/// Personalities that change nothing for security: Linux, 32 bits, their UNAME26 variants, and
/// "which is it?".
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The flags of `clone` that make namespaces (`CLONE_NEW…`, all seven of them).
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// `ENOSYS`: the C library falls back to `clone`, whose flags can be judged.
const NO_SUCH_CALL: u32 = 38;

/// The default profile, before capabilities and kernel are known.
#[must_use]
pub fn default_profile() -> Profile {
    let mut syscalls: Vec<ProfileSyscall> = ALLOWED.iter().map(|names| allow(names)).collect();
    syscalls.push(ProfileSyscall {
        includes: Conditions {
            min_kernel: Some("4.8".into()),
            ..Conditions::default()
        },
        ..allow(TRACING)
    });
    syscalls.push(ProfileSyscall {
        args: vec![argument(0, VSOCK, 0, "SCMP_CMP_NE")],
        ..allow("socket")
    });
    for personality in PERSONALITIES {
        syscalls.push(ProfileSyscall {
            args: vec![argument(0, personality, 0, "SCMP_CMP_EQ")],
            ..allow("personality")
        });
    }
    syscalls.push(on_architectures("arch_prctl", &["amd64", "x32"]));
    syscalls.push(on_architectures("modify_ldt", &["amd64", "x32", "x86"]));
    for (capability, names) in WITH_CAPABILITY {
        syscalls.push(ProfileSyscall {
            includes: capability_of(capability),
            ..allow(names)
        });
    }
    // Without CAP_SYS_ADMIN: processes and threads, but no namespaces.
    syscalls.push(ProfileSyscall {
        args: vec![argument(0, NEW_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ")],
        excludes: capability_of("CAP_SYS_ADMIN"),
        ..allow("clone")
    });
    // Its flags lie in memory, where no filter can look.
    syscalls.push(ProfileSyscall {
        action: "SCMP_ACT_ERRNO".into(),
        errno_ret: Some(NO_SUCH_CALL),
        excludes: capability_of("CAP_SYS_ADMIN"),
        ..allow("clone3")
    });
    Profile {
        default_action: "SCMP_ACT_ERRNO".into(),
        default_errno_ret: Some(1),
        arch_map: vec![
            architecture("SCMP_ARCH_X86_64", &["SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
            architecture("SCMP_ARCH_AARCH64", &[]),
        ],
        syscalls,
        ..Profile::default()
    }
}

fn allow(names: &str) -> ProfileSyscall {
    ProfileSyscall {
        names: names.split_whitespace().map(str::to_owned).collect(),
        action: "SCMP_ACT_ALLOW".into(),
        ..ProfileSyscall::default()
    }
}

fn on_architectures(names: &str, arches: &[&str]) -> ProfileSyscall {
    ProfileSyscall {
        includes: Conditions {
            arches: arches.iter().map(|name| (*name).to_owned()).collect(),
            ..Conditions::default()
        },
        ..allow(names)
    }
}

fn capability_of(name: &str) -> Conditions {
    Conditions {
        caps: vec![name.to_owned()],
        ..Conditions::default()
    }
}

fn argument(index: usize, value: u64, value_two: u64, op: &str) -> ProfileArgument {
    ProfileArgument {
        index,
        value,
        value_two,
        op: op.into(),
    }
}

fn architecture(native: &str, others: &[&str]) -> ProfileArchitecture {
    ProfileArchitecture {
        architecture: native.into(),
        sub_architectures: others.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Every name in the policy, for the test that looks each of them up.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALLOWED
        .iter()
        .copied()
        .chain([TRACING])
        .chain(WITH_CAPABILITY.iter().map(|(_, names)| *names))
        .flat_map(str::split_whitespace)
}
