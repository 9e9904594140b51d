//! How long a container takes from `create` to being reaped: `start-bench BUNDLE [ROUNDS] [PAUSE_MS]`.
//!
//! The bundle's root file system becomes the lower layer of an overlay. Each step is timed; what
//! is printed are medians and minima in milliseconds. A pause before each round gives what a lone
//! start costs, without one it is a hot loop.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::Spec;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::{Timespec, nanosleep};
use wharf_runtime::cgroup::{Layout, Place};
use wharf_runtime::{EndsWith, Io, Launch, Rootfs, Stdio, create, seccomp};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bundle = PathBuf::from(arguments.next().ok_or("no bundle")?);
    let rounds: usize = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let pause: i64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let without_cgroup = arguments.next().is_some_and(|word| word == "nocgroup");
    let mut spec: Spec = serde_json::from_slice(&fs::read(bundle.join("config.json"))?)?;
    let filter = default_filter()?;
    if let Some(process) = spec.process_mut() {
        process.set_args(Some(vec!["true".to_owned()]));
    }
    let layout = Layout::detect()?;
    let scratch = tempfile::tempdir()?;
    let (upper, work) = (scratch.path().join("upper"), scratch.path().join("work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty)?;
    let mut times: Vec<[Duration; 4]> = Vec::new();
    for round in 0..rounds {
        let _ = nanosleep(&Timespec {
            tv_sec: 0,
            tv_nsec: pause * 1_000_000,
        });
        let id = format!("bench-{}-{round}", std::process::id());
        let cgroup = Path::new("wharf-bench").join(&id);
        let begin = Instant::now();
        let created = create(Launch {
            id: &id,
            spec: &spec,
            bundle: &bundle,
            rootfs: Rootfs::Overlay {
                lower: vec![directory(&bundle.join("rootfs"))?, directory(&empty)?],
                upper: upper.clone(),
                work: work.clone(),
            },
            io: Io::Streams(streams()?),
            cgroup: (!without_cgroup).then_some(Place {
                layout: &layout,
                path: &cgroup,
            }),
            seccomp: Some(&filter),
            preserve_fds: 0,
            ends_with: EndsWith::Nobody,
        })?;
        let made = begin.elapsed();
        created.start.start()?;
        let started = begin.elapsed();
        waitid(WaitId::PidFd(created.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        let reaped = begin.elapsed();
        if let Some(cgroup) = created.cgroup {
            cgroup.delete()?;
        }
        times.push([made, started, reaped, begin.elapsed()]);
    }
    for (at, name) in ["create", "+ start", "+ end", "+ cgroup removed"]
        .iter()
        .enumerate()
    {
        let mut column: Vec<f64> = times
            .iter()
            .map(|row| row[at].as_secs_f64() * 1000.0)
            .collect();
        column.sort_by(f64::total_cmp);
        println!(
            "{name:>18}  median {:6.2}  min {:6.2}",
            column[column.len() / 2],
            column[0]
        );
    }
    Ok(())
}

fn default_filter() -> Result<seccomp::Filter, Box<dyn Error>> {
    let rules = seccomp::default_profile().resolve(&[], (6, 1))?;
    Ok(seccomp::compile_rules(&rules)?)
}

fn directory(path: &Path) -> std::io::Result<OwnedFd> {
    Ok(File::open(path)?.into())
}

fn streams() -> std::io::Result<Stdio> {
    let null = || {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
    };
    Ok(Stdio {
        stdin: null()?.into(),
        stdout: null()?.into(),
        stderr: null()?.into(),
    })
}
