//! An engine of a test's own, with an image of Debian's static busybox.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "tests; not every test file uses everything"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use wharf_engine::model::*;
use wharf_engine::{Engine, EngineOptions};
use wharf_images::{Images, ImportRequest};
use wharf_store::Store;
use wharf_store::store::StoreOptions;
use wharf_store::tar::{Entry, Kind, Writer};

/// The engine, its directory and its cgroup. Dropping it ends and removes everything.
pub(crate) struct Bench {
    engine: Option<Engine>,
    dir: tempfile::TempDir,
    cgroup: String,
}

/// What a container gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i64,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Containers need root; elsewhere these tests have nothing to say.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

impl Bench {
    pub(crate) async fn new() -> Bench {
        let dir = tempfile::Builder::new()
            .prefix("wharf-engine-")
            .tempdir_in("/var/tmp")
            .unwrap();
        prepare(&dir.path().join("data"));
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/wharf-engine-{}-{number}", std::process::id());
        let mut bench = Bench {
            engine: None,
            dir,
            cgroup,
        };
        bench.open().await;
        bench
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn exec(&self) -> PathBuf {
        self.dir.path().join("exec")
    }

    /// As a daemon that is stopped and started: containers go on.
    pub(crate) async fn reopen(&mut self) {
        self.reopen_after(async || {}).await;
    }

    /// As [`Self::reopen`], with something happening while there is no daemon.
    pub(crate) async fn reopen_after(&mut self, meanwhile: impl AsyncFnOnce()) {
        self.engine.take().unwrap().shutdown().await;
        meanwhile().await;
        self.open().await;
    }

    async fn open(&mut self) {
        // The store is free once the last task has let go of it; and processes that other tests
        // are just forking have a copy of its lock until they exec.
        let began = Instant::now();
        loop {
            let mut options = EngineOptions::new(self.data(), self.exec(), vec![shim()]);
            options.cgroup_parent.clone_from(&self.cgroup);
            options.init_program = Some(shim().into());
            // The host's own network is not for tests to change.
            options.network.bridge = None;
            match Engine::open(options).await {
                Ok(engine) => {
                    self.engine = Some(engine);
                    return;
                }
                Err(error) if began.elapsed() > Duration::from_secs(10) * slowness() => {
                    panic!("{error}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// The shim of a running container: the parent of its first process.
    pub(crate) async fn shim_of(&self, container: &str) -> i32 {
        let pid = self.state(container).await.pid;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .and_then(|text| text.trim().parse().ok())
            .unwrap()
    }

    pub(crate) async fn kill_shim(&self, container: &str) {
        kill(self.shim_of(container).await);
    }

    pub(crate) async fn create(
        &self,
        name: &str,
        change: impl FnOnce(&mut ContainerSpec),
    ) -> String {
        self.try_create(name, change).await.unwrap()
    }

    pub(crate) async fn try_create(
        &self,
        name: &str,
        change: impl FnOnce(&mut ContainerSpec),
    ) -> wharf_engine::Result<String> {
        let mut spec = ContainerSpec {
            image: "busybox".into(),
            ..ContainerSpec::default()
        };
        change(&mut spec);
        let request = CreateRequest {
            name: (!name.is_empty()).then(|| name.to_owned()),
            spec,
            platform: None,
        };
        Ok(self.engine().create(request).await?.id)
    }

    /// A container that runs a shell script until it ends, and what it gave.
    pub(crate) async fn run(&self, script: &str) -> Ran {
        self.run_with(script, |_| {}).await
    }

    pub(crate) async fn run_with(
        &self,
        script: &str,
        change: impl FnOnce(&mut ContainerSpec),
    ) -> Ran {
        let id = self
            .create("", |spec| {
                spec.cmd = Some(words(&["sh", "-c", script]));
                change(spec);
            })
            .await;
        self.run_created(&id).await
    }

    pub(crate) async fn run_created(&self, id: &str) -> Ran {
        let attachment = self.engine().attach(id, both()).await.unwrap();
        let wait = self
            .engine()
            .wait(id, WaitCondition::NextExit)
            .await
            .unwrap();
        self.engine().start(id).await.unwrap();
        let (stdout, stderr) = collect(attachment).await;
        Ran {
            stdout,
            stderr,
            code: wait.finished().await.code,
        }
    }

    /// A container that sleeps.
    pub(crate) async fn sleeper(&self, name: &str) -> String {
        let id = self
            .create(name, |spec| {
                spec.cmd = Some(words(&["sleep", "1000"]));
            })
            .await;
        self.engine().start(&id).await.unwrap();
        id
    }

    pub(crate) async fn state(&self, container: &str) -> ContainerState {
        self.engine().inspect(container, false).await.unwrap().state
    }

    /// Runs a command in a container.
    pub(crate) async fn exec_in(&self, container: &str, command: &[&str]) -> Ran {
        let engine = self.engine();
        let spec = ExecSpec {
            cmd: words(command),
            attach_stdout: true,
            attach_stderr: true,
            ..ExecSpec::default()
        };
        let id = engine.exec_create(container, spec).await.unwrap();
        let attachment = engine
            .exec_start(&id, ExecStart::default())
            .await
            .unwrap()
            .unwrap();
        let (stdout, stderr) = collect(attachment).await;
        let view = engine.exec_inspect(&id).await.unwrap();
        Ran {
            stdout,
            stderr,
            code: i64::from(view.exit_code.expect("it ended before its output did")),
        }
    }

    /// The actions journalled about containers.
    pub(crate) async fn story(&self) -> Vec<String> {
        let query = EventQuery {
            since: Some(0),
            until: Some(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()),
            filters: [("type".to_owned(), vec!["container".to_owned()])].into(),
        };
        let mut events = self.engine().events(query).await.unwrap();
        let mut actions = Vec::new();
        while let Some(event) = events.recv().await {
            actions.push(event.unwrap().action);
        }
        actions
    }

    /// Processes in the cgroups of this engine's containers.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for root in cgroup_roots() {
            walk(
                &root.join(self.cgroup.trim_start_matches('/')),
                &mut |dir| {
                    if let Ok(text) = std::fs::read_to_string(dir.join("cgroup.procs")) {
                        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
                    }
                },
            );
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for _ in 0..500 {
            let pids = self.processes();
            if pids.is_empty() {
                break;
            }
            for pid in pids {
                kill(pid);
            }
            pause();
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
                pause();
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "nobody tells when a cgroup has become empty"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// SIGKILL to a process of a test's own container.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// How much slower than usual this machine is: `$WHARF_TEST_SLOWNESS`, for emulated ones.
fn slowness() -> u32 {
    let factor = std::env::var("WHARF_TEST_SLOWNESS").ok();
    factor
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
        .max(1)
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        let patience = Duration::from_secs(20) * slowness();
        assert!(began.elapsed() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn both() -> AttachOptions {
    AttachOptions {
        stream: true,
        stdout: true,
        stderr: true,
        ..AttachOptions::default()
    }
}

/// Both streams to their end.
pub(crate) async fn collect(mut attachment: Attachment) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(output) = attachment.output.recv().await {
        match output.stream {
            StdStream::Stderr => stderr.extend(output.data),
            _ => stdout.extend(output.data),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr))
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

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
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(dir);
}

/// The example beside this test's own binary.
fn shim() -> String {
    let own = std::env::current_exe().unwrap();
    let debug = own.parent().unwrap().parent().unwrap();
    let shim = debug.join("examples/shim");
    assert!(shim.exists(), "{}", shim.display());
    shim.display().to_string()
}

/// A data root that has the image.
fn prepare(data: &Path) {
    let store = Store::open(data, &StoreOptions::default()).unwrap();
    let images = Images::open(store).unwrap();
    let request = ImportRequest {
        name: Some("busybox".parse().unwrap()),
        changes: &["CMD [\"sh\"]".to_owned(), "ENV FROM_IMAGE=yes".to_owned()],
        message: "",
        platform: None,
    };
    let archive = archive();
    images.import(&mut archive.as_slice(), &request).unwrap();
}

const APPLETS: [&str; 24] = [
    "cat", "chmod", "date", "df", "echo", "env", "false", "grep", "hostname", "id", "ls", "mkdir",
    "mount", "ps", "pwd", "rm", "seq", "sh", "sleep", "stty", "touch", "true", "wc", "yes",
];

fn archive() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut writer = Writer::new(Vec::new());
    for dir in ["bin", "etc", "root", "tmp", "var", "data"] {
        let mut entry = Entry::new(dir.as_bytes().to_vec(), Kind::Directory);
        entry.mode = 0o755;
        writer.append(&entry, &mut std::io::empty()).unwrap();
    }
    let mut file = |path: &str, mode: u32, data: &[u8]| {
        let mut entry = Entry::new(path.as_bytes().to_vec(), Kind::File);
        entry.mode = mode;
        entry.size = data.len() as u64;
        writer.append(&entry, &mut { data }).unwrap();
    };
    file("bin/busybox", 0o755, &busybox);
    file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\n",
    );
    file(
        "etc/group",
        0o644,
        b"root:x:0:\nuser:x:1000:\nstaff:x:50:user\n",
    );
    file("etc/noexec", 0o644, b"not a program\n");
    file("data/from-image", 0o644, b"image\n");
    for applet in APPLETS {
        let mut entry = Entry::new(format!("bin/{applet}").into_bytes(), Kind::Symlink);
        entry.link = b"busybox".to_vec();
        entry.mode = 0o777;
        writer.append(&entry, &mut std::io::empty()).unwrap();
    }
    writer.finish().unwrap()
}
