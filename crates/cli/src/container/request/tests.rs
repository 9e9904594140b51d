//! From words on the command line to the body of the request.

use super::*;
use crate::flags::Stop;
use crate::json::Json;
use crate::program::Program;
use crate::session::{Environment, Globals};

fn built(words: &[&str]) -> Result<Json, String> {
    let environment = Environment::of(&[("HOME", "/nope"), ("HERE", "yes")]);
    let globals = Globals::new(&environment);
    let session = Session::new(Program::Docker, environment, globals);
    let mut options = Options::default();
    let mut help = false;
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let args = {
        let mut set = crate::flags::FlagSet::new();
        options.flags(&mut set, &mut help);
        set.parse(&words, false).map_err(|stop| match stop {
            Stop::Wrong(text) => text,
            Stop::Help { .. } => "help".to_owned(),
        })?
    };
    let request = build(&session, &options, &args[0], &args[1..])
        .map_err(|failure| failure.message(Program::Docker).unwrap_or_default())?;
    Ok(Json::parse(&serde_json::to_vec(&request).unwrap()).unwrap())
}

fn host(words: &[&str]) -> Json {
    built(words).unwrap().get("HostConfig").unwrap().clone()
}

#[test]
fn interactive_opens_stdin_once_and_attaches_everything() {
    let request = built(&["-it", "--name", "x", "busybox", "sh", "-c", "ls -l"]).err();
    assert_eq!(
        request.as_deref(),
        Some("unknown flag: --name"),
        "name belongs to the command"
    );
    let request = built(&["-it", "busybox", "sh", "-c", "ls -l"]).unwrap();
    for key in [
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
    ] {
        assert!(request.bool(key), "{key}");
    }
    assert_eq!(request.texts("Cmd"), ["sh", "-c", "ls -l"]);
    assert_eq!(request.text("Image"), "busybox");
}

#[test]
fn only_named_streams_are_attached() {
    let request = built(&["-a", "STDERR", "busybox"]).unwrap();
    assert!(request.bool("AttachStderr") && !request.bool("AttachStdout"));
    assert_eq!(request.get("Cmd"), Some(&Json::Null));
}

#[test]
fn a_bare_variable_takes_the_callers_value() {
    let request = built(&["-e", "HERE", "-e", "GONE", "-e", "A=b=c", "x"]).unwrap();
    assert_eq!(request.texts("Env"), ["HERE=yes", "GONE", "A=b=c"]);
}

#[test]
fn volumes_are_binds_or_anonymous() {
    let request = built(&[
        "-v", "/a:/b:ro", "-v", "/c", "-v", "data:/d", "-v", "./x:/e", "x",
    ])
    .unwrap();
    let binds = request.get("HostConfig").unwrap().texts("Binds");
    assert_eq!(&binds[..2], ["/a:/b:ro", "data:/d"]);
    assert!(
        binds[2].starts_with('/') && binds[2].ends_with("/x:/e"),
        "{}",
        binds[2]
    );
    assert_eq!(request.entries("Volumes")[0].0, "/c");
}

#[test]
fn limits_reach_their_fields() {
    let host = host(&[
        "-m",
        "512m",
        "--cpus",
        "1.5",
        "--pids-limit",
        "7",
        "--memory-swap=-1",
        "--ulimit",
        "nofile=1:2",
        "--shm-size",
        "1m",
        "--device",
        "/dev/fuse",
        "x",
    ]);
    assert_eq!(host.int("Memory"), 512 << 20);
    assert_eq!(host.int("NanoCpus"), 1_500_000_000);
    assert_eq!(host.int("PidsLimit"), 7);
    assert_eq!(host.int("MemorySwap"), -1);
    assert_eq!(host.list("Ulimits")[0].int("Hard"), 2);
    assert_eq!(host.list("Devices")[0].text("CgroupPermissions"), "rwm");
    assert_eq!(host.get("MemorySwappiness"), None);
}

#[test]
fn the_network_mode_is_the_first_network() {
    assert_eq!(host(&["x"]).text("NetworkMode"), "default");
    assert_eq!(host(&["--net", "host", "x"]).text("NetworkMode"), "host");
    let request = built(&["--network", "name=n,alias=a", "--ip", "10.0.0.2", "x"]).unwrap();
    let endpoints = request.get("NetworkingConfig").unwrap();
    let (name, settings) = &endpoints.entries("EndpointsConfig")[0];
    assert_eq!(name, "n");
    assert_eq!(settings.texts("Aliases"), ["a"]);
    assert_eq!(
        settings.get("IPAMConfig").unwrap().text("IPv4Address"),
        "10.0.0.2"
    );
}

#[test]
fn an_empty_entrypoint_resets_the_images() {
    let request = built(&["--entrypoint", "", "x"]).unwrap();
    assert_eq!(request.texts("Entrypoint"), [""]);
    assert_eq!(built(&["x"]).unwrap().get("Entrypoint"), Some(&Json::Null));
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (words, error) in [
        (
            &["--rm", "--restart", "always", "x"][..],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (
            &["--no-healthcheck", "--health-cmd", "x", "x"],
            "--no-healthcheck conflicts with --health-* options",
        ),
        (&["--pid", "nope", "x"], "--pid: invalid PID mode"),
        (
            &["--memory-swappiness", "101", "x"],
            "invalid value: 101. Valid memory swappiness range is 0-100",
        ),
        (
            &["--network-alias", "a", "x"],
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            &["--mac-address", "zz", "x"],
            "zz is not a valid mac address",
        ),
        (
            &["--log-driver", "none", "--log-opt", "a=b", "x"],
            "invalid logging opts for driver none",
        ),
    ] {
        assert_eq!(built(words).unwrap_err(), error);
    }
}

#[test]
fn systempaths_unconfined_empties_the_lists() {
    let host = host(&["--security-opt", "systempaths=unconfined", "x"]);
    assert_eq!(host.get("MaskedPaths"), Some(&Json::List(Vec::new())));
    assert_eq!(host.get("SecurityOpt"), None);
}
