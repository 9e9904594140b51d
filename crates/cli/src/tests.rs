//! Whole command lines against recorded answers: what is asked for, printed and returned.

mod reference;

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::Program;
use crate::command::run_with;
use crate::session::{Environment, Sink};

/// One request the daemon expects, and its answer: `GET /containers/json` -> body.
type Rule = (&'static str, u16, &'static str);

struct Outcome {
    code: u8,
    out: String,
    err: String,
    asked: Vec<String>,
}

async fn answer(mut stream: UnixStream, rules: Arc<Vec<Rule>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = BytesMut::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(buffer.split_to(end).to_vec()).unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.parse().unwrap());
        while buffer.len() < length {
            stream.read_buf(&mut buffer).await.unwrap();
        }
        let body = String::from_utf8(buffer.split_to(length).to_vec()).unwrap();
        let line = head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
            .replace("/v1.50", "");
        if !line.ends_with("/_ping") {
            asked
                .lock()
                .unwrap()
                .push(format!("{line} {body}").trim_end().to_owned());
        }
        let request = line.split('?').next().unwrap().to_owned();
        let (status, body) = rules.iter().find(|(name, ..)| *name == request).map_or(
            (404, r#"{"message":"page not found"}"#),
            |(_, status, body)| (*status, *body),
        );
        let body = if line.ends_with("/_ping") { "" } else { body };
        let status = if line.ends_with("/_ping") {
            200
        } else {
            status
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\nApi-Version: 1.50\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

fn taken(sink: &Arc<Mutex<Vec<u8>>>) -> String {
    String::from_utf8(std::mem::take(&mut *sink.lock().unwrap())).unwrap()
}

async fn run_at(socket: &Path, program: Program, words: &[&str]) -> (u8, String, String) {
    let host = format!("unix://{}", socket.display());
    let environment = Environment::of(&[
        ("DOCKER_HOST", &host),
        ("HOME", "/nonexistent"),
        ("HERE", "yes"),
    ]);
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let (out, err) = (
        Arc::<Mutex<Vec<u8>>>::default(),
        Arc::<Mutex<Vec<u8>>>::default(),
    );
    let sinks = (
        Sink::Memory(Arc::clone(&out)),
        Sink::Memory(Arc::clone(&err)),
    );
    let code = run_with(program, &words, environment, sinks.0, sinks.1).await;
    (code, taken(&out), taken(&err))
}

async fn docker(rules: &[Rule], words: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, rules) = (Arc::clone(&asked), Arc::new(rules.to_vec()));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::clone(&rules), Arc::clone(&seen)));
        }
    });
    let (code, out, err) = run_at(&socket, Program::Docker, words).await;
    server.abort();
    let asked = asked.lock().unwrap().clone();
    Outcome {
        code,
        out,
        err,
        asked,
    }
}

const WEB: &str = r#"[{"Id":"0123456789abcdef","Names":["/web"],"Image":"busybox","ImageID":"sha256:aa","Command":"sh","Created":1,"Ports":[],"Labels":null,"State":"running","Status":"Up 3 seconds","Mounts":[]}]"#;

#[tokio::test]
async fn ps_asks_for_what_its_flags_say_and_prints_ids_when_quiet() {
    let rules = [("GET /containers/json", 200, WEB)];
    let listed = docker(&rules, &["ps", "-aqf", "name=w"]).await;
    assert_eq!(
        (listed.code, listed.out.as_str()),
        (0, "0123456789ab\n"),
        "{}",
        listed.err
    );
    assert_eq!(
        listed.asked,
        ["GET /containers/json?all=1&filters=%7B%22name%22%3A%7B%22w%22%3Atrue%7D%7D"]
    );
    let sized = docker(&rules, &["ps", "--format", "{{.Size}}"]).await;
    assert_eq!(sized.asked, ["GET /containers/json?size=1"]);
}

#[tokio::test]
async fn a_bad_template_is_refused_before_anything_is_asked() {
    let refused = docker(&[], &["ps", "--format", "{{foo}}"]).await;
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.err,
        "failed to parse template: template: :1: function \"foo\" not defined\n"
    );
    assert!(refused.asked.is_empty());
}

#[tokio::test]
async fn several_names_are_all_tried_and_all_failures_said() {
    let rules = [
        ("POST /containers/a/stop", 204, ""),
        (
            "POST /containers/b/stop",
            404,
            r#"{"message":"No such container: b"}"#,
        ),
        ("POST /containers/c/stop", 204, ""),
    ];
    let stopped = docker(&rules, &["stop", "-t", "3", "a", "b", "c"]).await;
    assert_eq!(stopped.code, 1);
    assert_eq!(stopped.out, "a\nc\n");
    assert_eq!(
        stopped.err,
        "Error response from daemon: No such container: b\n"
    );
    assert!(
        stopped.asked.iter().all(|line| line.ends_with("/stop?t=3")),
        "{:?}",
        stopped.asked
    );
}

#[tokio::test]
async fn a_forced_removal_of_what_is_not_there_is_said_and_no_failure() {
    let rules = [(
        "DELETE /containers/a",
        404,
        r#"{"message":"No such container: a"}"#,
    )];
    let removed = docker(&rules, &["rm", "-fv", "a"]).await;
    assert_eq!((removed.code, removed.out.as_str()), (0, ""));
    assert_eq!(
        removed.err,
        "Error response from daemon: No such container: a\n"
    );
    assert_eq!(removed.asked, ["DELETE /containers/a?force=1&v=1"]);
}

#[tokio::test]
async fn inspect_looks_through_the_kinds_and_keeps_the_daemons_bytes() {
    let rules = [("GET /volumes/v", 200, "{\"Zed\":null,\"Abe\":{}}\n")];
    let found = docker(&rules, &["inspect", "v"]).await;
    assert_eq!(found.code, 0, "{}", found.err);
    assert_eq!(
        found.out,
        "[\n    {\n        \"Zed\": null,\n        \"Abe\": {}\n    }\n]\n"
    );
    assert_eq!(found.asked.len(), 4);
    let missing = docker(&[], &["inspect", "v"]).await;
    assert_eq!((missing.code, missing.out.as_str()), (1, "[]\n"));
    assert_eq!(missing.err, "Error: No such object: v\n");
    let typed = docker(&[], &["inspect", "--type", "volume", "v"]).await;
    assert_eq!(typed.err, "Error response from daemon: page not found\n");
}

#[tokio::test]
async fn a_detached_run_creates_starts_and_prints_the_id() {
    let rules = [
        (
            "POST /containers/create",
            201,
            r#"{"Id":"new","Warnings":["careful"]}"#,
        ),
        ("POST /containers/new/start", 204, ""),
    ];
    let ran = docker(
        &rules,
        &[
            "run", "-d", "--name", "x", "-e", "HERE", "busybox", "ls", "-l",
        ],
    )
    .await;
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "new\n", "WARNING: careful\n")
    );
    assert!(
        ran.asked[0].starts_with("POST /containers/create?name=x {"),
        "{:?}",
        ran.asked
    );
    assert!(
        ran.asked[0].contains(r#""Env":["HERE=yes"],"Cmd":["ls","-l"]"#),
        "{:?}",
        ran.asked
    );
}

#[tokio::test]
async fn a_refused_run_ends_with_125_and_says_where_help_is() {
    let rules = [(
        "POST /containers/create",
        409,
        r#"{"message":"Conflict. The name is in use"}"#,
    )];
    let ran = docker(&rules, &["run", "-d", "busybox"]).await;
    assert_eq!(ran.code, 125);
    assert_eq!(
        ran.err,
        "docker: Error response from daemon: Conflict. The name is in use\n\nRun 'docker run --help' for more information\n"
    );
}

#[tokio::test]
async fn a_command_that_is_not_there_ends_with_127_and_one_that_cannot_run_with_126() {
    let run = |message: &'static str| async move {
        let rules = [
            ("POST /containers/create", 201, r#"{"Id":"new"}"#),
            ("POST /containers/new/start", 400, message),
        ];
        docker(&rules, &["run", "-d", "busybox", "x"]).await.code
    };
    assert_eq!(
        run(r#"{"message":"exec: \"x\": executable file not found in $PATH"}"#).await,
        127
    );
    assert_eq!(
        run(r#"{"message":"exec: \"/x\": permission denied"}"#).await,
        126
    );
    assert_eq!(run(r#"{"message":"no room"}"#).await, 125);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_pulled_and_the_daemons_refusal_told() {
    let rules = [
        (
            "POST /containers/create",
            404,
            r#"{"message":"No such image: busybox:latest"}"#,
        ),
        (
            "POST /images/create",
            501,
            r#"{"message":"pulling is not available yet"}"#,
        ),
    ];
    let ran = docker(&rules, &["run", "busybox"]).await;
    assert_eq!(ran.code, 125);
    assert!(ran.err.starts_with("Unable to find image 'busybox:latest' locally\ndocker: Error response from daemon: pulling is not available yet\n"), "{}", ran.err);
    assert_eq!(
        ran.asked[1],
        "POST /images/create?fromImage=busybox&tag=latest"
    );
    let never = docker(&rules, &["run", "--pull", "never", "busybox"]).await;
    assert_eq!(never.asked.len(), 1);
}

#[tokio::test]
async fn a_cidfile_is_written_once_and_not_left_behind_by_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cid").display().to_string();
    let words = ["create", "--cidfile", &file, "busybox"];
    let failed = docker(
        &[("POST /containers/create", 500, r#"{"message":"no"}"#)],
        &words,
    )
    .await;
    assert_eq!(failed.code, 1);
    assert!(!Path::new(&file).exists());
    let rules = [("POST /containers/create", 201, r#"{"Id":"new"}"#)];
    assert_eq!(docker(&rules, &words).await.code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    let again = docker(&rules, &words).await;
    assert!(
        again.err.contains("container ID file found"),
        "{}",
        again.err
    );
}

#[tokio::test]
async fn logs_are_parted_into_the_two_streams() {
    let rules = [
        (
            "GET /containers/web/json",
            200,
            r#"{"Id":"web","Config":{"Tty":false}}"#,
        ),
        (
            "GET /containers/web/logs",
            200,
            "\u{1}\0\0\0\0\0\0\u{3}hi\n\u{2}\0\0\0\0\0\0\u{3}er\n",
        ),
    ];
    let logs = docker(&rules, &["logs", "-n", "5", "web"]).await;
    assert_eq!((logs.out.as_str(), logs.err.as_str()), ("hi\n", "er\n"));
    assert_eq!(
        logs.asked[1],
        "GET /containers/web/logs?stderr=1&stdout=1&tail=5"
    );
}

#[tokio::test]
async fn wait_prints_the_codes() {
    let rules = [("POST /containers/web/wait", 200, r#"{"StatusCode":137}"#)];
    let waited = docker(&rules, &["wait", "web"]).await;
    assert_eq!((waited.code, waited.out.as_str()), (0, "137\n"));
}

#[tokio::test]
async fn what_wharf_does_not_have_is_said_without_contact() {
    for words in [
        &["pull", "x"][..],
        &["swarm", "init"],
        &["image", "push", "x"],
        &["compose", "up"],
    ] {
        let missing = docker(&[], words).await;
        assert_eq!(missing.code, 1, "{words:?}");
        assert!(
            missing.err.contains("is not available: "),
            "{}",
            missing.err
        );
        assert!(missing.asked.is_empty());
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_one_sentence_and_what_to_do() {
    let socket = Path::new("/nonexistent/s");
    let (code, _, err) = run_at(socket, Program::Docker, &["ps"]).await;
    assert_eq!(code, 1);
    assert_eq!(
        err,
        "Cannot connect to the Docker daemon at unix:///nonexistent/s. Is the docker daemon running?\n"
    );
    let (_, _, err) = run_at(socket, Program::Wharf, &["ps"]).await;
    assert_eq!(err.lines().count(), 1);
    assert!(
        err.contains("'wharf daemon'") && err.contains("WHARF_HOST"),
        "{err}"
    );
}

#[tokio::test]
async fn wrong_lines_are_refused_in_dockers_words() {
    let wrong = docker(&[], &["stop"]).await;
    assert_eq!(wrong.code, 1);
    assert_eq!(
        wrong.err,
        "docker: 'docker stop' requires at least 1 argument\n\nUsage:  docker stop [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'docker stop --help' for more information\n"
    );
    assert_eq!(docker(&[], &["stop", "--foo"]).await.code, 125);
    let unknown = docker(&[], &["container", "foo"]).await;
    assert!(
        unknown
            .err
            .starts_with("docker: unknown command: docker container foo\n")
    );
}

#[tokio::test]
async fn under_our_own_name_texts_say_so() {
    let (code, out, _) = run_at(Path::new("/nonexistent/s"), Program::Wharf, &["--help"]).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("Usage:  wharf [OPTIONS] COMMAND\n"));
    assert!(out.contains("Wharf Commands:\n  daemon"), "{out}");
    assert!(out.contains("Build an image from a Dockerfile"));
    let (_, out, _) = run_at(
        Path::new("/nonexistent/s"),
        Program::Wharf,
        &["cp", "--help"],
    )
    .await;
    assert!(out.contains("\n\twharf cp [OPTIONS] SRC_PATH|-"), "{out}");
}

#[tokio::test]
async fn load_prints_plain_lines_when_there_is_no_terminal() {
    let rules = [(
        "POST /images/load",
        200,
        "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1,\"total\":2},\"id\":\"a\"}\r\n{\"stream\":\"Loaded image: x:1\\n\"}\r\n",
    )];
    // The recorded server reads bodies by their length; an empty file has none to read.
    let loaded = docker(&rules, &["load", "-i", "/dev/null"]).await;
    assert_eq!(
        loaded.asked.first().map(String::as_str),
        Some("POST /images/load?quiet=1")
    );
}
