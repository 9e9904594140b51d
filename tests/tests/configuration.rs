//! The daemon's configuration and certificates, changed while it runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wharf_tests::{Client, Daemon, Options, eventually, signal};

fn with_file(content: &str) -> Daemon {
    Daemon::with(Options {
        flags: vec!["--config-file".into(), "/run/daemon.json".into()],
        prepare: format!("printf '%s' '{content}' > /run/daemon.json"),
    })
}

fn labels(daemon: &Daemon) -> String {
    daemon.docker(&["info", "-f", "{{json .Labels}}"])
}

#[test]
fn the_file_is_applied_within_a_second_of_its_change_and_a_broken_one_changes_nothing() {
    let daemon = with_file(r#"{"labels": ["at=first"]}"#);
    let file = daemon.dir().join("run/daemon.json");
    assert_eq!(labels(&daemon), r#"["at=first"]"#);
    let replace = |content: &str| {
        fs::write(file.with_extension("new"), content).unwrap();
        fs::rename(file.with_extension("new"), &file).unwrap();
    };
    let started = Instant::now();
    replace(r#"{"labels": ["at=second"]}"#);
    eventually("the second", || {
        (labels(&daemon) == r#"["at=second"]"#).then_some(())
    });
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    replace(r#"{"labels": ["at=third"], "no-such-key": 1}"#);
    eventually("it is said", || {
        daemon.log().contains("no-such-key").then_some(())
    });
    replace(r#"{"labels": ["#);
    eventually("that, too", || {
        (daemon
            .log()
            .matches("the configuration stays as it is")
            .count()
            >= 2)
            .then_some(())
    });
    assert_eq!(labels(&daemon), r#"["at=second"]"#);
    // What cannot change now is said by name, and the rest is applied.
    replace(r#"{"labels": ["at=fourth"], "default-shm-size": "1m"}"#);
    eventually("the fourth", || {
        (labels(&daemon) == r#"["at=fourth"]"#).then_some(())
    });
    assert!(
        daemon
            .log()
            .contains("default-shm-size can change only when the daemon starts"),
        "{}",
        daemon.log()
    );
    eventually("an event for each that was applied", || {
        let told = daemon.docker(&[
            "events",
            "--since",
            "10m",
            "--until",
            "0s",
            "--filter",
            "event=reload",
            "--format",
            "{{.Type}} {{.Action}}",
        ]);
        (told == "daemon reload\ndaemon reload").then_some(())
    });
}

#[test]
fn a_hangup_reloads_and_says_so_even_when_nothing_changed() {
    let daemon = with_file("{}");
    signal(daemon.pid(), rustix::process::Signal::HUP);
    eventually("it is said", || {
        daemon
            .log()
            .contains("Got signal to reload configuration")
            .then_some(())
    });
    eventually("and done", || {
        daemon
            .log()
            .contains("Reloaded configuration")
            .then_some(())
    });
}

/// An authority, a certificate of the server's for 127.0.0.1 and one for a client.
fn certificates(dir: &Path, name: &str) {
    let script = format!(
        "set -e; cd '{dir}'; \
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
           -keyout ca.key -out ca.pem -subj '/CN=authority {name}' 2>/dev/null; \
         for who in tls client; do \
           openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $who.key \
             -out $who.csr -subj \"/CN={name} $who\" 2>/dev/null; \
           printf 'subjectAltName=IP:127.0.0.1\n' > ext; \
           openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile ext -out $who.crt 2>/dev/null; \
         done",
        dir = dir.display()
    );
    let made = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(made.success(), "openssl is installed");
}

/// The docker CLI over TLS, in the daemon's own network.
fn over_tls(daemon: &Daemon, certificates: &Path) -> (bool, String) {
    let file = |name: &str| certificates.join(name).display().to_string();
    let out = Command::new("nsenter")
        .args(["--net", "--target", &daemon.pid().to_string(), "docker"])
        .args(["-H", "tcp://127.0.0.1:2376", "--tlsverify"])
        .args(["--tlscacert", &file("ca.pem")])
        .args([
            "--tlscert",
            &file("client.crt"),
            "--tlskey",
            &file("client.key"),
        ])
        .args(["version", "-f", "{{.Server.Version}}"])
        .env("HOME", daemon.dir())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), text)
}

#[test]
fn certificates_in_a_kubernetes_secret_are_taken_over_when_the_secret_is_swapped() {
    let secret = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| secret.path().join(name);
    for version in ["..first", "..second"] {
        fs::create_dir(at(version)).unwrap();
        certificates(&at(version), &version[2..]);
    }
    symlink("..first", at("..data")).unwrap();
    for file in ["ca.pem", "tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), at(file)).unwrap();
    }
    let flag = |name: &str, file: &str| [name.to_owned(), at(file).display().to_string()];
    let daemon = Daemon::with(Options {
        flags: [
            flag("--tlscacert", "ca.pem"),
            flag("--tlscert", "tls.crt"),
            flag("--tlskey", "tls.key"),
        ]
        .concat()
        .into_iter()
        .chain([
            "--tlsverify".into(),
            "--host".into(),
            "tcp://127.0.0.1:2376".into(),
        ])
        .collect(),
        prepare: String::new(),
    });
    eventually("TLS with the first", || {
        over_tls(&daemon, &at("..first")).0.then_some(())
    });
    let (refused, _) = over_tls(&daemon, &at("..second"));
    assert!(!refused, "a client of another authority");
    let started = Instant::now();
    symlink("..second", at("..tmp")).unwrap();
    fs::rename(at("..tmp"), at("..data")).unwrap();
    eventually("TLS with the second", || {
        over_tls(&daemon, &at("..second")).0.then_some(())
    });
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert!(
        !over_tls(&daemon, &at("..first")).0,
        "the first client is nobody's now"
    );
    // A broken one changes nothing and is said.
    fs::write(at("..second").join("tls.crt"), "rubbish").unwrap();
    eventually("it is said", || {
        daemon
            .log()
            .contains("the certificates stay as they are")
            .then_some(())
    });
    assert!(over_tls(&daemon, &at("..second")).0);
    assert!(daemon.run(Client::Docker, &["ps"]).code == 0);
}
