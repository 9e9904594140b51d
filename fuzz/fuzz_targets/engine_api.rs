//! Any bytes from a client of the Engine API, on its socket, before an engine without images: the
//! sniffing of the first request, HTTP, versions, queries, filters, bodies, hijacks. Requests that
//! would need an image end at the engine's first look; everything before that is the parsing that
//! this is about. A panic anywhere ends the run, an answer of `internal error` too.
#![no_main]

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;
use wharf_docker_api::{Address, ApiVersion, Daemon, Group, Listener, Live, Server};
use wharf_engine::{Engine, EngineOptions};

/// Streams that never end (`/events`) are left after this.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is read of an answer.
const ANSWER: u64 = 1 << 20;

struct Place {
    runtime: Runtime,
    socket: PathBuf,
    _scratch: TempDir,
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    // An address would be fetched from: `images/create?fromSrc=http://…`.
    if data.windows(3).any(|window| window == b"://") || holds(data, b"fromSrc") {
        return;
    }
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(open);
        let answer = place.runtime.block_on(ask(&place.socket, data));
        assert!(!holds(&answer, b"\"message\":\"internal error\""));
    });
});

fn holds(data: &[u8], word: &[u8]) -> bool {
    data.windows(word.len()).any(|window| window == word)
}

fn open() -> Place {
    let scratch = wharf_fuzz::scratch();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .expect("a runtime");
    let options = EngineOptions::new(
        scratch.path().join("data"),
        scratch.path().join("exec"),
        vec!["/nonexistent".to_owned()],
    );
    let socket = scratch.path().join("api.sock");
    let address = Address::Unix(socket.clone());
    runtime.block_on(async {
        // libFuzzer's main leaves SIGPIPE deadly, and a client may be written to that has left.
        // A handler, once there, stays.
        drop(tokio::signal::unix::signal(SignalKind::pipe()).expect("a handler"));
        let engine = Engine::open(options).await.expect("an engine");
        let listener = Listener::bind(&address, &Group::Usual("wharf".into()), None)
            .expect("a socket of our own");
        let server = Server::new(engine, daemon(), Live::default());
        tokio::spawn(async move { server.serve(vec![listener], CancellationToken::new()).await });
    });
    Place {
        runtime,
        socket,
        _scratch: scratch,
    }
}

async fn ask(socket: &PathBuf, data: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, async {
        let mut stream = UnixStream::connect(socket).await?;
        let (from, mut to) = stream.split();
        let mut from = from.take(ANSWER);
        let write = async {
            to.write_all(data).await?;
            to.shutdown().await
        };
        let (read, _) = tokio::join!(from.read_to_end(&mut answer), write);
        read
    })
    .await;
    answer
}

fn daemon() -> Daemon {
    Daemon {
        version: "0".into(),
        git_commit: "unknown".into(),
        build_time: String::new(),
        log_driver: "json-file".into(),
        default_runtime: "wharf".into(),
        live_restore: true,
        experimental: false,
        warnings: Vec::new(),
        http_proxy: String::new(),
        https_proxy: String::new(),
        no_proxy: String::new(),
        oldest: ApiVersion::parse("1.24").expect("a version"),
    }
}
