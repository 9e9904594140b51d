//! One connection to a shim: frames out, frames in.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use wharf_runtime::shim::proto::{self, DATA_MAX, HEADER, Kind, Reply, Request};
use wharf_runtime::shim::socket_path;

use crate::model::StdStream;
use crate::{Error, Result};

/// Room for the small frames that most are; a larger one makes room for itself.
const ROOM: usize = 512;

/// What a shim sent.
#[derive(Debug)]
pub(super) enum Frame {
    Reply(Box<Reply>),
    Output(StdStream, Vec<u8>),
    /// The end of a process, with its exit code.
    Eof(i32),
}

/// The reading half. Reading may be given up and taken up again at any moment.
#[derive(Debug)]
pub(super) struct Reader {
    half: OwnedReadHalf,
    buffer: Vec<u8>,
}

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("the container's shim: {error}"))
}

/// A handle to a shim's directory.
pub(super) fn open_dir(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty())
}

/// A short path to it: a socket's address has 107 bytes, and the directory's own path may be
/// longer.
pub(super) fn by_descriptor(handle: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// Connects to the shim with this directory. `Ok(None)`: nobody listens there.
pub(super) async fn open(dir: &Path) -> Result<Option<(Reader, Writer)>> {
    let handle = match open_dir(dir) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(broken(&format!("open {}: {error}", dir.display()))),
    };
    match UnixStream::connect(socket_path(&by_descriptor(&handle))).await {
        Ok(stream) => {
            let (reader, writer) = stream.into_split();
            Ok(Some((
                Reader {
                    half: reader,
                    buffer: Vec::new(),
                },
                Writer(writer),
            )))
        }
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(broken(&format!("connect to {}: {error}", dir.display()))),
    }
}

impl Reader {
    /// The next frame; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some((kind, end)) = proto::parse(&self.buffer).map_err(|e| broken(&e))? {
                let frame = decode(kind, &self.buffer[HEADER..end]);
                self.buffer.drain(..end);
                if self.buffer.is_empty() && self.buffer.capacity() > 4 * DATA_MAX {
                    self.buffer = Vec::new();
                }
                return frame.map(Some);
            }
            self.buffer.reserve(ROOM);
            let read = self
                .half
                .read_buf(&mut self.buffer)
                .await
                .map_err(|error| broken(&error))?;
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// The reply to a request.
    pub(super) async fn reply(&mut self) -> Result<Reply> {
        match self.next().await? {
            Some(Frame::Reply(reply)) => Ok(*reply),
            Some(_) => Err(broken(&"a stream where a reply was due")),
            None => Err(broken(&"it left without a reply")),
        }
    }
}

fn decode(kind: Kind, payload: &[u8]) -> Result<Frame> {
    Ok(match kind {
        Kind::Json => Frame::Reply(Box::new(from_json(payload)?)),
        Kind::Stdout => Frame::Output(StdStream::Stdout, payload.to_vec()),
        Kind::Stderr => Frame::Output(StdStream::Stderr, payload.to_vec()),
        Kind::Eof => Frame::Eof(
            payload
                .try_into()
                .map(i32::from_le_bytes)
                .map_err(|_| broken(&"an end without an exit code"))?,
        ),
        Kind::Stdin | Kind::StdinEof => return Err(broken(&"a frame meant for it")),
    })
}

fn from_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|error| broken(&error))
}

impl Writer {
    pub(super) async fn request(&mut self, request: &Request) -> Result<()> {
        self.json(request).await
    }

    async fn json<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let frame = proto::json(value).map_err(|error| broken(&error))?;
        self.write(&frame).await
    }

    /// Bytes for standard input.
    pub(super) async fn stdin(&mut self, data: &[u8]) -> Result<()> {
        for chunk in data.chunks(DATA_MAX) {
            self.write(&proto::header(Kind::Stdin, chunk.len())).await?;
            self.write(chunk).await?;
        }
        Ok(())
    }

    /// No more of them.
    pub(super) async fn stdin_eof(&mut self) -> Result<()> {
        self.write(&proto::header(Kind::StdinEof, 0)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0
            .write_all(bytes)
            .await
            .map_err(|error| broken(&error))
    }
}
