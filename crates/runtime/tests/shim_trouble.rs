//! The shim when something goes wrong: killed, paused, out of memory, out of disk, left alone.
//!
//! Needs root and busybox-static. Mounts happen in namespaces that the tests make.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod shim_box;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shim_box::{ALL, Box_, OUTPUT, is_alive, kill, layers, wait};
use wharf_runtime::shim::proto::{Event, Phase, Reply, Request};
use wharf_runtime::shim::{PlanRootfs, exit_path, socket_path};

/// Where a subprocess that is this test program finds the plan it is to start.
const PLAN: &str = "WHARF_SHIM_TEST_PLAN";

#[test]
fn a_process_killed_for_want_of_memory_is_on_record() {
    let container = Box_::new(&["sh", "-c", "tail /dev/zero; exit 3"]).with(|spec| {
        spec["linux"]["resources"] = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    });
    let (_, err, code) = container.run();
    let record = container.record();
    // The shell goes on: it is not the container that was killed.
    assert_eq!((code, record.code, record.signal), (3, 3, None), "{err}");
    assert!(record.oom_killed, "{record:?}");
}

#[test]
fn an_end_by_a_signal_is_no_want_of_memory() {
    let container = Box_::new(&["sh", "-c", "sleep 1000 & kill -9 $!; wait $!; exit 4"]);
    container.run();
    assert!(!container.record().oom_killed);
}

/// There is no daemon here at all: what follows is the kernel's work.
#[test]
fn a_container_does_not_outlive_its_shim_though_nobody_watches() {
    for user in [0, 1000] {
        let container = Box_::new(&["sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000"])
            .with(|spec| spec["process"]["user"] = json!({"uid": user, "gid": user}));
        let spawned = container.try_spawn().unwrap();
        container.start();
        let cgroup = container.cgroup();
        wait("its three processes", || {
            (cgroup.processes().ok()?.len() >= 3).then_some(())
        });
        kill(spawned.shim);
        wait("all of them to end", || {
            cgroup.processes().ok()?.is_empty().then_some(())
        });
        assert!(!exit_path(&container.plan.dir).exists());
        wait("its cgroup to go", || cgroup.delete().ok());
    }
}

#[test]
fn a_container_that_was_never_started_does_not_outlive_its_shim_either() {
    let container = Box_::new(&["sleep", "1000"]);
    let spawned = container.try_spawn().unwrap();
    kill(spawned.shim);
    wait("init to end", || (!is_alive(spawned.pid)).then_some(()));
    wait("its cgroup to go", || container.cgroup().delete().ok());
    // And the directory serves the next one.
    assert_eq!(Box_::new(&["true"]).run().2, 0);
    assert_eq!(container.try_spawn().unwrap().warnings, [""; 0]);
}

#[test]
fn an_exit_record_that_cannot_be_written_is_written_later() {
    let container = Box_::new(&["sh", "-c", "exit 12"]);
    let spawned = container.try_spawn().unwrap();
    // In the way of the file that becomes the record.
    let obstacle = exit_path(&container.plan.dir).with_extension("new");
    fs::create_dir(&obstacle).unwrap();
    container.start();
    let record = wait("the end", || {
        match container.client().ask(&Request::State) {
            Ok(Reply::State(state)) => match state.phase {
                Phase::Exited(record) => Some(record),
                _ => None,
            },
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(record.code, 12);
    assert!(record.error.unwrap().starts_with("exit record: "));
    assert!(is_alive(spawned.shim), "it left without a word");
    assert!(!exit_path(&container.plan.dir).exists());
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(container.record().code, 12);
    wait("the shim leaves", || {
        (!is_alive(spawned.shim)).then_some(())
    });
    assert!(!socket_path(&container.plan.dir).exists());
}

#[test]
fn of_an_end_that_cannot_be_recorded_a_watcher_is_told_and_the_shim_leaves() {
    let container = Box_::new(&["sh", "-c", "exit 13"]);
    let spawned = container.try_spawn().unwrap();
    fs::create_dir(exit_path(&container.plan.dir).with_extension("new")).unwrap();
    let mut watcher = container.client();
    watcher.ask(&Request::Watch).unwrap();
    container.start();
    let record = loop {
        match watcher.reply().unwrap() {
            Reply::Event(Event::Exited(record)) => break record,
            Reply::Event(Event::Started { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(record.code, 13);
    wait("the shim leaves", || {
        (!is_alive(spawned.shim)).then_some(())
    });
}

/// Not a test: what [`a_caller_that_dies_during_a_create_leaves_nothing`] runs and kills.
#[test]
#[ignore = "a part of another test"]
fn the_caller() {
    let Ok(plan) = std::env::var(PLAN) else {
        return;
    };
    let container = Box_::of(serde_json::from_slice(&fs::read(plan).unwrap()).unwrap());
    container.try_spawn().unwrap();
}

#[test]
fn a_caller_that_dies_during_a_create_leaves_nothing() {
    let mut container = Box_::new(&["sleep", "1000"]);
    let at = container.dir.path().to_owned();
    // A hook of the host holds the creation up until the caller is dead.
    let script = "echo $PPID > $0/shim.new; mv $0/shim.new $0/shim; \
                  until [ -e $0/go ]; do /bin/busybox usleep 1000; done";
    container = container.with(|spec| {
        spec["hooks"] = json!({"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", script, at]}
        ]});
    });
    let plan = at.join("plan.json");
    fs::write(&plan, serde_json::to_vec(&container.plan).unwrap()).unwrap();
    let mut caller = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "the_caller"])
        .env(PLAN, &plan)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let shim: i32 = wait("the hook", || {
        fs::read_to_string(at.join("shim"))
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert!(is_alive(shim) && container.has_cgroup());
    fs::write(at.join("go"), "").unwrap();
    wait("the shim leaves", || (!is_alive(shim)).then_some(()));
    assert!(!container.has_cgroup());
    let left: Vec<_> = fs::read_dir(&container.plan.dir).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_hundred_execs_from_eight_clients_each_get_their_own_output_and_code() {
    const EACH: usize = 25;
    let container = Box_::new(&["sleep", "1000"]);
    container.try_spawn().unwrap();
    container.start();
    let mut watcher = container.client();
    watcher.ask(&Request::Watch).unwrap();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let container = &container;
            scope.spawn(move || {
                for n in 0..EACH {
                    let (id, code) = (format!("e{client}-{n}"), i32::try_from(n).unwrap());
                    let script = format!("echo {id}; echo {id} >&2; exit {code}");
                    let (mut streams, reply) =
                        container.exec(&id, &["sh", "-c", &script], OUTPUT, None);
                    assert!(matches!(reply, Reply::Exec { .. }), "{reply:?}");
                    let line = format!("{id}\n").into_bytes();
                    assert_eq!(streams.output().unwrap(), (line.clone(), line, code));
                }
            });
        }
    });
    let (mut began, mut ended) = (0, 0);
    while ended < 8 * EACH {
        match watcher.reply().unwrap() {
            Reply::Event(Event::ExecStarted { .. }) => began += 1,
            Reply::Event(Event::ExecExited { id, code }) => {
                assert!(id.ends_with(&format!("-{code}")), "{id} {code}");
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(began, ended);
    let Reply::State(state) = container.client().ask(&Request::State).unwrap() else {
        panic!()
    };
    assert!(state.execs.is_empty(), "{:?}", state.execs);
}

#[test]
fn an_exec_in_a_paused_container_is_refused_and_one_that_was_overtaken_holds_nobody_up() {
    let container = Box_::new(&["sleep", "1000"]);
    container.try_spawn().unwrap();
    container.start();
    let cgroup = container.cgroup();
    cgroup.freeze().unwrap();
    let (_, reply) = container.exec("paused", &["true"], OUTPUT, None);
    assert!(
        matches!(&reply, Reply::Error { message, .. } if message == "the container is paused"),
        "{reply:?}"
    );
    cgroup.thaw().unwrap();
    let over = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                cgroup.freeze().unwrap();
                // Whoever is on his way in stands still now; the shim does not.
                let began = Instant::now();
                for _ in 0..3 {
                    container.client().ask(&Request::State).unwrap();
                }
                assert!(began.elapsed() < Duration::from_secs(5));
                cgroup.thaw().unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        for n in 0..300 {
            let (mut client, reply) =
                container.exec(&format!("e{n}"), &["echo", "here"], OUTPUT, None);
            match reply {
                Reply::Exec { .. } => {
                    assert_eq!(client.output().unwrap(), (b"here\n".to_vec(), vec![], 0));
                    ran += 1;
                }
                Reply::Error { message, .. } => {
                    assert_eq!(message, "the container is paused");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused");
}

#[test]
fn layers_are_handed_out_as_they_are_mounted_so_that_their_pages_are_shared() {
    use std::os::unix::fs::MetadataExt;
    let (lower, _keep) = layers();
    let mut container = Box_::new(&["sleep", "1000"]);
    let held = container.dir.path().join("overlay");
    let (upper, work) = (held.join("upper"), held.join("work"));
    fs::create_dir_all(&upper).unwrap();
    fs::create_dir_all(&work).unwrap();
    container.plan.rootfs = PlanRootfs::Overlay { upper, work };
    container.plan.layers = vec!["top".into(), "base".into()];
    let identity = |fd: &OwnedFd| {
        let file = fs::File::from(fd.try_clone().unwrap());
        let meta = file.metadata().unwrap();
        (meta.dev(), meta.ino())
    };
    let before: Vec<_> = lower.iter().map(identity).collect();
    container.lower = lower;
    container.try_spawn().unwrap();
    container.start();
    // As after a restart: those that were given are not held here any more.
    container.lower.clear();
    for _ in 0..3 {
        let mounts = container.client().layer_mounts().unwrap();
        let names: Vec<&str> = mounts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["top", "base"]);
        // The same file systems: what one container read is in memory for all.
        let after: Vec<_> = mounts.iter().map(|(_, fd)| identity(fd)).collect();
        assert_eq!(after, before);
    }
}

#[test]
fn a_client_that_takes_nothing_slows_the_container_and_costs_the_shim_little() {
    let container = Box_::new(&["sh", "-c", "seq 1 150000; echo done"]);
    let spawned = container.try_spawn().unwrap();
    let mut stalled = container.client();
    assert_eq!(stalled.ask(&Request::Attach(ALL)).unwrap(), Reply::Ok);
    container.start();
    let size = |shim: i32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    };
    // It writes until nobody has room, and no further.
    let mut last = String::new();
    wait("the container to stand still", || {
        std::thread::sleep(Duration::from_millis(50));
        let log = container.log();
        let still = !log.is_empty() && log == last;
        last = log;
        still.then_some(())
    });
    assert!(last.len() < 750_000, "{} bytes went out", last.len());
    assert!(size(spawned.shim) < 4096, "{} KiB", size(spawned.shim));
    // Others are served meanwhile.
    assert!(matches!(
        container.client().ask(&Request::State).unwrap(),
        Reply::State(_)
    ));
    drop(stalled);
    assert_eq!(container.record().code, 0);
    let log = container.log();
    assert_eq!(log.lines().count(), 150_001);
    assert!(log.ends_with("150000\ndone\n"));
}

/// Runs on a thread of its own with a small file system of its own, which only it and its children
/// see.
fn with_small_disk(size: &str, test: impl FnOnce(&Path) + Send) {
    let at = tempfile::tempdir_in("/var/tmp").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use rustix::mount::{MountFlags, MountPropagationFlags as How};
            let own = wharf_sys::clone::Namespaces::MOUNT;
            wharf_sys::namespaces::unshare(own).unwrap();
            rustix::mount::mount_change("/", How::PRIVATE | How::REC).unwrap();
            let options = std::ffi::CString::new(format!("size={size}")).unwrap();
            let flags = MountFlags::empty();
            rustix::mount::mount("tmpfs", at.path(), "tmpfs", flags, options.as_c_str()).unwrap();
            test(at.path());
        });
    });
}

fn logged_at(container: &mut Box_, disk: &Path) -> PathBuf {
    let path = disk.join("x-json.log");
    container.plan.log.as_mut().unwrap().path.clone_from(&path);
    path
}

fn read_log(path: &Path) -> Vec<String> {
    let mut reader = wharf_runtime::log::Reader::open(path).unwrap();
    let mut texts = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        texts.push(String::from_utf8(record.data).unwrap());
    }
    texts
}

#[test]
fn a_full_disk_costs_log_lines_which_are_counted_and_not_the_container() {
    with_small_disk("64k", |disk| {
        let mut container = Box_::new(&["sh", "-c", "seq 1 5000; exit 6"]);
        let path = logged_at(&mut container, disk);
        let (out, _, code) = container.run();
        assert_eq!((out.lines().count(), code), (5000, 6));
        let record = container.record();
        let error = record.error.unwrap();
        let kept = read_log(&path);
        let whole = kept
            .iter()
            .enumerate()
            .all(|(n, line)| *line == format!("{}\n", n + 1));
        assert!(whole && kept.len() > 100, "{} lines", kept.len());
        let lost = format!("{} log records were lost: No space left", 5000 - kept.len());
        assert!(error.starts_with(&lost), "{error}, {} kept", kept.len());
    });
}

#[test]
fn when_there_is_room_again_the_log_goes_on_and_says_what_it_lacks() {
    with_small_disk("64k", |disk| {
        let script = "seq 1 3000; echo full; read line; echo after; exit 0";
        let mut container = Box_::new(&["sh", "-c", script]);
        container.plan.open_stdin = true;
        let path = logged_at(&mut container, disk);
        let ballast = disk.join("ballast");
        fs::write(&ballast, vec![0; 32 * 1024]).unwrap();
        container.try_spawn().unwrap();
        let mut client = container.client();
        assert_eq!(client.ask(&Request::Attach(ALL)).unwrap(), Reply::Ok);
        container.start();
        let mut seen = Vec::new();
        while !seen.ends_with(b"full\n") {
            seen.extend(client.frame().unwrap().1);
        }
        fs::remove_file(&ballast).unwrap();
        let stdin = wharf_runtime::shim::proto::Kind::Stdin;
        client.send(stdin, b"go on\n").unwrap();
        client.output().unwrap();
        assert_eq!(container.record().error, None);
        let lines = read_log(&path);
        let [.., note, last] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(last, "after\n");
        let kept = lines.len() - 2;
        let said = format!(
            "wharf: {} log records were lost: No space left",
            3001 - kept
        );
        assert!(note.starts_with(&said), "{note} {kept}");
    });
}
