//! Images made on the spot, as no hub is reachable: Debian's static busybox, and crafted archives.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest, Sha256};

/// A tar under construction, with every field in the caller's hands.
pub struct Archive(tar::Builder<Vec<u8>>);

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Archive")
    }
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    /// A regular file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, data: &[u8]) -> Self {
        self.owned_file(path, mode, (0, 0), data)
    }

    /// A regular file that belongs to somebody.
    #[must_use]
    pub fn owned_file(
        mut self,
        path: &str,
        mode: u32,
        (uid, gid): (u64, u64),
        data: &[u8],
    ) -> Self {
        let mut header = Self::header(tar::EntryType::Regular, mode, data.len() as u64);
        header.set_uid(uid);
        header.set_gid(gid);
        set_path(&mut header, path);
        self.0.append(&header, data).expect("append");
        self
    }

    /// A directory.
    #[must_use]
    pub fn dir(mut self, path: &str, mode: u32) -> Self {
        let mut header = Self::header(tar::EntryType::Directory, mode, 0);
        set_path(&mut header, path);
        self.0.append(&header, &[][..]).expect("append");
        self
    }

    /// A symbolic link, its target taken as it is.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, path, target)
    }

    /// A hard link, its target taken as it is.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Link, path, target)
    }

    fn link(mut self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0o777, 0);
        set_path(&mut header, path);
        // By hand, so that hostile targets are written as they are.
        let field = &mut header.as_old_mut().linkname;
        field[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, &[][..]).expect("append");
        self
    }

    /// A character device.
    #[must_use]
    pub fn char_device(mut self, path: &str, major: u32, minor: u32) -> Self {
        let mut header = Self::header(tar::EntryType::Char, 0o666, 0);
        header.set_device_major(major).expect("gnu header");
        header.set_device_minor(minor).expect("gnu header");
        set_path(&mut header, path);
        self.0.append(&header, &[][..]).expect("append");
        self
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("finish")
    }
}

/// Writes the name as it is: `tar` would refuse `../` and absolute names, which is what we test.
fn set_path(header: &mut tar::Header, path: &str) {
    let field = &mut header.as_old_mut().name;
    assert!(path.len() <= field.len(), "fixture names are short");
    field[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
}

/// `sha256:<hex>` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A docker archive (the `manifest.json` form) of one image with these layers, bottom first.
/// `config` is merged over a plain Linux one.
pub fn image_archive(name: &str, layers: &[Vec<u8>], config: &serde_json::Value) -> Vec<u8> {
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let image = json!({
        "architecture": architecture,
        "os": "linux",
        "created": "2026-01-02T03:04:05.678Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| digest(l)).collect::<Vec<_>>()},
        "history": layers.iter().enumerate().map(|(n, _)| json!({
            "created": "2026-01-02T03:04:05Z", "created_by": format!("layer {n}")
        })).collect::<Vec<_>>(),
    });
    let image = serde_json::to_vec(&image).expect("json");
    let config_name = format!("{}.json", &digest(&image)[7..]);
    let mut archive = Archive::new().file(&config_name, 0o644, &image);
    let mut names = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        let name = format!("layer{n}/layer.tar");
        archive = archive.file(&name, 0o644, layer);
        names.push(name);
    }
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    archive
        .file(
            "manifest.json",
            0o644,
            &serde_json::to_vec(&manifest).expect("json"),
        )
        .finish()
}

/// Busybox's applets that the tests use.
const APPLETS: &[&str] = &[
    "sh",
    "ls",
    "cat",
    "echo",
    "true",
    "false",
    "sleep",
    "id",
    "env",
    "pwd",
    "ps",
    "kill",
    "mount",
    "umount",
    "touch",
    "mkdir",
    "rm",
    "ln",
    "cp",
    "mv",
    "chmod",
    "chown",
    "stat",
    "head",
    "tail",
    "wc",
    "grep",
    "sed",
    "awk",
    "dd",
    "df",
    "hostname",
    "date",
    "seq",
    "yes",
    "test",
    "printf",
    "tr",
    "sort",
    "find",
    "xargs",
    "ip",
    "ifconfig",
    "nc",
    "readlink",
    "stty",
    "tty",
    "md5sum",
    "sha256sum",
    "od",
    "hexdump",
    "vi",
    "top",
    "uname",
    "whoami",
    "cut",
    "tee",
    "trap",
    "usleep",
    "time",
    "nproc",
    "free",
    "mknod",
    "unshare",
    "nsenter",
    "su",
    "chroot",
    "setsid",
    "realpath",
    "basename",
    "dirname",
    "expr",
    "mkfifo",
    "truncate",
    "du",
    "tar",
    "gzip",
    "arping",
    "httpd",
    "nslookup",
    "ping",
    "ping6",
    "route",
    "telnet",
    "timeout",
    "udhcpd",
    "wget",
];

/// The root file system of the `busybox` fixture as a layer tar.
pub fn layer_tar() -> Vec<u8> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .expect("busybox-static is not installed: run tests/setup.sh");
    let mut archive = Archive::new()
        .dir("bin/", 0o755)
        .file("bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        archive = archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    archive
        .dir("dev/", 0o755)
        .dir("etc/", 0o755)
        .file(
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nuser:x:1000:1000:A user:/home/user:/bin/sh\n",
        )
        .file("etc/group", 0o644, b"root:x:0:\ndaemon:x:1:\nuser:x:1000:\nextra:x:2000:user\nmore:x:2001:user\n")
        .dir("home/", 0o755)
        .dir("proc/", 0o555)
        .dir("root/", 0o700)
        .dir("sys/", 0o555)
        .dir("tmp/", 0o1777)
        .dir("usr/", 0o755)
        .dir("var/", 0o755)
        .finish()
}

/// The `busybox:latest` fixture as a docker archive on disk, made once per process.
pub fn busybox_archive() -> PathBuf {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("busybox.tar");
        let config = json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
        });
        std::fs::write(
            &path,
            image_archive("busybox:latest", &[layer_tar()], &config),
        )
        .expect("write");
        (dir, path)
    })
    .1
    .clone()
}
