//! A daemon of our own, in namespaces of its own.
//!
//! The namespaces belong to a process that only sleeps, and outlive the daemon as a host does:
//! bridges, flows and mounts are there when it comes back. `$WHARF_TEST_PEER` names a dockerd to
//! run in Wharf's place: what a test expects of Docker is checked on Docker itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::{self, Client, Ran, wharf_binary};
use crate::{Answer, eventually, fixture};

/// How a daemon differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further flags of `wharf daemon`.
    pub flags: Vec<String>,
    /// Commands run (by `sh`) inside the namespaces before the daemon, one per line.
    /// `$WHARF_TEST_DIR` is the daemon's directory.
    pub prepare: String,
}

/// A running daemon. Dropping it ends and removes everything.
#[derive(Debug)]
pub struct Daemon {
    child: Option<Child>,
    /// Whose namespaces they are.
    host: Option<Child>,
    options: Options,
    dir: PathBuf,
    cgroup: String,
    keep: Option<tempfile::TempDir>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Daemon {
    /// A daemon with no image.
    pub fn empty() -> Self {
        Self::with(Options::default())
    }

    /// A daemon that has `busybox:latest`.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// A daemon with options that has `busybox:latest`.
    #[track_caller]
    pub fn start_with(options: Options) -> Self {
        let daemon = Self::with(options);
        daemon.load(&std::fs::read(fixture::busybox_archive()).expect("fixture"));
        daemon
    }

    /// A daemon with options and no image.
    #[track_caller]
    pub fn with(options: Options) -> Self {
        // Not on tmpfs: an overlay's upper layer wants a real file system with xattrs.
        let keep = tempfile::Builder::new()
            .prefix("wharf-test-")
            .tempdir_in("/var/tmp")
            .expect("temporary directory");
        let dir = keep.path().to_owned();
        let cgroup = format!(
            "/wharf-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut daemon = Self {
            child: None,
            host: None,
            options,
            dir,
            cgroup,
            keep: Some(keep),
        };
        daemon.launch();
        daemon
    }

    /// Makes the namespaces: a host with nothing but loopback and an empty `/run`.
    fn boot(&self) -> Child {
        let ready = self.dir.join("booted");
        let script = format!(
            "set -e; mkdir -p '{dir}/run'; mount --bind '{dir}/run' /run; ip link set lo up\n{prepare}\n\
             touch '{ready}'; exec sleep infinity",
            dir = self.dir.display(),
            prepare = self.options.prepare,
            ready = ready.display(),
        );
        let mut host = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private"])
            .args(["sh", "-c", &script])
            .env("WHARF_TEST_DIR", &self.dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare runs (util-linux)");
        eventually("the namespaces are there", || {
            assert!(
                host.try_wait().expect("wait").is_none(),
                "the test's host could not be prepared"
            );
            ready.exists().then_some(())
        });
        host
    }

    /// A program in the daemon's namespaces: what a user would do on the host.
    pub fn on_host(&self, program: &str, args: &[&str]) -> Command {
        let host = self.host.as_ref().expect("it was launched").id();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &host.to_string(), "--mount", "--net", "--wd=/"])
            .arg("--")
            .arg(program)
            .args(args);
        command
    }

    /// Runs a shell script on the host and insists on success.
    #[track_caller]
    pub fn host(&self, script: &str) -> String {
        self.host_runs(script).ok()
    }

    /// Runs a shell script on the host.
    #[track_caller]
    pub fn host_runs(&self, script: &str) -> Ran {
        client::run(&mut self.on_host("sh", &["-c", script]), b"")
    }

    /// Whether a dockerd stands in for Wharf.
    pub fn is_peer() -> bool {
        std::env::var_os("WHARF_TEST_PEER").is_some()
    }

    /// The daemon's program with what every daemon is told.
    fn program(&self) -> Command {
        let peer = std::env::var("WHARF_TEST_PEER").ok();
        let binary = wharf_binary_or(peer.as_deref());
        let mut command = self.on_host(&binary, &[]);
        if peer.is_none() {
            let layers = std::env::var("WHARF_TEST_LAYERS").unwrap_or_else(|_| "auto".into());
            command.arg("daemon");
            command.args(["--storage-opt", &format!("layers={layers}")]);
        } else {
            // We have no proxy, and it changes what is listed: IPv6 that it turns into IPv4.
            command.arg("--userland-proxy=false");
        }
        command
    }

    /// Starts the process, on the host that is there or (the first time) on a new one.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        if self.host.is_none() {
            self.host = Some(self.boot());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("daemon.log"))
            .expect("log");
        let child = self
            .program()
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .arg("--data-root")
            .arg(self.dir.join("data"))
            .arg("--exec-root")
            .arg(self.dir.join("exec"))
            .args(["--cgroup-parent", &self.cgroup])
            .arg("--pidfile")
            .arg(self.dir.join("pid"))
            .args(&self.options.flags)
            .env("WHARF_TEST_DIR", &self.dir)
            .env_remove("DOCKER_HOST")
            .env_remove("WHARF_HOST")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("nsenter runs (util-linux)");
        self.child = Some(child);
        let mut ended = None;
        let socket = self.socket();
        let child = self.child.as_mut().expect("just started");
        eventually("the daemon answers", || {
            if let Ok(Some(status)) = child.try_wait() {
                ended = Some(status);
                return Some(());
            }
            std::os::unix::net::UnixStream::connect(&socket)
                .ok()
                .map(|_| ())
        });
        assert!(
            ended.is_none(),
            "the daemon ended: {ended:?}\n{}",
            self.log()
        );
    }

    /// The API socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("wharf.sock")
    }

    /// The test's own directory: data root, exec root and log live here.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `--data-root`.
    pub fn data_root(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// `--exec-root`.
    pub fn exec_root(&self) -> PathBuf {
        self.dir.join("exec")
    }

    /// The parent cgroup of its containers.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Host pid of the daemon.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        // `nsenter` execs in place: the child is the daemon.
        self.child.as_ref().expect("it runs").id()
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("daemon.log")).unwrap_or_default()
    }

    /// kill -9, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for its end; gives the exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        signal(child.id(), rustix::process::Signal::TERM);
        eventually("the daemon ends on SIGTERM", || {
            child.try_wait().ok().flatten()
        })
        .code()
    }

    /// Runs a client with these arguments.
    #[track_caller]
    pub fn run(&self, client: Client, args: &[&str]) -> Ran {
        self.feed(client, args, b"")
    }

    /// Runs a client and feeds its standard input.
    #[track_caller]
    pub fn feed(&self, client: Client, args: &[&str], input: &[u8]) -> Ran {
        client::run(&mut self.command(client, args), input)
    }

    /// A client, ready to be spawned otherwise.
    pub fn command(&self, client: Client, args: &[&str]) -> Command {
        let mut command = Command::new(client.program());
        command
            .args(args)
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.dir.join("client"))
            .env("HOME", &self.dir)
            .env_remove("WHARF_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_API_VERSION");
        command
    }

    /// Runs the docker CLI and insists on success.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        self.run(Client::Docker, args).ok()
    }

    /// Runs `wharf` and insists on success.
    #[track_caller]
    pub fn wharf(&self, args: &[&str]) -> String {
        self.run(Client::Wharf, args).ok()
    }

    /// Runs a client in a pseudo-terminal (by `script`), feeding it `input`.
    pub fn terminal(&self, client: Client, args: &[&str]) -> Command {
        let quoted: Vec<String> = std::iter::once(client.program().display().to_string())
            .chain(args.iter().map(|a| (*a).to_owned()))
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let mut command = self.command(client, &[]);
        let mut script = Command::new("script");
        script.args([
            "-qefc",
            &format!("stty cols 80 rows 24; {}", quoted.join(" ")),
            "/dev/null",
        ]);
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => script.env(key, value),
                None => script.env_remove(key),
            };
        }
        command = script;
        command.env("TERM", "xterm");
        command
    }

    /// One API request without body.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        crate::request(&self.socket(), "GET", path, &[], b"")
    }

    /// One API request with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).expect("json")
        };
        crate::request(
            &self.socket(),
            "POST",
            path,
            &[("Content-Type", "application/json")],
            &body,
        )
    }

    /// One API DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        crate::request(&self.socket(), "DELETE", path, &[], b"")
    }

    /// Loads an image archive over the API and gives the progress text.
    #[track_caller]
    pub fn load(&self, archive: &[u8]) -> String {
        let answer = crate::request(
            &self.socket(),
            "POST",
            "/images/load?quiet=1",
            &[("Content-Type", "application/x-tar")],
            archive,
        );
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            answer.status == 200 && !text.contains("errorDetail"),
            "load: {} {text}\n{}",
            answer.status,
            self.log()
        );
        text
    }

    /// Files of layers in the store, by name. What the store keeps for itself is not among them.
    pub fn layer_files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data_root().join("layers")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.len() >= 64)
            .collect()
    }

    /// Pids in the cgroups of this daemon's containers: what is left when nothing should be.
    pub fn processes(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for root in cgroup_roots() {
            let top = root.join(self.cgroup.trim_start_matches('/'));
            walk(&top, &mut |dir| {
                if let Ok(text) = std::fs::read_to_string(dir.join("cgroup.procs")) {
                    pids.extend(text.lines().filter_map(|l| l.parse::<u32>().ok()));
                }
            });
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

/// The program to run as the daemon.
fn wharf_binary_or(peer: Option<&str>) -> String {
    peer.map_or_else(
        || wharf_binary().display().to_string(),
        std::borrow::ToOwned::to_owned,
    )
}

/// Where cgroup hierarchies are mounted, of either version.
fn cgroup_roots() -> Vec<PathBuf> {
    std::fs::read_to_string("/proc/self/mounts")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (path, kind) = (words.next()?, words.next()?);
            kind.starts_with("cgroup").then(|| PathBuf::from(path))
        })
        .collect()
}

fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(dir);
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- daemon log ---\n{}", self.log());
        }
        if Self::is_peer() {
            // It has a containerd of its own to end.
            if let Some(mut child) = self.child.take() {
                for pid in self.processes() {
                    signal(pid, rustix::process::Signal::KILL);
                }
                signal(child.id(), rustix::process::Signal::TERM);
                let _ = child.wait();
            }
        }
        self.kill();
        // Containers outlive the daemon, by design: end them by their cgroups.
        for _ in 0..200 {
            let pids = self.processes();
            if pids.is_empty() {
                break;
            }
            for pid in pids {
                signal(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        for root in cgroup_roots() {
            let top = root.join(self.cgroup.trim_start_matches('/'));
            for _ in 0..100 {
                walk(&top, &mut |dir| {
                    let _ = std::fs::remove_dir(dir);
                });
                if !top.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        if let Some(mut host) = self.host.take() {
            let _ = host.kill();
            let _ = host.wait();
        }
        if let Some(keep) = self.keep.take() {
            let _ = keep.close();
        }
    }
}
