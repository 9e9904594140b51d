//! The smallest HTTP client that can show exactly what the daemon wrote.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines as they came.
    pub head: String,
    /// Body with any chunking undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The `message` of an error body.
    #[track_caller]
    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .expect("an error body has a message")
            .to_owned()
    }

    /// The value of a header, if it came.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

/// Writes `bytes` to the socket as they are and reads until the daemon closes or `patience` ends.
pub fn raw(socket: &Path, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("connect");
    stream
        .set_read_timeout(Some(patience * crate::slowness()))
        .expect("timeout");
    // A daemon that refuses need not read all of it; its answer says why.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return answer,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// One request with `Connection: close`, and its answer.
#[track_caller]
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: wharf\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    let answer = raw(socket, &bytes, Duration::from_secs(60));
    let split = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| {
            panic!(
                "no answer to {method} {path}: {:?}",
                String::from_utf8_lossy(&answer)
            )
        });
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status line");
    let body = answer[split + 4..].to_vec();
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Answer {
        status,
        head,
        body: if chunked { unchunk(&body) } else { body },
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size =
            usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or(&[]);
    }
    body
}

/// A request whose answer goes on: the head has arrived, the body is still to be read.
#[derive(Debug)]
pub struct Open {
    /// Status line and headers.
    pub head: String,
    stream: UnixStream,
    pending: Vec<u8>,
}

impl Open {
    /// Reads the body to its end, chunk marks included.
    pub fn rest(mut self) -> String {
        // Whoever waits in vain fails on what is missing.
        let _ = self.stream.read_to_end(&mut self.pending);
        String::from_utf8_lossy(&self.pending).into_owned()
    }

    /// Reads until the body so far satisfies `enough`, and gives it.
    #[track_caller]
    pub fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut chunk = [0; 8192];
        loop {
            let text = String::from_utf8_lossy(&self.pending).into_owned();
            if enough(&text) {
                return text;
            }
            match self.stream.read(&mut chunk) {
                Ok(n) if n > 0 => self.pending.extend_from_slice(&chunk[..n]),
                other => panic!("the stream ended ({other:?}) after: {text}"),
            }
        }
    }
}

/// Sends a request without body and returns once the head of its answer has arrived.
#[track_caller]
pub fn open(socket: &Path, method: &str, path: &str) -> Open {
    open_raw(
        socket,
        format!("{method} {path} HTTP/1.1\r\nHost: wharf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
    )
}

/// Writes bytes as they are and returns once the head of an answer has arrived.
#[track_caller]
pub fn open_raw(socket: &Path, bytes: &[u8]) -> Open {
    let mut stream = UnixStream::connect(socket).expect("connect");
    stream
        .set_read_timeout(Some(crate::patience()))
        .expect("timeout");
    stream.write_all(bytes).expect("write");
    let mut pending = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if let Some(end) = pending.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = pending.split_off(end + 4);
            return Open {
                head: String::from_utf8_lossy(&pending).into_owned(),
                stream,
                pending: rest,
            };
        }
        let n = stream.read(&mut chunk).expect("a head arrives in time");
        assert!(
            n > 0,
            "closed before the head: {:?}",
            String::from_utf8_lossy(&pending)
        );
        pending.extend_from_slice(&chunk[..n]);
    }
}
