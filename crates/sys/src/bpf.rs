//! `bpf(2)`, as far as a device filter of a version 2 cgroup needs it: load, attach, replace.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_DETACH: u32 = 9;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_PROG_QUERY: u32 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// More programs than one cgroup can have attached.
const PROGRAMS_MAX: usize = 64;

/// One instruction of an (extended) BPF program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source register in the high.
    pub registers: u8,
    /// Jump distance or memory offset.
    pub offset: i16,
    /// Operand.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// Load a program that decides on a cgroup's device accesses.
pub fn load_device_filter(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(program.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        instructions: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    descriptor(call(BPF_PROG_LOAD, &attributes)?)
}

/// The device filters that are attached to a cgroup itself.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; PROGRAMS_MAX];
    let mut query = Query {
        target: cgroup.as_raw_fd().unsigned_abs(),
        attach_type: BPF_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS_MAX as u32,
        ..Query::default()
    };
    // SAFETY: the structure and the array it points to are writable and outlive the call; the
    // kernel writes at most `count` numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_QUERY,
            &raw mut query,
            size_of::<Query>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    ids.iter()
        .take(query.count as usize)
        .map(|&id| {
            let by_id = ById {
                id,
                ..ById::default()
            };
            descriptor(call(BPF_PROG_GET_FD_BY_ID, &by_id)?)
        })
        .collect()
}

/// Attach a device filter to a cgroup, beside those that are there.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attach = attachment(cgroup, program, BPF_F_ALLOW_MULTI);
    call(BPF_PROG_ATTACH, &attach).map(drop)
}

/// Detach a device filter from a cgroup.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    call(BPF_PROG_DETACH, &attachment(cgroup, program, 0)).map(drop)
}

fn attachment(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, flags: u32) -> Attach {
    Attach {
        target: cgroup.as_raw_fd().unsigned_abs(),
        program: program.as_raw_fd().unsigned_abs(),
        attach_type: BPF_CGROUP_DEVICE,
        flags,
        replaced: 0,
    }
}

fn descriptor(number: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: these commands return a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call<A>(command: u32, attributes: &A) -> io::Result<libc::c_long> {
    // SAFETY: the structures are those of the kernel's `bpf_attr` for these commands, which it
    // reads and does not write; what they point to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<A>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// `r0 = value; exit`
    fn constant(value: i32) -> [Instruction; 2] {
        [
            Instruction {
                code: 0xb7,
                registers: 0,
                offset: 0,
                immediate: value,
            },
            Instruction {
                code: 0x95,
                registers: 0,
                offset: 0,
                immediate: 0,
            },
        ]
    }

    #[test]
    fn the_kernel_accepts_a_filter_and_refuses_one_that_has_no_end() {
        match load_device_filter(&constant(1)) {
            Ok(_) => {}
            // Not privileged, or a kernel without it: nothing to learn here.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
            Err(error) => panic!("{error}"),
        }
        assert!(load_device_filter(&constant(1)[..1]).is_err());
    }

    #[test]
    fn a_directory_that_is_no_cgroup_has_no_filters() {
        let directory = std::fs::File::open("/tmp").unwrap();
        assert!(device_filters(directory.as_fd()).is_err());
    }
}
