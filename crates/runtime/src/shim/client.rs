//! A blocking client, for the command line, tests and start-up code. The daemon's own is
//! asynchronous and built on the same pure functions of [`super::proto`].

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::plan::short_socket_path;
use super::proto::{self, HEADER, Kind, ProtoError, Reply, Request};
use super::spawn::receive_with;

/// Why a conversation failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket.
    #[error("shim: {0}")]
    Io(#[from] io::Error),
    /// What the shim said.
    #[error("shim: {0}")]
    Proto(#[from] ProtoError),
    /// It closed the connection: it has left, or was killed.
    #[error("the shim is gone")]
    Gone,
}

/// A connection to a shim.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Client {
    /// Connects to the shim whose directory this is.
    pub fn connect(dir: &Path) -> Result<Client, ClientError> {
        let (_held, path) = short_socket_path(dir)?;
        Ok(Client {
            stream: UnixStream::connect(path)?,
            input: Vec::new(),
            descriptors: Vec::new(),
        })
    }

    /// The socket, for those who wait on several.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Asks, and gives the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.stream.write_all(&proto::json(request)?)?;
        self.reply()
    }

    /// The next reply or event.
    pub fn reply(&mut self) -> Result<Reply, ClientError> {
        match self.frame()? {
            (Kind::Json, payload) => {
                Ok(serde_json::from_slice(&payload).map_err(ProtoError::from)?)
            }
            (kind, _) => Err(ProtoError::Unexpected(kind).into()),
        }
    }

    /// The mounts of the layers by their names.
    pub fn layer_mounts(&mut self) -> Result<Vec<(String, OwnedFd)>, ClientError> {
        self.descriptors.clear();
        match self.ask(&Request::LayerMounts)? {
            Reply::Layers(names) => {
                // Descriptors come with the bytes of the reply, or with marks behind it.
                while self.descriptors.len() < names.len() {
                    self.frame()?;
                }
                Ok(names.into_iter().zip(self.descriptors.drain(..)).collect())
            }
            _ => Err(ProtoError::Unexpected(Kind::Json).into()),
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(&proto::header(kind, payload.len()))?;
        self.stream.write_all(payload)?;
        Ok(())
    }

    /// The next frame.
    pub fn frame(&mut self) -> Result<(Kind, Vec<u8>), ClientError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((kind, end)) = proto::parse(&self.input)? {
                let payload = self.input[HEADER..end].to_vec();
                self.input.drain(..end);
                return Ok((kind, payload));
            }
            let read = receive_with(self.stream.as_fd(), &mut chunk, &mut self.descriptors)?;
            if read == 0 {
                return Err(ClientError::Gone);
            }
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    /// Reads the stream's remaining frames to the end; gives both outputs and the exit code.
    pub fn output(&mut self) -> Result<(Vec<u8>, Vec<u8>, i32), ClientError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match self.frame()? {
                (Kind::Stdout, bytes) => stdout.extend(bytes),
                (Kind::Stderr, bytes) => stderr.extend(bytes),
                (Kind::Eof, code) => {
                    let code = code.try_into().map_or(-1, i32::from_le_bytes);
                    return Ok((stdout, stderr, code));
                }
                (kind, _) => return Err(ProtoError::Unexpected(kind).into()),
            }
        }
    }
}
