//! The raw connection of attach and exec, and the frames that part its two outputs.
//!
//! Without a terminal the daemon sends both outputs through one connection, each piece behind
//! eight bytes: the stream (0, 1, 2, or 3 for an error of the daemon), three zeros, the length.

use bytes::{Buf, Bytes, BytesMut};
use hyper::Response;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::ClientError;

/// A frame longer than this is handed on in pieces.
const READ: usize = 32 * 1024;

/// Both directions of a connection that no longer speaks HTTP.
pub(crate) struct Hijacked {
    pub(crate) output: Output,
    pub(crate) input: Input,
}

/// What the daemon sends.
pub(crate) struct Output {
    reader: ReadHalf<TokioIo<Upgraded>>,
    demux: Option<Demux>,
    buffer: BytesMut,
}

/// What we send.
pub(crate) struct Input {
    writer: WriteHalf<TokioIo<Upgraded>>,
}

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The daemon broke the stream off and says why.
    Failure(String),
}

pub(super) async fn take(response: Response<Incoming>) -> Result<Hijacked, ClientError> {
    let status = response.status().as_u16();
    if status != 101 {
        return Err(ClientError::NotUpgraded(status));
    }
    let content_type = response
        .headers()
        .get(hyper::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(ClientError::Interrupted)?;
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    // Daemons before 1.42 do not say; the caller knows whether there is a terminal.
    let demux = (content_type == "application/vnd.docker.multiplexed-stream").then(Demux::default);
    Ok(Hijacked {
        output: Output {
            reader,
            demux,
            buffer: BytesMut::with_capacity(READ),
        },
        input: Input { writer },
    })
}

impl Output {
    /// Says whether the stream has frames, for daemons that do not.
    pub(crate) fn framed(&mut self, framed: bool) {
        self.demux = framed.then(Demux::default);
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Received>> {
        loop {
            match &mut self.demux {
                None if !self.buffer.is_empty() => {
                    return Ok(Some(Received::Stdout(self.buffer.split().freeze())));
                }
                Some(demux) => {
                    if let Some(received) = demux.take(&mut self.buffer) {
                        return Ok(Some(received));
                    }
                }
                None => {}
            }
            self.buffer.reserve(READ);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // TLS cut off without a farewell; the frames know whether anything is missing.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Input {
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Half close: the other side sees the end of input, its output still arrives.
    pub(crate) async fn close(&mut self) -> std::io::Result<()> {
        self.writer.shutdown().await
    }
}

/// Takes multiplexed output apart.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    stream: u8,
    /// Bytes of the current frame still to come.
    remaining: usize,
    failure: Vec<u8>,
}

impl Demux {
    /// The next piece out of `buffer`, as much as is there.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut) -> Option<Received> {
        loop {
            if self.remaining == 0 {
                if buffer.len() < 8 {
                    return None;
                }
                self.stream = buffer[0];
                buffer.advance(4);
                self.remaining = usize::try_from(buffer.get_u32()).unwrap_or(usize::MAX);
                if self.remaining == 0 {
                    continue;
                }
            }
            if buffer.is_empty() {
                return None;
            }
            let piece = buffer.split_to(self.remaining.min(buffer.len())).freeze();
            self.remaining -= piece.len();
            match self.stream {
                0 | 1 => return Some(Received::Stdout(piece)),
                2 => return Some(Received::Stderr(piece)),
                3 => {
                    self.failure.extend_from_slice(&piece);
                    if self.remaining == 0 {
                        let text = String::from_utf8_lossy(&self.failure).into_owned();
                        return Some(Received::Failure(format!(
                            "error from daemon in stream: {text}"
                        )));
                    }
                }
                other => {
                    return Some(Received::Failure(format!(
                        "unrecognized input header: {other}"
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(data);
        frame
    }

    #[test]
    fn outputs_are_parted_however_the_bytes_arrive() {
        let mut bytes = frame(1, b"out");
        bytes.extend(frame(1, b""));
        bytes.extend(frame(2, b"err"));
        for step in 1..bytes.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut demux = Demux::default();
            let mut buffer = BytesMut::new();
            for piece in bytes.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(received) = demux.take(&mut buffer) {
                    match received {
                        Received::Stdout(piece) => out.extend_from_slice(&piece),
                        Received::Stderr(piece) => err.extend_from_slice(&piece),
                        Received::Failure(text) => panic!("{text}"),
                    }
                }
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"out"[..], &b"err"[..]));
        }
    }

    #[test]
    fn a_daemon_error_in_the_stream_is_reported_whole() {
        let mut buffer = BytesMut::from(&frame(3, b"disk is gone")[..]);
        assert_eq!(
            Demux::default().take(&mut buffer),
            Some(Received::Failure(
                "error from daemon in stream: disk is gone".to_owned()
            ))
        );
    }

    #[test]
    fn a_stream_that_is_not_multiplexed_is_said() {
        let mut buffer = BytesMut::from(&b"plain text here"[..]);
        let received = Demux::default().take(&mut buffer);
        assert_eq!(
            received,
            Some(Received::Failure(
                "unrecognized input header: 112".to_owned()
            ))
        );
    }
}
