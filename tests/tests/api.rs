//! The protocol itself: versions, shapes, errors, old and raw clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_tests::{Client, Daemon, open_raw, raw, run, tools};

#[test]
fn ping_and_version_speak_docker() {
    let daemon = Daemon::empty();
    let ping = daemon.get("/_ping");
    assert_eq!((ping.status, ping.body.as_slice()), (200, &b"OK"[..]));
    assert_eq!(ping.header("Ostype").as_deref(), Some("linux"));
    assert_eq!(ping.header("Docker-Experimental").as_deref(), Some("false"));
    let newest = ping.header("Api-Version").unwrap();
    let version = daemon.get("/version").json();
    assert_eq!(version["ApiVersion"], json!(newest));
    assert_eq!(version["MinAPIVersion"], "1.24");
    assert_eq!(daemon.docker(&["version", "-f", "{{.Server.Os}}"]), "linux");
    for client in [Client::Docker, Client::Docker20, Client::Wharf] {
        daemon.run(client, &["info"]).ok();
        daemon.run(client, &["version"]).ok();
    }
}

#[test]
fn versions_out_of_range_and_unknown_pages_get_dockers_words() {
    let daemon = Daemon::empty();
    let new = daemon.get("/v9.99/info");
    assert_eq!(new.status, 400);
    assert!(
        new.message().contains("client version 9.99 is too new"),
        "{}",
        new.message()
    );
    let old = daemon.get("/v1.12/info");
    assert_eq!(old.status, 400);
    assert!(
        old.message().contains("client version 1.12 is too old"),
        "{}",
        old.message()
    );
    let lost = daemon.get("/v1.41/nothing/here");
    assert_eq!(
        (lost.status, lost.message().as_str()),
        (404, "page not found")
    );
    assert_eq!(
        daemon.get("/containers/nosuch/json").message(),
        "No such container: nosuch"
    );
}

#[test]
fn curl_needs_no_version() {
    let daemon = Daemon::start();
    let ran = run(
        Command::new("curl").args([
            "-sS",
            "--unix-socket",
            daemon.socket().to_str().unwrap(),
            "http://x/images/json",
        ]),
        b"",
    );
    let images: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(images[0]["RepoTags"], json!(["busybox:latest"]));
}

#[test]
fn http_1_0_without_a_host_is_served() {
    let daemon = Daemon::start();
    let answer = raw(
        &daemon.socket(),
        b"GET /containers/json?all=1 HTTP/1.0\r\n\r\n",
        Duration::from_secs(10),
    );
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        text.starts_with("HTTP/1.0 200") || text.starts_with("HTTP/1.1 200"),
        "{text}"
    );
    assert!(text.ends_with("[]\n") || text.ends_with("[]"), "{text}");
    assert!(
        !text.to_lowercase().contains("transfer-encoding: chunked"),
        "1.0 knows no chunks: {text}"
    );
    // Endless events, too.
    let mut events = open_raw(&daemon.socket(), b"GET /events HTTP/1.0\r\n\r\n");
    daemon.docker(&["create", "--name", "seen", "busybox"]);
    let text = events.until(|t| t.contains("\"create\""));
    assert!(text.contains("seen"), "{text}");
}

#[test]
fn an_api_1_24_client_gets_1_24_shapes() {
    let daemon = Daemon::start();
    daemon.docker(&["run", "-d", "--name", "box-x", "busybox", "sleep", "1000"]);
    let images = daemon.get("/v1.24/images/json").json();
    assert!(images[0]["VirtualSize"].is_u64(), "{images}");
    assert!(
        daemon.get("/v1.50/images/json").json()[0]
            .get("VirtualSize")
            .is_none()
    );
    let list = daemon.get("/v1.24/containers/json").json();
    assert_eq!(list[0]["Names"], json!(["/box-x"]));
    assert_eq!(list[0]["State"], "running");
    let inspect = daemon.get("/v1.24/containers/box-x/json").json();
    for key in [
        "Id",
        "Created",
        "Path",
        "Args",
        "State",
        "Image",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "Name",
        "RestartCount",
        "Driver",
        "MountLabel",
        "ProcessLabel",
        "AppArmorProfile",
        "ExecIDs",
        "HostConfig",
        "GraphDriver",
        "Mounts",
        "Config",
        "NetworkSettings",
    ] {
        assert!(inspect.get(key).is_some(), "{key} is missing");
    }
    let wait = wharf_tests::open(&daemon.socket(), "POST", "/v1.41/containers/box-x/wait");
    daemon.docker(&["kill", "box-x"]);
    assert!(wait.rest().contains("{\"StatusCode\":137}"));
}

#[test]
fn the_python_sdk_does_its_daily_work() {
    let daemon = Daemon::start();
    let python = tools().join("python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/setup.sh",
        python.display()
    );
    let script = r#"
import docker, io, tarfile
c = docker.from_env()
assert c.ping()
assert c.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
box = c.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2; sleep 1000"], detach=True, name="sdk", labels={"a": "b"})
box.reload()
assert box.status == "running", box.status
code, out = box.exec_run(["sh", "-c", "echo inside; exit 3"])
assert (code, out) == (3, b"inside\n"), (code, out)
code, (out, err) = box.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
assert (out, err) == (b"o\n", b"e\n")
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w") as t:
    info = tarfile.TarInfo("put"); info.size = 3; t.addfile(info, io.BytesIO(b"put"))
assert box.put_archive("/tmp", data.getvalue())
stream, stat = box.get_archive("/tmp/put")
assert stat["name"] == "put" and stat["size"] == 3, stat
assert b"put" in b"".join(stream)
s = box.stats(stream=False)
assert s["memory_stats"]["usage"] > 0
assert box.top()["Titles"][0] == "UID"
assert any(d["Path"] == "/tmp/put" for d in box.diff())
assert [x.name for x in c.containers.list(filters={"label": "a=b"})] == ["sdk"]
box.pause(); box.reload(); assert box.status == "paused"; box.unpause()
box.stop(timeout=0); assert box.wait()["StatusCode"] == 137
image = box.commit("sdk-made", tag="1")
assert c.images.get("sdk-made:1").id == image.id
assert c.containers.run("sdk-made:1", ["cat", "/tmp/put"], remove=True) == b"put"
saved = b"".join(image.save(named=True))
c.images.remove("sdk-made:1")
assert c.images.load(saved)[0].tags == ["sdk-made:1"]
v = c.volumes.create("sdkvol"); assert v.name == "sdkvol"; v.remove()
sock = c.api.attach_socket(c.api.create_container("busybox", "cat", stdin_open=True)["Id"], params={"stdin": 1, "stream": 1})
sock.close()
try:
    c.containers.get("nope")
except docker.errors.NotFound as e:
    assert "No such container: nope" in str(e)
else:
    raise SystemExit("found what is not there")
box.remove()
print("sdk ok")
"#;
    let mut command = Command::new(python);
    command.args(["-c", script]).env(
        "DOCKER_HOST",
        format!("unix://{}", daemon.socket().display()),
    );
    assert_eq!(run(&mut command, b"").ok(), "sdk ok");
}

#[test]
fn attach_works_over_a_websocket() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-w",
        "busybox",
        "sh",
        "-c",
        "while :; do echo tick; sleep 0.05; done",
    ]);
    let mut socket = open_raw(
        &daemon.socket(),
        b"GET /containers/box-w/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(socket.head.starts_with("HTTP/1.1 101"), "{}", socket.head);
    assert!(
        socket
            .head
            .to_lowercase()
            .contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{}",
        socket.head
    );
    socket.until(|t| t.contains("tick"));
}

#[test]
fn what_is_not_there_answers_with_what_is_missing() {
    let daemon = Daemon::start();
    for (method, path, status) in [
        ("POST", "/build", 501),
        ("POST", "/session", 501),
        ("POST", "/images/create?fromImage=alpine&tag=latest", 501),
        ("GET", "/images/search?term=x", 501),
        ("POST", "/networks/create", 400),
        ("GET", "/distribution/alpine/json", 501),
        ("POST", "/auth", 501),
        ("GET", "/swarm", 503),
        ("GET", "/services", 503),
        ("POST", "/containers/box-x/checkpoints", 501),
    ] {
        let answer = wharf_tests::request(
            &daemon.socket(),
            method,
            path,
            &[("Content-Type", "application/json")],
            b"{}",
        );
        assert_eq!(
            answer.status,
            status,
            "{method} {path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert!(answer.message().len() > 10, "{path}: {}", answer.message());
    }
    assert_eq!(daemon.get("/plugins").json(), json!([]));
    let networks = daemon.get("/networks").json();
    let names: Vec<&str> = networks
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["Name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"host") && names.contains(&"none"),
        "{names:?}"
    );
}

#[test]
fn the_old_docker_cli_does_its_daily_work() {
    let daemon = Daemon::start();
    let old = |args: &[&str]| daemon.run(Client::Docker20, args).ok();
    let id = old(&["run", "-d", "--name", "old", "busybox", "sleep", "1000"]);
    assert_eq!(old(&["ps", "-q", "--no-trunc"]), id);
    assert!(old(&["ps", "-s"]).contains("virtual"));
    assert!(old(&["images"]).contains("busybox"));
    assert!(old(&["inspect", "old"]).contains(&id));
    assert!(old(&["top", "old"]).contains("sleep"));
    assert!(old(&["stats", "--no-stream"]).contains("old"));
    assert!(old(&["system", "df", "-v"]).contains("old"));
    old(&["rename", "old", "older"]);
    old(&["stop", "-t", "0", "older"]);
    old(&["commit", "older", "fromold:1"]);
    assert!(
        old(&["history", "fromold:1"]).contains("MISSING")
            || old(&["history", "fromold:1"]).contains("layer 0")
    );
    old(&["rm", "older"]);
    old(&["rmi", "fromold:1"]);
    old(&["system", "prune", "-f"]);
}
