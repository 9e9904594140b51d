//! Networks by clients we did not write: docker compose and the Python SDK.
//!
//! `WHARF_TEST_PEER=<dockerd>` runs these against Docker itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use wharf_tests::{Client, Daemon, run, tools};

/// Two networks, a dependency, an alias, a fixed address, a published port.
const PROJECT: &str = "
services:
  db:
    image: busybox
    command: sleep 1000
    networks:
      back: { aliases: [store], ipv4_address: 10.70.0.10 }
  app:
    image: busybox
    command: sleep 1000
    depends_on: { db: { condition: service_started } }
    networks: [front, back]
    ports: ['8080:80']
  edge:
    image: busybox
    command: sleep 1000
    networks: [front]
networks:
  front:
  back:
    internal: true
    ipam: { config: [{ subnet: 10.70.0.0/24 }] }
";

#[test]
fn a_compose_project_with_two_networks_comes_up_and_goes_without_a_trace() {
    let daemon = Daemon::start();
    let compose = tools().join("compose/docker-compose");
    assert!(
        compose.exists(),
        "{} is missing: run tests/setup.sh",
        compose.display()
    );
    let directory = daemon.dir().join("shop");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("compose.yaml"), PROJECT).unwrap();
    let compose = |args: &[&str]| {
        let base = daemon.command(Client::Docker, &[]);
        let mut command = std::process::Command::new(&compose);
        command.args(args).current_dir(&directory);
        for (name, value) in base.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        run(&mut command, b"")
    };
    let before = daemon.docker(&["network", "ls", "--format", "{{.Name}}"]);
    compose(&["up", "-d", "--wait"]).ok();
    let app = daemon.docker(&["ps", "-q", "-f", "label=com.docker.compose.service=app"]);
    for name in ["db", "store", "edge", "shop-db-1"] {
        daemon.docker(&["exec", &app, "ping", "-c1", "-W2", name]);
    }
    let edge = daemon.docker(&["ps", "-q", "-f", "label=com.docker.compose.service=edge"]);
    daemon.docker(&["exec", &edge, "ping", "-c1", "-W2", "app"]);
    let asked = daemon.run(Client::Docker, &["exec", &edge, "ping", "-c1", "-W1", "db"]);
    assert_ne!(asked.code, 0, "edge is not on the network of db");
    daemon.network_of(&app).serve_tcp("0.0.0.0:80");
    daemon.host_network().seen_as("127.0.0.1:8080");
    assert!(compose(&["port", "app", "80"]).ok().contains(":8080"));
    // Again, unchanged: nothing is made anew.
    compose(&["up", "-d", "--wait"]).ok();
    assert_eq!(
        daemon.docker(&["ps", "-q", "-f", "label=com.docker.compose.service=app"]),
        app
    );
    compose(&["down", "-t", "0"]).ok();
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
    assert_eq!(
        daemon.docker(&["network", "ls", "--format", "{{.Name}}"]),
        before
    );
}

const PYTHON: &str = r#"
import docker
from docker.types import IPAMConfig, IPAMPool
client = docker.from_env()
ipam = IPAMConfig(pool_configs=[IPAMPool(subnet="10.71.0.0/24", gateway="10.71.0.254")])
net = client.networks.create("py", driver="bridge", ipam=ipam, labels={"by": "sdk"}, check_duplicate=True)
assert net.attrs["IPAM"]["Config"][0]["Subnet"] == "10.71.0.0/24", net.attrs
assert [n.name for n in client.networks.list(filters={"label": "by=sdk"})] == ["py"]
box = client.containers.run("busybox", "sleep 1000", name="box", network="py", ports={"80/tcp": 8080, "53/udp": ("127.0.0.1", 5300)}, detach=True)
box.reload()
assert box.attrs["NetworkSettings"]["Networks"]["py"]["IPAddress"] == "10.71.0.1", box.attrs["NetworkSettings"]
assert box.ports["80/tcp"][0]["HostPort"] == "8080", box.ports
assert box.ports["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "5300"}], box.ports
other = client.containers.run("busybox", "sleep 1000", name="other", detach=True)
net.connect(other, aliases=["friend"], ipv4_address="10.71.0.50")
assert box.exec_run("ping -c1 -W2 friend").exit_code == 0
net.reload()
assert sorted(c.name for c in net.containers) == ["box", "other"], net.containers
net.disconnect(other)
try:
    net.remove()
    raise SystemExit("a network in use was removed")
except docker.errors.APIError as error:
    assert error.status_code == 403 and "active endpoints" in error.explanation, error
box.remove(force=True); other.remove(force=True)
net.remove()
assert client.networks.prune() == {"NetworksDeleted": None}
print("done")
"#;

#[test]
fn the_python_sdk_makes_joins_and_removes_networks() {
    let daemon = Daemon::start();
    let python = tools().join("python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/setup.sh",
        python.display()
    );
    let mut command = std::process::Command::new(python);
    command.args(["-c", PYTHON]).env(
        "DOCKER_HOST",
        format!("unix://{}", daemon.socket().display()),
    );
    assert_eq!(run(&mut command, b"").ok(), "done");
}
