//! The least that the kernel and the processor allow, for `make bench` to compare with.
//!
//! ```text
//! floor start ROOTFS SCRATCH COUNT [CGROUP...]
//!                                     clone3 with pid, mount, uts, ipc and net namespaces, an overlay
//!                                     over ROOTFS, chroot, exec /bin/true, wait: milliseconds each;
//!                                     with directories of cgroup hierarchies: a new cgroup in each
//!                                     of them, joined and removed again
//! floor gunzip OUT FILE...            per file, two at a time: gunzip, SHA-256, write, fsync: seconds
//! ```
//! It does less than an engine must: no cgroup, no seccomp, no capabilities, no log.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a measurement that cannot go on ends there"
)]

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountAttrFlags, MoveMountFlags};
use rustix::process::{WaitId, WaitIdOptions};
use sha2::{Digest, Sha256};
use wharf_sys::clone::{Clone, Namespaces, spawn};
use wharf_sys::mount::{Overlay, Upper, overlay};
use wharf_sys::program::Program;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["start", rootfs, scratch, count, cgroups @ ..] => {
            let cgroups: Vec<PathBuf> = cgroups.iter().map(PathBuf::from).collect();
            for _ in 0..count.parse::<u32>().expect("a count") {
                let began = Instant::now();
                start(Path::new(rootfs), Path::new(scratch), &cgroups);
                println!("{:.3}", began.elapsed().as_secs_f64() * 1e3);
            }
        }
        ["gunzip", out, files @ ..] => {
            let began = Instant::now();
            gunzip(Path::new(out), files);
            println!("{:.3}", began.elapsed().as_secs_f64());
        }
        _ => {
            eprintln!("usage: floor start ROOTFS SCRATCH COUNT | floor gunzip OUT FILE...");
            std::process::exit(2);
        }
    }
}

fn directory(path: &Path) -> rustix::fd::OwnedFd {
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .expect("a directory")
}

fn start(rootfs: &Path, scratch: &Path, cgroups: &[PathBuf]) {
    let (upper, work) = (scratch.join("upper"), scratch.join("work"));
    for path in [&upper, &work] {
        std::fs::create_dir_all(path).expect("scratch");
    }
    let clone = Clone {
        namespaces: Namespaces::MOUNT
            | Namespaces::PID
            | Namespaces::UTS
            | Namespaces::IPC
            | Namespaces::NETWORK,
        cgroup: None,
    };
    let own: Vec<PathBuf> = cgroups.iter().map(|top| top.join("floor")).collect();
    for cgroup in &own {
        std::fs::create_dir(cgroup).expect("a cgroup");
        // A cpuset takes no process before it has processors and memory.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = cgroup.with_file_name(file);
            if let Ok(value) = std::fs::read(&parent) {
                let _ = std::fs::write(cgroup.join(file), value);
            }
        }
    }
    // Version 1 is joined by the child, which the kernel need not stop for that; version 2 it is
    // born in.
    let (tasks, unified): (Vec<_>, Vec<_>) = own
        .iter()
        .map(|cgroup| cgroup.join("tasks"))
        .partition(|tasks| tasks.exists());
    let unified = unified.first().and_then(|tasks| tasks.parent());
    let unified = unified.map(directory);
    let clone = Clone {
        cgroup: unified.as_ref().map(AsFd::as_fd),
        ..clone
    };
    let child = spawn(&clone, |_| {
        for file in &tasks {
            std::fs::write(file, "0").map_err(|_| 70)?;
        }
        let lower = directory(rootfs);
        let (upper, work) = (directory(&upper), directory(&work));
        let mounted = overlay(&Overlay {
            lower: &[lower.as_fd()],
            upper: Some(Upper {
                upper: upper.as_fd(),
                work: work.as_fd(),
            }),
            user_xattr: false,
            attributes: MountAttrFlags::empty(),
        })
        .map_err(|_| 71)?;
        rustix::mount::mount_change(
            "/",
            rustix::mount::MountPropagationFlags::PRIVATE
                | rustix::mount::MountPropagationFlags::REC,
        )
        .map_err(|_| 72)?;
        rustix::mount::move_mount(
            mounted.as_fd(),
            "",
            rustix::fs::CWD,
            rootfs,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(|_| 73)?;
        rustix::process::chdir(rootfs).map_err(|_| 74)?;
        rustix::process::chroot(".").map_err(|_| 75)?;
        let program = Program::new(vec![CString::from(c"true")], Vec::new());
        let _ = program.execute(c"/bin/true");
        Err(76)
    })
    .expect("clone3");
    let status = rustix::process::waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        .expect("wait")
        .expect("a status");
    assert_eq!(
        status.exit_status(),
        Some(0),
        "the child failed at that step"
    );
    for cgroup in &own {
        std::fs::remove_dir(cgroup).expect("an empty cgroup");
    }
}

fn gunzip(out: &Path, files: &[&str]) {
    std::fs::create_dir_all(out).expect("out");
    let queue = Mutex::new(files.iter().enumerate().collect::<Vec<_>>());
    let next = || queue.lock().expect("no panic holds it").pop();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((n, file)) = next() {
                    one(&out.join(format!("{n}.tar")), Path::new(file));
                }
            });
        }
    });
}

fn one(out: &PathBuf, file: &Path) {
    let mut input = flate2::read::MultiGzDecoder::new(File::open(file).expect("input"));
    let mut output = File::create(out).expect("output");
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let n = input.read(&mut chunk).expect("gunzip");
        if n == 0 {
            break;
        }
        hash.update(&chunk[..n]);
        output.write_all(&chunk[..n]).expect("write");
    }
    output.sync_data().expect("fsync");
    std::hint::black_box(hash.finalize());
}
