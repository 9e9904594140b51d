//! Looks at the first request of a connection before hyper sees it.
//!
//! Docker's clients of old, and people with curl, attach without an `Upgrade` header and expect
//! `200 OK` and then raw bytes in both directions. HTTP has no such thing and hyper cannot do it,
//! so a connection that begins with such a request is served here ([`crate::hijack`]); every other
//! one goes to hyper with not a byte missing. Only the first request is looked at: hijacking
//! clients of that age open a connection for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::listen::Io;
use crate::request::lenient::{self, lenient};
use crate::version;

/// A head, and the small body of an exec's start, fit in this; what does not is hyper's to judge.
const LIMIT: usize = 64 * 1024;

const HEADERS: usize = 100;

/// A connection from which some bytes were already read.
pub(crate) struct Rewound {
    bytes: Vec<u8>,
    at: usize,
    io: Box<dyn Io>,
}

/// A request to hijack the connection without an upgrade.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hijack {
    /// Path and query.
    pub(crate) target: String,
    /// JSON, or nothing.
    pub(crate) body: Vec<u8>,
}

/// Reads as much as it takes to know what the first request is.
pub(crate) async fn first(mut io: Box<dyn Io>) -> io::Result<(Rewound, Option<Hijack>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        match judge(&bytes) {
            Verdict::More if bytes.len() < LIMIT && io.read_buf(&mut bytes).await? > 0 => {}
            Verdict::More | Verdict::Http => return Ok((Rewound { bytes, at: 0, io }, None)),
            Verdict::Hijack { target, head, body } => {
                let hijack = Hijack {
                    target,
                    body: bytes[head..head + body].to_vec(),
                };
                let at = head + body;
                return Ok((Rewound { bytes, at, io }, Some(hijack)));
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Not enough to tell.
    More,
    /// For hyper.
    Http,
    /// For us: the target, and the lengths of head and body.
    Hijack {
        target: String,
        head: usize,
        body: usize,
    },
}

fn judge(bytes: &[u8]) -> Verdict {
    const START: &[u8] = b"POST /";
    let seen = bytes.len().min(START.len());
    if bytes[..seen] != START[..seen] {
        return Verdict::Http;
    }
    if seen < START.len() {
        return Verdict::More;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(parsed) = request.parse(bytes) else {
        return Verdict::Http;
    };
    let Some(kind) = request.path.map(Kind::of) else {
        return Verdict::More;
    };
    let Some(kind) = kind else {
        return Verdict::Http;
    };
    let httparse::Status::Complete(head) = parsed else {
        return Verdict::More;
    };
    let header = |name: &str| {
        let mut all = request.headers.iter();
        all.find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    if ["upgrade", "transfer-encoding", "expect"]
        .iter()
        .any(|name| header(name).is_some())
    {
        return Verdict::Http;
    }
    let body = header("content-length").map_or(Some(0), |value| {
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    });
    let Some(body) = body.filter(|length: &usize| *length <= LIMIT - head.min(LIMIT)) else {
        return Verdict::Http;
    };
    let Some(content) = bytes.get(head..head + body) else {
        return Verdict::More;
    };
    // A detached start has nothing to hijack for, and JSON that is none gets hyper's plain answer.
    if kind == Kind::ExecStart && !attaches(content) {
        return Verdict::Http;
    }
    Verdict::Hijack {
        target: request.path.unwrap_or_default().into(),
        head,
        body,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Attach,
    ExecStart,
}

impl Kind {
    fn of(target: &str) -> Option<Self> {
        let path = target.split('?').next().unwrap_or_default();
        let (_, path) = version::split(path);
        let mut segments = path.trim_start_matches('/').split('/');
        match (segments.next()?, segments.next()?, segments.next()?) {
            ("containers", _, "attach") => segments.next().is_none().then_some(Self::Attach),
            ("exec", _, "start") => segments.next().is_none().then_some(Self::ExecStart),
            _ => None,
        }
    }
}

lenient! {
    struct Detach {
        detach: bool = "Detach",
    }
}

fn attaches(content: &[u8]) -> bool {
    content.is_empty() || lenient::from_slice::<Detach>(content).is_ok_and(|body| !body.detach)
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.bytes.len() - self.at;
        if left > 0 {
            let n = left.min(buffer.remaining());
            buffer.put_slice(&self.bytes[self.at..self.at + n]);
            self.at += n;
            if self.at == self.bytes.len() {
                self.bytes = Vec::new();
                self.at = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hijacks(bytes: &str) -> Option<(String, usize)> {
        match judge(bytes.as_bytes()) {
            Verdict::Hijack { target, body, .. } => Some((target, body)),
            Verdict::More | Verdict::Http => None,
        }
    }

    const ATTACH: &str = "POST /v1.24/containers/x/attach?stream=1 HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn an_attach_without_an_upgrade_is_ours() {
        assert_eq!(
            hijacks(ATTACH),
            Some(("/v1.24/containers/x/attach?stream=1".into(), 0))
        );
        assert!(hijacks("POST /containers/x/attach HTTP/1.0\r\n\r\n").is_some());
    }

    #[test]
    fn every_cut_of_it_asks_for_more() {
        for end in 0..ATTACH.len() {
            assert_eq!(judge(&ATTACH.as_bytes()[..end]), Verdict::More, "{end}");
        }
    }

    #[test]
    fn everything_else_is_hypers_as_soon_as_that_is_known() {
        for bytes in [
            "GET /containers/json HTTP/1.1\r\n",
            "P\0",
            "PUT /containers/x/archive",
            "POST /containers/create HTTP/1.1\r\n",
            "POST /containers/x/attach/more HTTP/1.1\r\n",
            "POST /containers/x/attach HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
            "POST /exec/x/start HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /exec/x/start HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            "POST /exec/x/start HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ] {
            assert_eq!(judge(bytes.as_bytes()), Verdict::Http, "{bytes:?}");
        }
    }

    #[test]
    fn an_execs_start_is_ours_unless_it_is_detached() {
        let start = |body: &str| {
            format!(
                "POST /exec/x/start HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        assert_eq!(
            hijacks(&start(r#"{"Tty":true}"#)),
            Some(("/exec/x/start".into(), 12))
        );
        assert!(hijacks(&start("{}")).is_some());
        assert_eq!(judge(start(r#"{"detach":true}"#).as_bytes()), Verdict::Http);
        assert_eq!(judge(start("nonsense").as_bytes()), Verdict::Http);
        let cut = start(r#"{"Tty":true}"#);
        assert_eq!(judge(&cut.as_bytes()[..cut.len() - 1]), Verdict::More);
    }

    #[tokio::test]
    async fn not_a_byte_is_lost() {
        let (mut theirs, ours) = tokio::io::duplex(4096);
        let sent = b"GET /info HTTP/1.1\r\n\r\nGET /version HTTP/1.1\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut theirs, sent)
            .await
            .unwrap();
        drop(theirs);
        let (mut io, hijack) = first(Box::new(ours)).await.unwrap();
        assert_eq!(hijack, None);
        let mut seen = Vec::new();
        io.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, sent);
    }

    #[tokio::test]
    async fn what_follows_a_hijack_is_the_stream() {
        let (mut theirs, ours) = tokio::io::duplex(4096);
        let sent = format!("{ATTACH}typed ahead");
        tokio::io::AsyncWriteExt::write_all(&mut theirs, sent.as_bytes())
            .await
            .unwrap();
        drop(theirs);
        let (mut io, hijack) = first(Box::new(ours)).await.unwrap();
        assert!(hijack.is_some());
        let mut seen = String::new();
        io.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "typed ahead");
    }
}
