//! `wharf` beside docker's own CLI, on one daemon: what both print, on both streams, byte for byte,
//! and how both end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wharf_tests::{Client, Daemon, Ran};

/// What a client said, its own name for itself taken out.
fn said(ran: &Ran) -> String {
    let own = |text: &str| text.replace("wharf", "docker");
    format!(
        "exit {}\n{}\n--- standard error\n{}",
        ran.code,
        own(&ran.stdout),
        own(&ran.stderr)
    )
}

/// Runs each line with both and fails with every difference at once.
fn same(daemon: &Daemon, lines: &[&str]) {
    let mut different = Vec::new();
    for line in lines {
        let args: Vec<&str> = line
            .split('|')
            .flat_map(|part| {
                // What is between bars is one word, whatever is in it.
                if line.contains('|') {
                    vec![part]
                } else {
                    part.split_whitespace().collect()
                }
            })
            .collect();
        let both = || {
            (
                said(&daemon.run(Client::Docker, &args)),
                said(&daemon.run(Client::Wharf, &args)),
            )
        };
        let (mut theirs, mut ours) = both();
        // Between the two, "1 second ago" may have become "2 seconds ago".
        for _ in 0..3 {
            if theirs != ours {
                (theirs, ours) = both();
            }
        }
        if theirs != ours {
            different.push(format!("=== {line}\ndocker: {theirs}\nwharf: {ours}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ\n{}",
        different.len(),
        lines.len(),
        different.join("\n")
    );
}

#[test]
fn listings_and_inspections_print_the_same() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create",
        "--name",
        "made",
        "--label",
        "tier=web",
        "-e",
        "A=1",
        "-v",
        "data:/data",
        "busybox",
        "echo",
        "a long command with \"quotes\" in it",
    ]);
    daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--name",
                "ended",
                "busybox",
                "sh",
                "-c",
                "echo out; echo err >&2; touch /new; rm -f /bin/wget; exit 3",
            ],
        )
        .fails(3);
    // Not a second name of the first image: docker prints those in any order.
    daemon.docker(&["commit", "made", "registry.example:5000/team/app:v1"]);
    daemon.docker(&["volume", "create", "--label", "a=b", "labelled"]);
    same(
        &daemon,
        &[
            "ps",
            "ps -a",
            "ps -aq",
            "ps -a --no-trunc",
            "ps -a -s",
            "ps -l",
            "ps -n 1",
            "ps -a --format json",
            "ps|-a|--format|{{.ID}}: {{.Names}} {{.Status}} {{.Label \"tier\"}}",
            "ps|-a|--format|table {{.Names}}\t{{.Image}}\t{{.Mounts}}\t{{.Networks}}",
            "ps -af status=exited",
            "ps -af name=made",
            "ps -af nothing=x",
            "ps -a -f exited=3 -q",
            "container ls -a",
            "container ps -a",
            "container list -a",
            "images",
            "image ls",
            "images -q",
            "images --digests",
            "images --no-trunc",
            "images -a",
            "images --format json busybox",
            "images|--format|{{.Repository}}@{{.Digest}}|busybox",
            "images busybox",
            "images -f reference=registry*/*/*",
            "images -f dangling=true",
            "images -f dangling=what",
            "inspect made",
            "inspect ended busybox",
            "inspect nothing",
            "inspect made nothing",
            "inspect -s made",
            "inspect --type image made",
            "inspect --type volume labelled",
            "inspect|-f|{{.State.ExitCode}} {{json .Config.Labels}}|ended",
            "inspect|-f|{{.Nope}}|ended",
            "inspect|-f|{{range .Mounts}}{{.Name}}{{end}}|made",
            "container inspect made",
            "image inspect busybox",
            "volume inspect labelled",
            "network ls",
            "network ls -q",
            "network ls --no-trunc",
            "network inspect bridge",
            "network inspect none host",
            "network inspect nope",
            "volume ls",
            "volume ls -q",
            "volume ls --format json",
            "volume ls -f dangling=true",
            "volume|ls|--format|{{.Name}} {{.Labels}}",
            "history busybox",
            "history -q busybox",
            "history --no-trunc busybox",
            "history -H=false busybox",
            "history nope",
            "history --format json busybox",
            "logs ended",
            "logs -t --tail 0 ended",
            "logs --tail 1 ended",
            "logs nothing",
            "logs made",
            "diff ended",
            "diff made",
            "diff nothing",
            "top made",
            "port made",
            "port made 80",
            "wait ended",
            "version|-f|{{json .Server}}",
            "info|-f|{{json .Plugins}} {{.Containers}} {{.ServerVersion}} {{.Driver}}",
            "system df",
            "system df -v",
            "system|df|--format|{{.Type}} {{.TotalCount}}",
            "stats --no-stream",
            "stats --no-stream -a",
            "stats --no-stream nothing",
            "context ls",
            "context inspect",
            "context show",
            "events --since 1h --until 0s",
            "events --since 1h --until 0s --format json",
            "events --since 1h --until 0s -f type=volume",
        ],
    );
}

/// Not here, because they differ and shall: what needs a registry or a swarm (`wharf` says that
/// there is none), a daemon that is not there (`wharf` says what to do), and an error that docker
/// logs a second time when a container it waits for does not start.
#[test]
fn what_goes_wrong_is_said_in_the_same_words() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--name", "runs", "-v", "used:/u", "busybox", "sleep", "1000",
    ]);
    daemon.docker(&["create", "--name", "made", "busybox", "true"]);
    same(
        &daemon,
        &[
            "nothing",
            "--nothing ps",
            "ps --nothing",
            "ps extra",
            "container",
            "container nothing",
            "image",
            "volume nothing",
            "run",
            "run --nothing busybox",
            "run nosuchimage",
            "run --rm -it busybox true",
            "run --rm busybox sh -c|exit 7",
            "run|--rm|busybox|sh|-c|exit 7",
            "run|--rm|busybox|sh|-c|kill -9 $$",
            "run --rm -m 1 busybox true",
            "run --rm --name runs busybox true",
            "run --rm -v relative/path:/x busybox true",
            "run --rm -v /a:b busybox true",
            "run --rm --mount type=bind,src=/nope,dst=/x busybox true",
            "run --rm --mount type=nothing,dst=/x busybox true",
            "run --rm --mount src=x busybox true",
            "run --rm -e =x busybox true",
            "run --rm --env-file /nope busybox true",
            "run --rm -w relative busybox true",
            "run --rm --cpus 1000 busybox true",
            "run --rm --cpus x busybox true",
            "run --rm --memory-swap 1m -m 8m busybox true",
            "run --rm --pid nothing busybox true",
            "run --rm --net container:nothing busybox true",
            "run --rm --ulimit x=1 busybox true",
            "run --rm --cap-add NOTHING busybox true",
            "run --rm --restart always busybox true",
            "run --rm --device /dev/nothing busybox true",
            "run --rm --hostname -bad- busybox true",
            "run --rm --stop-signal SIGNOTHING busybox true",
            "run --rm --ipc nothing busybox true",
            "run --rm --uts nothing busybox true",
            "run --rm --userns nothing busybox true",
            "run --rm --security-opt nothing busybox true",
            "run --rm --shm-size x busybox true",
            "run --rm --tmpfs relative busybox true",
            "run --rm --pull always busybox true",
            "run --rm --pull nothing busybox true",
            "run --rm --pull never nosuch",
            "run --rm -d -a stdout busybox true",
            "run --rm --label-file /nope busybox true",
            "run --rm -p x busybox true",
            "run --rm --sysctl x busybox true",
            "run --rm --log-driver nothing busybox true",
            "run --rm --log-opt nothing=1 busybox true",
            "run --rm --runtime nothing busybox true",
            "run --rm --volumes-from nothing busybox true",
            "run --rm --gpus all busybox true",
            "run --rm --cgroupns nothing busybox true",
            "run --rm --oom-score-adj 5000 busybox true",
            "run --rm --health-cmd true busybox true",
            "run --rm --memory-swappiness 200 busybox true",
            "run --rm --cpuset-cpus 99 busybox true",
            "run --rm --dns x busybox true",
            "run --rm --add-host x busybox true",
            "run --rm --mac-address x busybox true",
            "run --rm --detach-keys x busybox true",
            "run --rm --expose x busybox true",
            "create UPPER",
            "create x:y:z",
            "tag UPPER x",
            "commit runs x:y:z",
            "create",
            "create nosuchimage",
            "create --name made busybox",
            "create --name -x busybox",
            "start",
            "start nothing",
            "start made nothing",
            "start -a made runs",
            "stop nothing",
            "stop -t x runs",
            "stop made",
            "restart nothing",
            "kill nothing",
            "kill made",
            "kill -s NOTHING runs",
            "pause made",
            "pause nothing",
            "unpause runs",
            "rename runs made",
            "rename nothing new",
            "rename runs",
            "rm nothing",
            "rm runs",
            "rm -f nothing",
            "rm -l runs",
            "attach nothing",
            "exec made true",
            "exec nothing true",
            "exec runs",
            "exec runs nosuchprogram",
            "exec runs /etc",
            "exec -u nobodyatall runs true",
            "exec -w /nope runs true",
            "exec -t runs",
            "exec|runs|sh|-c|exit 9",
            "exec|runs|sh|-c|echo o; echo e >&2",
            "exec -d runs true",
            "exec -e X=1 runs printenv X",
            "exec -it runs true",
            "logs --since x runs",
            "logs --tail x runs",
            "cp",
            "cp runs:/nope /tmp/x",
            "cp a b",
            "cp runs:/etc made:/etc",
            "cp runs:/etc/passwd /nope/x",
            "cp - runs:/etc/passwd",
            "cp nothing:/x /tmp",
            "top nothing",
            "top runs -nosuch",
            "port nothing",
            "wait nothing",
            "update nothing",
            "update -m 1 runs",
            "update --cpus 1000 runs",
            "commit nothing",
            "commit runs UPPER",
            "commit -c|NOTHING x|runs",
            "export nothing",
            "diff",
            "rmi",
            "rmi nothing",
            "rmi busybox",
            "rmi runs",
            "tag nothing x",
            "tag busybox UPPER",
            "tag busybox x:y:z",
            "save nothing",
            "load -i /nope",
            "import /nope",
            "history",
            "volume rm used",
            "volume rm nothing",
            "volume create a/b",
            "volume create --driver x y2",
            "volume inspect nothing",
            "volume prune --filter nothing=x -f",
            "image prune -f --filter x",
            "network create host",
            "network connect x y",
            "network prune -f",
            "image inspect nothing",
            "image nothing",
            "system nothing",
            "inspect --type nothing x",
            "inspect -f|{{.X|runs",
            "ps --format|{{.X}}",
            "ps|--format|{{.ID",
            "images --filter x",
            "events --since x",
            "stats nothing",
            "context use nothing",
            "context inspect nothing",
            "context rm default",
            "context create",
            "-c nothing ps",
            "-l nothing ps",
        ],
    );
}

#[test]
fn what_wharf_makes_docker_finds_and_the_other_way_round() {
    let daemon = Daemon::start();
    let id = daemon.wharf(&[
        "create",
        "--name",
        "mixed",
        "-v",
        "vol:/v",
        "busybox",
        "sh",
        "-c",
        "echo hello; sleep 1000",
    ]);
    assert_eq!(daemon.docker(&["ps", "-aq", "--no-trunc"]), id);
    assert_eq!(daemon.wharf(&["start", "mixed"]), "mixed");
    wharf_tests::eventually("its line", || {
        (daemon.wharf(&["logs", "mixed"]) == "hello").then_some(())
    });
    for args in [
        ["pause", "mixed"].as_slice(),
        &["unpause", "mixed"],
        &["restart", "-t", "0", "mixed"],
        &["kill", "mixed"],
        &["rename", "mixed", "other"],
    ] {
        let said = daemon.wharf(args);
        assert!(
            said == "mixed" || (args[0] == "rename" && said.is_empty()),
            "{args:?}: {said}"
        );
    }
    assert_eq!(daemon.wharf(&["wait", "other"]), "137");
    let image = daemon.wharf(&["commit", "-m", "note", "other", "kept:1"]);
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.Id}}", "kept:1"]),
        image
    );
    let (saved, exported) = (daemon.dir().join("saved"), daemon.dir().join("exported"));
    daemon.wharf(&["save", "-o", saved.to_str().unwrap(), "kept:1"]);
    daemon.wharf(&["export", "-o", exported.to_str().unwrap(), "other"]);
    assert_eq!(daemon.wharf(&["rm", "other"]), "other");
    assert!(
        daemon
            .wharf(&["rmi", "kept:1"])
            .starts_with("Untagged: kept:1\nDeleted: sha256:")
    );
    assert_eq!(
        daemon.wharf(&["load", "-i", saved.to_str().unwrap()]),
        "Loaded image: kept:1"
    );
    assert!(
        daemon
            .wharf(&["import", exported.to_str().unwrap(), "flat:1"])
            .starts_with("sha256:")
    );
    daemon.wharf(&["tag", "flat:1", "flat:2"]);
    assert_eq!(daemon.docker(&["images", "-q", "flat"]).lines().count(), 2);
    let file = daemon.dir().join("copied");
    daemon.wharf(&[
        "run",
        "--name",
        "ran",
        "busybox",
        "sh",
        "-c",
        "echo in > /in",
    ]);
    daemon.wharf(&["cp", "ran:/in", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in\n");
    assert_eq!(daemon.wharf(&["diff", "ran"]), "A /in");
    daemon.wharf(&["update", "--memory", "64m", "--memory-swap", "64m", "ran"]);
    let pruned = daemon.wharf(&["system", "prune", "-af", "--volumes"]);
    assert!(
        pruned.contains("Deleted Containers:") && pruned.contains("Total reclaimed space:"),
        "{pruned}"
    );
    assert_eq!(
        daemon.docker(&["ps", "-aq"]) + &daemon.docker(&["images", "-q"]),
        ""
    );
}

#[test]
fn contexts_are_made_used_and_moved_as_dockers() {
    let daemon = Daemon::empty();
    let host = format!("host=unix://{}", daemon.socket().display());
    daemon.docker(&[
        "context",
        "create",
        "theirs",
        "--docker",
        &host,
        "--description",
        "made by docker",
    ]);
    assert_eq!(
        daemon.wharf(&["context", "create", "ours", "--docker", &host]),
        "ours"
    );
    same(
        &daemon,
        &[
            "context ls -q",
            "context ls",
            "context inspect ours theirs",
            "context show",
        ],
    );
    let file = daemon.dir().join("moved");
    daemon.wharf(&["context", "export", "theirs", file.to_str().unwrap()]);
    daemon.docker(&["context", "import", "moved", file.to_str().unwrap()]);
    daemon.wharf(&["context", "update", "moved", "--description", "changed"]);
    same(
        &daemon,
        &["context|ls|--format|{{.Name}} {{.Description}} {{.DockerEndpoint}}"],
    );
    assert_eq!(daemon.wharf(&["--context", "ours", "ps", "-q"]), "");
    daemon.wharf(&["context", "rm", "ours", "theirs", "moved"]);
    assert_eq!(daemon.docker(&["context", "ls", "-q"]), "default");
}

#[test]
fn completion_offers_what_the_daemon_has() {
    let daemon = Daemon::start();
    daemon.docker(&["run", "-d", "--name", "findme", "busybox", "sleep", "1000"]);
    let offered = |words: &[&str]| daemon.wharf(&[&["__complete"], words].concat());
    assert!(
        offered(&["stop", ""]).lines().any(|line| line == "findme"),
        "{}",
        offered(&["stop", ""])
    );
    assert!(
        offered(&["run", "--rm", "busy"])
            .lines()
            .any(|line| line.starts_with("busybox"))
    );
    assert!(
        offered(&["cont"])
            .lines()
            .any(|line| line.starts_with("container"))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = daemon.wharf(&["completion", shell]);
        assert!(script.contains("__complete"), "{shell}");
    }
}
