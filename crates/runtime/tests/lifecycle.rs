//! Created, started, entered, stopped, deleted: the commands in their order, and out of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;

use std::fs;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use bundle::{Bundle, able, until};
use serde_json::json;

fn sleeper() -> Bundle {
    let mut bundle = Bundle::new();
    bundle.spec["process"]["args"] = json!(["sleep", "1000"]);
    bundle
}

#[test]
fn a_container_goes_from_created_to_running_to_stopped_to_gone() {
    if !able() {
        return;
    }
    let bundle = Bundle::script("echo started; sleep 1000");
    bundle.create().ok();
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
    assert_eq!(bundle.output(), "", "it must not have run yet");
    bundle.say(&["start", &bundle.id]).ok();
    assert_eq!(bundle.status(), "running");
    until("its output", || bundle.output() == "started\n");
    let error = bundle.say(&["start", &bundle.id]).failed();
    assert!(
        error.contains("cannot start a container that is running"),
        "{error}"
    );
    let error = bundle.say(&["delete", &bundle.id]).failed();
    assert!(
        error.contains("cannot delete a container that is running"),
        "{error}"
    );
    bundle.say(&["kill", &bundle.id, "KILL"]).ok();
    until("its end", || bundle.status() == "stopped");
    assert_eq!(bundle.state()["pid"], 0);
    assert!(
        bundle
            .say(&["kill", &bundle.id, "TERM"])
            .failed()
            .contains("not running")
    );
    assert!(
        bundle
            .say(&["exec", &bundle.id, "true"])
            .failed()
            .contains("stopped")
    );
    bundle.say(&["delete", &bundle.id]).ok();
    assert!(
        bundle
            .say(&["state", &bundle.id])
            .failed()
            .contains("does not exist")
    );
    assert!(!bundle.cgroup("memory").exists());
    assert!(
        bundle
            .say(&["delete", &bundle.id])
            .failed()
            .contains("does not exist")
    );
    bundle.say(&["delete", "--force", &bundle.id]).ok();
}

#[test]
fn a_name_is_taken_once() {
    if !able() {
        return;
    }
    let bundle = sleeper();
    bundle.create().ok();
    let error = bundle.create().failed();
    assert!(error.contains("already exists"), "{error}");
    assert_eq!(bundle.status(), "created");
}

#[test]
fn a_created_container_can_be_deleted_unstarted() {
    if !able() {
        return;
    }
    let bundle = sleeper();
    bundle.create().ok();
    bundle.say(&["delete", &bundle.id]).ok();
    assert!(!bundle.cgroup("pids").exists());
}

#[test]
fn exit_statuses_are_the_programs_own() {
    if !able() {
        return;
    }
    assert_eq!(Bundle::script("exit 7").run().status, 7);
    assert_eq!(Bundle::script("true").run().status, 0);
    // Its own signals do not reach a first process; a child's do.
    assert_eq!(
        Bundle::script("sh -c 'kill -9 $$'; exit $?").run().status,
        137
    );
    let bundle = sleeper();
    bundle.start();
    assert_eq!(bundle.exec("exit 9").status, 9);
    assert_eq!(bundle.exec("kill -15 $$").status, 143);
}

#[test]
fn a_program_that_is_not_there_is_told_at_creation() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    for (program, words) in [
        (
            "nothing",
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        (
            "/no/thing",
            "exec: \"/no/thing\": stat /no/thing: no such file or directory",
        ),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        bundle.spec["process"]["args"] = json!([program]);
        let error = bundle.create().failed();
        assert!(error.contains(words), "{error}");
        assert!(!bundle.cgroup("memory").exists(), "{program}");
    }
}

#[test]
fn a_file_that_is_no_program_is_told_at_the_start() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    let file = bundle.root().join("bin/text");
    fs::write(&file, "just text").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.spec["process"]["args"] = json!(["text"]);
    bundle.create().ok();
    let error = bundle.say(&["start", &bundle.id]).failed();
    assert!(error.contains("exec text: exec format error"), "{error}");
    fs::write(&file, "#!/no/interpreter\n").unwrap();
    bundle.say(&["delete", "--force", &bundle.id]).ok();
    let error = bundle.run().failed();
    assert!(
        error.contains("exec text: no such file or directory"),
        "{error}"
    );
}

#[test]
fn a_further_process_is_in_the_same_container() {
    if !able() {
        return;
    }
    let bundle = sleeper();
    bundle.start();
    let pid = bundle.state()["pid"].as_i64().unwrap();
    let out = bundle
        .exec("for n in mnt net ipc uts pid cgroup; do readlink /proc/self/ns/$n; done; ps | wc -l")
        .ok();
    let mut lines = out.lines();
    for name in ["mnt", "net", "ipc", "uts", "pid", "cgroup"] {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(lines.next(), theirs.to_str(), "{name}");
    }
    let out = bundle
        .say(&[
            "exec",
            "--user",
            "33:34",
            "-g",
            "44",
            "--env",
            "A=b",
            "--cwd",
            "/tmp",
            &bundle.id,
            "sh",
            "-c",
            "id -u; id -G; echo $A $HOME; pwd; grep Cap /proc/self/status",
        ])
        .ok();
    assert!(out.starts_with("33\n34 44\nb /var/www\n/tmp\n"), "{out}");
    assert!(out.contains("CapInh:\t0000000000000000"), "{out}");
    assert!(out.contains("CapEff:\t0000000000000000"), "{out}");
    let error = bundle.say(&["exec", &bundle.id, "nothing"]).failed();
    assert!(
        error.contains("executable file not found in $PATH"),
        "{error}"
    );
}

#[test]
fn a_further_process_is_in_the_same_cgroup_and_under_the_same_filter() {
    if !able() {
        return;
    }
    let mut bundle = sleeper();
    bundle.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    // Seen with the host's eyes.
    bundle.share("cgroup");
    bundle.start();
    let out = bundle
        .exec("cat /proc/self/cgroup; mkdir /x 2>/dev/null || echo refused")
        .ok();
    let place = bundle.spec["linux"]["cgroupsPath"].as_str().unwrap();
    assert!(out.contains(&format!("memory:{place}")) || out.contains(&format!("0::{place}")));
    assert!(out.ends_with("refused"), "{out}");
}

#[test]
fn a_process_can_be_given_in_a_file_and_left_running() {
    if !able() {
        return;
    }
    let bundle = sleeper();
    bundle.start();
    let mut process = bundle.spec["process"].clone();
    process["args"] = json!(["sh", "-c", "echo done > /tmp/done; sleep 1000"]);
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let pid_file = bundle.path().join("exec.pid");
    let status = bundle
        .command(&["exec", "--detach", "--process"])
        .arg(&file)
        .arg("--pid-file")
        .arg(&pid_file)
        .arg(&bundle.id)
        .stdout(fs::File::create(bundle.path().join("exec.out")).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    until("its file", || bundle.root().join("tmp/done").exists());
    let pid = fs::read_to_string(pid_file).unwrap();
    let listed = bundle.say(&["ps", "--format", "json", &bundle.id]).ok();
    assert!(listed.contains(&pid), "{listed}");
    let table = bundle.say(&["ps", &bundle.id]).ok();
    assert!(table.contains("sleep 1000"), "{table}");
}

#[test]
fn a_paused_container_stands_still_and_can_be_killed() {
    if !able() {
        return;
    }
    let bundle = Bundle::script("while true; do echo x >> /tmp/ticks; usleep 1000; done");
    bundle.start();
    let ticks = bundle.root().join("tmp/ticks");
    let size = || fs::metadata(&ticks).map_or(0, |file| file.len());
    until("ticks", || size() > 4);
    bundle.say(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.status(), "paused");
    let before = size();
    let error = bundle.say(&["exec", &bundle.id, "true"]).failed();
    assert!(error.contains("paused"), "{error}");
    assert!(
        bundle
            .say(&["pause", &bundle.id])
            .failed()
            .contains("cannot pause")
    );
    assert_eq!(size(), before);
    bundle.say(&["resume", &bundle.id]).ok();
    until("more ticks", || size() > before);
    assert!(
        bundle
            .say(&["resume", &bundle.id])
            .failed()
            .contains("cannot resume")
    );
    bundle.say(&["pause", &bundle.id]).ok();
    bundle.say(&["delete", "--force", &bundle.id]).ok();
    assert!(!bundle.cgroup("freezer").exists());
}

#[test]
fn signals_reach_the_first_process_or_all() {
    if !able() {
        return;
    }
    let bundle = Bundle::script(
        "trap 'echo term > /tmp/got; exit 3' TERM; sleep 1000 & while true; do usleep 1000; done",
    );
    let mut run = bundle.spawn();
    until("it runs", || {
        bundle.say(&["state", &bundle.id]).out.contains("running")
    });
    until("its child", || {
        bundle
            .say(&["ps", "-f", "json", &bundle.id])
            .out
            .contains(',')
    });
    // To the command, which hands it on.
    let pid = rustix::process::Pid::from_child(&run);
    until("its trap", || {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        bundle.root().join("tmp/got").exists()
    });
    assert_eq!(run.wait().unwrap().code(), Some(3));
    let bundle = sleeper();
    bundle.start();
    assert!(
        bundle
            .say(&["kill", &bundle.id, "NOTHING"])
            .failed()
            .contains("unknown signal")
    );
    bundle.say(&["kill", "--all", &bundle.id, "9"]).ok();
    until("its end", || bundle.status() == "stopped");
}

/// A terminal's master end, as engines get it.
fn receive_terminal(listener: &UnixListener) -> fs::File {
    let (stream, _): (UnixStream, _) = listener.accept().unwrap();
    let mut bytes = [0u8; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(
        &stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        rustix::net::RecvFlags::CMSG_CLOEXEC,
    )
    .unwrap();
    let fd: OwnedFd = ancillary
        .drain()
        .find_map(|message| match message {
            rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .unwrap();
    fs::File::from(fd)
}

fn read_until(terminal: &mut fs::File, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0u8; 1024];
    while !text.contains(end) {
        match terminal.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&bytes[..length])),
        }
    }
    text
}

#[test]
fn a_terminal_is_the_containers_own_and_its_master_the_callers() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "tty; stty size; stat -c '%u:%g' $(tty); readlink /proc/self/fd/2; \
         echo to-console > /dev/console; read line; echo \"[$line]\"; echo end",
    );
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.spec["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    bundle.spec["process"]["user"] = json!({"uid": 33, "gid": 33});
    let error = bundle.create().failed();
    assert!(error.contains("console socket"), "{error}");
    let socket = bundle.path().join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.write_config();
    let status = bundle
        .command(&["create", "--console-socket"])
        .arg(&socket)
        .arg("--bundle")
        .arg(bundle.path())
        .arg(&bundle.id)
        .status()
        .unwrap();
    assert!(status.success());
    let mut terminal = receive_terminal(&listener);
    bundle.say(&["start", &bundle.id]).ok();
    let text = read_until(&mut terminal, "to-console");
    for line in ["/dev/pts/0\r\n", "33 77\r\n", "33:5\r\n", "to-console"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    terminal.write_all(b"typed\n").unwrap();
    let text = read_until(&mut terminal, "end\r\n");
    assert!(text.contains("[typed]"), "{text}");
    // A further process gets a second one.
    let mut again = sleeper();
    again.spec["process"]["consoleSize"] = json!({"height": 5, "width": 6});
    again.start();
    let socket = again.path().join("exec.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let status = again
        .command(&["exec", "--tty", "--detach", "--console-socket"])
        .arg(&socket)
        .args([&again.id, "sh", "-c", "tty; stty size; echo end"])
        .status()
        .unwrap();
    assert!(status.success());
    let text = read_until(&mut receive_terminal(&listener), "end\r\n");
    assert!(text.contains("/dev/pts/0\r\n5 6\r\n"), "{text}");
}

#[test]
fn hooks_run_at_their_points_with_the_state_on_their_input() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("cat /hooked");
    let log = bundle.path().join("log");
    let hook = |name: &str| {
        json!([{"path": "/bin/sh", "args": ["sh", "-c",
            format!("printf '{name} ' >> $LOG; cat >> $LOG; echo >> $LOG")],
            "env": [format!("LOG={}", log.display())]}])
    };
    bundle.spec["hooks"] = json!({
        "createRuntime": hook("createRuntime"),
        "createContainer": hook("createContainer"),
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo inside > /hooked"]}],
        "poststart": hook("poststart"),
        "poststop": hook("poststop"),
    });
    assert_eq!(bundle.run().ok(), "inside");
    let text = fs::read_to_string(&log).unwrap();
    let mut lines = text.lines();
    for (name, status) in [
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let (found, state) = lines.next().unwrap().split_once(' ').unwrap();
        assert_eq!(found, name, "{text}");
        let state: serde_json::Value = serde_json::from_str(state).unwrap();
        assert_eq!(state["status"], status);
        assert_eq!(state["id"], bundle.id);
    }
    bundle.spec["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
    let error = bundle.run().failed();
    assert!(error.contains("run the hook /bin/false"), "{error}");
    assert!(!bundle.cgroup("memory").exists());
    bundle.spec["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]});
    let error = bundle.run().failed();
    assert!(error.contains("timed out"), "{error}");
}

#[test]
fn descriptors_are_inherited_only_when_asked() {
    if !able() {
        return;
    }
    let bundle = Bundle::script("ls /proc/self/fd | sort -n | tr '\\n' ' '; cat <&3");
    bundle.write_config();
    let file = bundle.path().join("given");
    fs::write(&file, "from outside").unwrap();
    // Two descriptors that are not closed by our own execve.
    let run = |preserve: &str| {
        let script = "exec 3<\"$1\" 4<\"$1\" 5<\"$1\"; shift; exec \"$@\"";
        #[allow(clippy::disallowed_methods, reason = "a shell that opens descriptors")]
        let out = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&file)
            .arg(bundle::program())
            .arg("--root")
            .arg(bundle.path().join("state"))
            .args(["run", "--preserve-fds", preserve, "--bundle"])
            .arg(bundle.path())
            .arg(&bundle.id)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    // One more is that of the listing itself.
    assert_eq!(run("0"), "0 1 2 3 ");
    assert_eq!(run("2"), "0 1 2 3 4 5 from outside");
}

#[test]
fn what_was_left_by_a_failure_is_nothing() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount(json!({"destination": "/x", "type": "no-such-fs", "source": "none"}));
    let error = bundle.run().failed();
    assert!(
        error.contains("no-such-fs") || error.contains("no such device"),
        "{error}"
    );
    assert!(!bundle.cgroup("memory").exists());
    assert!(!bundle.path().join("state").join(&bundle.id).exists());
    assert!(bundle.say(&["list", "-q"]).ok().is_empty());
}

#[test]
fn other_engines_find_errors_in_the_log_they_name() {
    if !able() {
        return;
    }
    let bundle = Bundle::new();
    let log = bundle.path().join("log.json");
    let status = bundle
        .command(&["--log-format", "json", "--log"])
        .arg(&log)
        .args(["start", "missing"])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    let line: serde_json::Value = serde_json::from_slice(&fs::read(log).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["msg"], "container does not exist: missing");
    let error = bundle.say(&["--systemd-cgroup", "list"]).failed();
    assert!(error.contains("--systemd-cgroup"), "{error}");
    bundle.say(&["features"]).ok();
}

#[test]
fn a_container_without_a_caller_ends() {
    if !able() {
        return;
    }
    // The caller is killed between create and start, when it holds the only handle.
    let mut bundle = Bundle::new();
    bundle.spec["hooks"] = json!({"createRuntime": [
        {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID; sleep 0.1"]}]});
    let mut run = bundle.spawn();
    run.wait().unwrap();
    let procs = bundle.cgroup("memory").join("cgroup.procs");
    until("its end", || {
        fs::read_to_string(&procs).map_or(true, |pids| pids.is_empty())
    });
}

#[test]
fn an_init_reaps_orphans_hands_signals_on_and_leaves_with_its_programs_status() {
    if !able() {
        return;
    }
    let with_init = |script: &str| {
        let mut bundle = Bundle::new();
        bundle.spec["process"]["args"] = json!(["/sbin/docker-init", "--", "sh", "-c", script]);
        bundle.mount(
            json!({"destination": "/sbin/docker-init", "source": bundle::program(),
            "options": ["bind", "ro"]}),
        );
        bundle
    };
    assert_eq!(with_init("exit 7").run().status, 7);
    assert_eq!(with_init("kill -9 $$").run().status, 137);
    // The program is not process 1, and its orphans do not stay.
    let out = with_init("echo $$; (sleep 0 &) ; usleep 100000; ps -o stat | grep -c Z")
        .run()
        .out;
    assert_eq!(out, "2\n0\n");
    let bundle = with_init("sleep 1000");
    bundle.start();
    // The kernel drops what comes before it listens.
    until("its program", || {
        bundle
            .say(&["ps", "-f", "json", &bundle.id])
            .out
            .contains(',')
    });
    bundle.say(&["kill", &bundle.id, "TERM"]).ok();
    until("its end", || bundle.status() == "stopped");
    // A filter that hides clone3 and forbids unshare, as the default one does.
    let mut filtered = with_init("exit 9");
    filtered.spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO"}]});
    assert_eq!(filtered.run().status, 9);
    let mut missing = with_init("");
    missing.spec["process"]["args"] = json!(["/sbin/docker-init", "--", "no-such-program"]);
    assert_eq!(missing.run().status, 127);
}
