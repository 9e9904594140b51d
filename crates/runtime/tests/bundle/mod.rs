//! Bundles with Debian's static busybox, and the runtime's command line over them.
//!
//! Nothing is left behind: a bundle's directory, its containers and its cgroups go with it. What
//! a container mounts is in its own mount namespace, so the host's is never touched.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test support, of which each test program uses a part"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BUSYBOX: &str = "/bin/busybox";

const APPLETS: [&str; 43] = [
    "awk", "cat", "chmod", "cp", "cut", "dd", "echo", "env", "false", "find", "grep", "head",
    "hostname", "id", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nproc", "ps", "pwd",
    "readlink", "rm", "sed", "seq", "setsid", "sh", "sleep", "sort", "stat", "stty", "tail",
    "test", "touch", "tr", "true", "tty", "umount", "usleep", "wc",
];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether containers can be made here. Where not, a test says so and passes.
pub fn able() -> bool {
    let able = rustix::process::geteuid().is_root() && Path::new(BUSYBOX).exists();
    if !able {
        eprintln!("skipped: needs root and {BUSYBOX}");
    }
    able
}

/// A bundle, and at most one container of it.
pub struct Bundle {
    directory: tempfile::TempDir,
    pub spec: Value,
    pub id: String,
    pub program: PathBuf,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// The output of a command that went well.
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self.out.trim_end().to_owned()
    }

    /// The error of a command that must not go well.
    pub fn failed(self) -> String {
        assert_ne!(self.status, 0, "{}{}", self.out, self.err);
        self.err
    }
}

impl Bundle {
    /// A bundle that runs `sh -c script`.
    pub fn script(script: &str) -> Bundle {
        let mut bundle = Bundle::new();
        bundle.spec["process"]["args"] = json!(["sh", "-c", script]);
        bundle
    }

    /// A bundle that runs a shell.
    pub fn new() -> Bundle {
        let directory = tempfile::Builder::new()
            .prefix("wharf-runtime-")
            .tempdir()
            .unwrap();
        let root = directory.path().join("rootfs");
        for name in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n";
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("test-{}-{number}", std::process::id());
        let out = Command::new(program())
            .args(["spec", "--bundle"])
            .arg(directory.path())
            .output()
            .unwrap();
        Said::from(out).ok();
        let config = directory.path().join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        fs::remove_file(config).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["sh"]);
        spec["process"]["noNewPrivileges"] = json!(false);
        spec["root"]["readonly"] = json!(false);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", Bundle::parent()));
        Bundle {
            directory,
            spec,
            id,
            program: program(),
        }
    }

    /// The cgroup all containers of this test program are under.
    pub fn parent() -> String {
        format!("wharf-runtime-test-{}", std::process::id())
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    fn state_root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The container's cgroup in the hierarchy of a controller.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        let path = self.spec["linux"]["cgroupsPath"].as_str().unwrap();
        let v1 = Path::new("/sys/fs/cgroup").join(controller);
        let hierarchy = if v1.is_dir() {
            v1
        } else {
            PathBuf::from("/sys/fs/cgroup")
        };
        hierarchy.join(path.trim_start_matches('/'))
    }

    /// Add mounts.
    pub fn mount(&mut self, mount: Value) -> &mut Bundle {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    /// Leave the namespaces of a kind to the host.
    pub fn share(&mut self, kind: &str) -> &mut Bundle {
        self.spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|namespace| namespace["type"] != kind);
        self
    }

    pub fn write_config(&self) {
        let text = serde_json::to_vec(&self.spec).unwrap();
        fs::write(self.path().join("config.json"), text).unwrap();
    }

    /// A command of the runtime, to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(self.state_root())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Run a command of the runtime.
    pub fn say(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// Run the container to its end.
    pub fn run(&self) -> Said {
        self.write_config();
        let bundle = self.path().to_str().unwrap();
        self.say(&["run", "--bundle", bundle, &self.id])
    }

    /// Create it, without waiting for what it prints.
    pub fn create(&self) -> Said {
        self.write_config();
        let bundle = self.path().to_str().unwrap();
        let mut command = self.command(&["create", "--bundle", bundle, &self.id]);
        // The container keeps its streams for as long as it lives: they must not be pipes of
        // ours that somebody reads to the end.
        let log = |name: &str| fs::File::create(self.path().join(name)).unwrap();
        let status = command
            .stdout(log("out"))
            .stderr(log("err"))
            .status()
            .unwrap();
        Said {
            status: status.code().unwrap_or(-1),
            out: self.output(),
            err: fs::read_to_string(self.path().join("err")).unwrap(),
        }
    }

    /// What a created container printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.path().join("out")).unwrap()
    }

    /// Create and start it.
    pub fn start(&self) {
        self.create().ok();
        self.say(&["start", &self.id]).ok();
    }

    /// Run `sh -c script` in the running container.
    pub fn exec(&self, script: &str) -> Said {
        self.say(&["exec", &self.id, "sh", "-c", script])
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    pub fn state(&self) -> Value {
        let state = self.say(&["state", &self.id]).ok();
        serde_json::from_str(&state).unwrap()
    }

    /// Run the container in the background.
    pub fn spawn(&self) -> Child {
        self.write_config();
        let bundle = self.path().to_str().unwrap();
        self.command(&["run", "--bundle", bundle, &self.id])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.say(&["delete", "--force", &self.id]);
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let parents = hierarchies
            .map(|entry| entry.path())
            .chain([PathBuf::from("/sys/fs/cgroup")]);
        for hierarchy in parents {
            let parent = hierarchy.join(Bundle::parent());
            // The container's own is left only if the runtime was killed; the parent may still be
            // in use by another test.
            let _ = fs::remove_dir(parent.join(&self.id));
            let _ = fs::remove_dir(parent);
        }
    }
}

/// The example program, which cargo builds beside the tests.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    profile.join("examples/wharf-runtime")
}

/// How much slower than usual this machine is: `$WHARF_TEST_SLOWNESS`, for emulated ones.
fn slowness() -> u32 {
    let factor = std::env::var("WHARF_TEST_SLOWNESS").ok();
    factor
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
        .max(1)
}

/// Wait until something is so.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20) * slowness();
    while !condition() {
        assert!(Instant::now() < deadline, "never came: {what}");
        let _ = rustix::thread::nanosleep(&rustix::thread::Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        });
    }
}
