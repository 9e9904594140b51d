//! The client against a small server that speaks from a script.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::*;

/// Answers requests in order; keeps what it was asked.
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answers` are whole HTTP answers; after each the connection stays open.
    fn start(path: &Path, answers: Vec<&'static str>) -> Server {
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(
            answers
                .into_iter()
                .collect::<std::collections::VecDeque<_>>(),
        ));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answers)));
            }
        });
        Server { asked }
    }

    fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Answers = Arc<Mutex<std::collections::VecDeque<&'static str>>>;

async fn serve(mut stream: UnixStream, asked: Arc<Mutex<Vec<String>>>, answers: Answers) {
    let mut buffer = BytesMut::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break buffer.split_to(end + 4);
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(head.to_vec()).unwrap();
        let length = head
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
            .to_owned();
        asked
            .lock()
            .unwrap()
            .push(format!("{line} {body}").trim_end().to_owned());
        let Some(answer) = answers.lock().unwrap().pop_front() else {
            return;
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.starts_with("HTTP/1.1 101") {
            echo(stream).await;
            return;
        }
    }
}

/// Sends back, as frames of stdout, what comes until the other side half-closes; then a last
/// word on stderr.
async fn echo(mut stream: UnixStream) {
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole).await.unwrap();
    for (kind, data) in [(1, whole.as_slice()), (2, b"bye")] {
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(data);
        stream.write_all(&frame).await.unwrap();
    }
}

const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 0\r\n\r\n";

fn client(path: &Path, pinned: Option<&str>) -> Client {
    Client::new(
        Endpoint::Unix(path.to_owned()),
        pinned.map(str::to_owned),
        vec![("X-Mine".to_owned(), "1".to_owned())],
        "test".to_owned(),
    )
}

fn socket() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    (directory, path)
}

#[tokio::test]
async fn the_daemons_version_is_used_when_it_is_older_and_asked_once() {
    let (_directory, path) = socket();
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    let server = Server::start(&path, vec![PING, body, body]);
    let client = client(&path, None);
    for _ in 0..2 {
        let query = Query::new().add("all", "1");
        let listed: Vec<String> = client
            .send(Call::get("/x").query(query))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(listed.is_empty());
    }
    assert_eq!(
        server.lines(),
        ["HEAD /_ping", "GET /v1.44/x?all=1", "GET /v1.44/x?all=1"]
    );
}

#[tokio::test]
async fn a_pinned_version_is_not_negotiated() {
    let (_directory, path) = socket();
    let server = Server::start(&path, vec!["HTTP/1.1 204 No Content\r\n\r\n"]);
    let call = Call::post("/x").json(&crate::json::Json::Null).unwrap();
    client(&path, Some("1.30"))
        .send(call)
        .await
        .unwrap()
        .finish()
        .await;
    assert_eq!(server.lines(), ["POST /v1.30/x null"]);
}

#[tokio::test]
async fn a_refusal_carries_the_daemons_words() {
    let (_directory, path) = socket();
    let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 36\r\n\r\n{\"message\":\"No such container: web\"}";
    Server::start(&path, vec![PING, refusal]);
    let error = client(&path, None)
        .send(Call::get("/x"))
        .await
        .err()
        .unwrap();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "Error response from daemon: No such container: web"
    );
}

#[tokio::test]
async fn nobody_listening_is_told_from_no_permission() {
    let (directory, path) = socket();
    let error = client(&path, None)
        .send(Call::get("/x"))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = client(&file, None)
        .send(Call::get("/x"))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_hijacked_connection_closes_one_way_at_a_time() {
    let (_directory, path) = socket();
    let switch = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let server = Server::start(&path, vec![PING, switch]);
    let mut connection = client(&path, None)
        .hijack(Call::post("/attach"))
        .await
        .unwrap();
    connection.input.send(b"to and fro").await.unwrap();
    connection.input.close().await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(received) = connection.output.next().await.unwrap() {
        match received {
            Received::Stdout(bytes) => out.extend_from_slice(&bytes),
            Received::Stderr(bytes) => err.extend_from_slice(&bytes),
            Received::Failure(text) => panic!("{text}"),
        }
    }
    assert_eq!(
        (out.as_slice(), err.as_slice()),
        (&b"to and fro"[..], &b"bye"[..])
    );
    assert_eq!(server.lines()[1], "POST /v1.44/attach");
}

#[tokio::test]
async fn documents_arrive_one_by_one_from_a_stream_without_end() {
    let (_directory, path) = socket();
    let stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":1}{\"\r\n6\r\nb\":2}\n\r\n";
    Server::start(&path, vec![PING, stream]);
    let client = client(&path, None);
    let mut reply = client.send(Call::get("/events")).await.unwrap();
    assert_eq!(
        reply.document().await.unwrap(),
        Some(Bytes::from_static(b"{\"a\":1}"))
    );
    assert_eq!(
        reply.document().await.unwrap(),
        Some(Bytes::from_static(b"{\"b\":2}"))
    );
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_told() {
    let (_directory, path) = socket();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 16];
        stream.read_exact(&mut head).await.unwrap();
        let refusal =
            "HTTP/1.1 501 X\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{\"message\":\"no\"}";
        stream.write_all(refusal.as_bytes()).await.unwrap();
        // Closed with most of the upload unread.
    });
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(
        async move { while send.send(Ok(Bytes::from_static(&[0; 65536]))).await.is_ok() {} },
    );
    let call = Call::post("/images/load").tar(receive);
    let error = client(&path, Some("1.50")).send(call).await.err().unwrap();
    assert_eq!(error.to_string(), "Error response from daemon: no");
}

#[test]
fn versions_are_compared_by_number() {
    assert!(newer("1.100", "1.50") && newer("1.50", "1.9") && !newer("1.50", "1.50"));
}
