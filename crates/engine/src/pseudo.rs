//! File systems that are the kernel's own doing: what is in them is no file of a container.
//!
//! `cp` and archives of a running container see what its processes see, `/proc` and all. Reading
//! through `/proc` would never end (`kcore`) or tell of the host; writing there acts on the kernel
//! with the daemon's powers, past what is masked for the container. So a mount of one of these is
//! an empty directory to us.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

/// `f_type` of such file systems (linux/magic.h).
const PSEUDO: [u64; 19] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6e73_6673, // nsfs
    0x6573_5543, // fusectl
    0x0000_0187, // autofs
];

/// Whether an object is on such a file system. What cannot be asked is taken for one.
pub(crate) fn is_pseudo(object: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(object).map_or(true, |stat| {
        // Magic numbers are of 32 bits; some platforms sign-extend them.
        PSEUDO.contains(&(stat.f_type.cast_unsigned() & 0xffff_ffff))
    })
}

/// Whether an object is where something is mounted. Linux before 5.8 does not say it.
pub(crate) fn is_mount_point(object: BorrowedFd<'_>) -> bool {
    rustix::fs::statx(object, "", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn proc_is_of_the_kernels_doing_and_a_directory_on_the_disk_is_not() {
        for (path, expected) in [("/proc", true), ("/proc/self/status", true), ("/", false)] {
            let file = File::open(path).unwrap();
            assert_eq!(is_pseudo(file.as_fd()), expected, "{path}");
        }
        assert!(is_mount_point(File::open("/proc").unwrap().as_fd()));
        assert!(!is_mount_point(File::open("/proc/sys").unwrap().as_fd()));
    }
}
