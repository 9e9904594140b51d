//! What the tests of the shim share: a container of busybox, and its shim's client.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test support, of which each test program uses a part"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Process, Spec};
use serde_json::json;
use wharf_runtime::cgroup::Layout;
use wharf_runtime::shim::proto::{ExecRequest, Reply, Request, Streams};
use wharf_runtime::shim::{
    Client, ExitRecord, LogPlan, PlanRootfs, Program, ShimPlan, Size, SpawnError, Spawned,
    exit_path,
};

pub const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
};
pub const OUTPUT: Streams = Streams {
    stdin: false,
    stdout: true,
    stderr: true,
};

pub struct Box_ {
    pub dir: tempfile::TempDir,
    pub plan: ShimPlan,
    pub lower: Vec<std::os::fd::OwnedFd>,
}

/// How much slower than usual this machine is: `$WHARF_TEST_SLOWNESS`, for emulated ones.
fn slowness() -> u32 {
    let factor = std::env::var("WHARF_TEST_SLOWNESS").ok();
    factor
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
        .max(1)
}

pub fn wait<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20) * slowness();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn rootfs(at: &Path) {
    for name in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
        std::fs::create_dir_all(at.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", at.join("bin/busybox")).expect("busybox-static is installed");
    for applet in [
        "sh", "cat", "echo", "sleep", "seq", "stty", "head", "true", "touch", "kill", "tail",
        "test", "usleep",
    ] {
        std::os::unix::fs::symlink("busybox", at.join("bin").join(applet)).unwrap();
    }
}

pub fn process(args: &[&str], terminal: bool) -> Process {
    serde_json::from_value(json!({
        "terminal": terminal, "cwd": "/", "args": args, "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0}
    }))
    .unwrap()
}

impl Box_ {
    pub fn new(args: &[&str]) -> Box_ {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = dir.path().join("root");
        rootfs(&root);
        let held = dir.path().join("run");
        std::fs::create_dir(&held).unwrap();
        let spec: Spec = serde_json::from_value(json!({
            "ociVersion": "1.0.2",
            "process": process(args, false),
            "root": {"path": root},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}
        }))
        .unwrap();
        let id = format!(
            "shimtest{}",
            dir.path()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .replace('.', "")
        );
        let plan = ShimPlan {
            dir: held,
            spec,
            rootfs: PlanRootfs::Directory(root),
            layers: Vec::new(),
            layout: Layout::detect().unwrap(),
            cgroup: Some(PathBuf::from("wharf-shim-tests").join(&id)),
            id,
            seccomp: None,
            terminal: None,
            open_stdin: false,
            stdin_once: false,
            log: Some(LogPlan {
                path: dir.path().join("x-json.log"),
                max_size: 10 << 20,
                max_files: 2,
            }),
        };
        Box_ {
            dir,
            plan,
            lower: Vec::new(),
        }
    }

    /// One with this plan, whose directories are another's.
    pub fn of(plan: ShimPlan) -> Box_ {
        Box_ {
            dir: tempfile::tempdir_in("/var/tmp").unwrap(),
            plan,
            lower: Vec::new(),
        }
    }

    pub fn terminal(mut self) -> Box_ {
        let process = process(
            &self
                .plan
                .spec
                .process()
                .as_ref()
                .unwrap()
                .args()
                .clone()
                .unwrap()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
            true,
        );
        self.plan.spec.set_process(Some(process));
        self.plan.terminal = Some(Size {
            rows: 33,
            columns: 77,
        });
        self.plan.open_stdin = true;
        self
    }

    pub fn try_spawn(&self) -> Result<Spawned, SpawnError> {
        let me = std::env::current_exe().unwrap();
        let shim = me
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .join("examples/runtime-shim");
        Program::sealed(&shim, &[])
            .unwrap()
            .start(&self.plan, &self.lower)
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> wharf_runtime::cgroup::Cgroup {
        let path = self.plan.cgroup.as_ref().unwrap();
        wharf_runtime::cgroup::Cgroup::open(&self.plan.layout, path)
    }

    /// Whether a directory of its cgroup is there in any hierarchy.
    pub fn has_cgroup(&self) -> bool {
        let path = self.plan.cgroup.as_ref().unwrap();
        let mut hierarchies = self.plan.layout.hierarchies().iter();
        hierarchies.any(|hierarchy| hierarchy.mount().join(path).exists())
    }

    /// Changes its specification.
    pub fn with(mut self, change: impl FnOnce(&mut serde_json::Value)) -> Box_ {
        let mut spec = serde_json::to_value(&self.plan.spec).unwrap();
        change(&mut spec);
        self.plan.spec = serde_json::from_value(spec).unwrap();
        self
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.plan.dir).unwrap()
    }

    pub fn start(&self) {
        assert_eq!(self.client().ask(&Request::Start).unwrap(), Reply::Ok);
    }

    /// Attaches, starts, and gives both outputs and the exit code.
    pub fn run(&self) -> (String, String, i32) {
        self.try_spawn().unwrap();
        let mut attached = self.client();
        assert_eq!(attached.ask(&Request::Attach(OUTPUT)).unwrap(), Reply::Ok);
        self.start();
        let (out, err, code) = attached.output().unwrap();
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
            code,
        )
    }

    pub fn record(&self) -> ExitRecord {
        let text = wait("the record", || {
            std::fs::read(exit_path(&self.plan.dir)).ok()
        });
        serde_json::from_slice(&text).unwrap()
    }

    pub fn log(&self) -> String {
        let mut reader =
            wharf_runtime::log::Reader::open(&self.dir.path().join("x-json.log")).unwrap();
        let mut text = String::new();
        while let Some(record) = reader.next().unwrap() {
            text.push_str(&String::from_utf8(record.data).unwrap());
        }
        text
    }

    pub fn exec(
        &self,
        id: &str,
        args: &[&str],
        streams: Streams,
        terminal: Option<Size>,
    ) -> (Client, Reply) {
        let mut client = self.client();
        let request = Request::Exec(Box::new(ExecRequest {
            id: id.into(),
            process: process(args, terminal.is_some()),
            terminal,
            streams,
        }));
        let reply = client.ask(&request).unwrap();
        (client, reply)
    }
}

impl Drop for Box_ {
    fn drop(&mut self) {
        if let Ok(mut client) = Client::connect(&self.plan.dir) {
            let _ = client.ask(&Request::Signal {
                signal: 9,
                all: true,
                exec: None,
            });
        }
        for root in self.plan.layout.hierarchies() {
            let _ = std::fs::remove_dir(root.mount().join("wharf-shim-tests"));
        }
    }
}

/// A layer that is a directory over one that is an EROFS image, where there is a tool for that.
pub fn layers() -> (Vec<std::os::fd::OwnedFd>, tempfile::TempDir) {
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::{PermissionsExt, chown};
    use wharf_sys::mount::{ErofsReads, clone_tree, erofs};
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (top, base) = (dir.path().join("top"), dir.path().join("base"));
    rootfs(&base);
    for applet in ["id", "stat", "rm", "mkdir", "chown", "mount", "cut"] {
        std::os::unix::fs::symlink("busybox", base.join("bin").join(applet)).unwrap();
    }
    std::fs::create_dir_all(top.join("etc")).unwrap();
    for (path, owner) in [
        (base.join("etc/mine"), (0, 0)),
        (base.join("etc/webs"), (33, 34)),
        (base.join("etc/gone"), (0, 0)),
        (top.join("etc/outside"), (70_000, 70_000)),
    ] {
        std::fs::write(&path, "text\n").unwrap();
        chown(&path, Some(owner.0), Some(owner.1)).unwrap();
    }
    let set_user = PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(base.join("etc/webs"), set_user).unwrap();
    let open = |path: &Path| OwnedFd::from(std::fs::File::open(path).unwrap());
    let image = dir.path().join("base.erofs");
    let made = std::process::Command::new("mkfs.erofs")
        .arg(&image)
        .arg(&base)
        .output();
    let lower = match made {
        Ok(out) if out.status.success() => {
            erofs(open(&image).as_fd(), &[], ErofsReads::Buffered).unwrap()
        }
        _ => clone_tree(open(&base).as_fd(), wharf_sys::mount::Depth::One).unwrap(),
    };
    (vec![open(&top), lower], dir)
}

/// Whether there is such a process, and not only what is left of it until it is reaped.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("").starts_with('Z'))
}

pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
