//! What is said on a shim's socket.
//!
//! A Unix stream socket, `shim.sock` in the shim's directory, for the shim's own user alone. Both
//! sides send frames: the length of the payload (four bytes, little endian), a kind (one byte),
//! the payload. Requests and what comes back are JSON; the bytes of streams are raw.
//!
//! ```text
//!  client                           shim
//!    Request::Attach ─────────────▶
//!                    ◀───────────── Reply::Ok            registered: nothing from now on is lost
//!    Stdin* StdinEof ─────────────▶
//!                    ◀───────────── Stdout* Stderr*
//!                    ◀───────────── Eof                  the process ended, all of it was sent
//!
//!    Request::AttachAfterLog ─────▶
//!                    ◀───────────── Reply::Attached      what is not in the log before there, follows
//!                    ◀───────────── Stdout* Stderr*      beginning with lines that are not whole yet
//!
//!    Request::Exec   ─────────────▶
//!                    ◀───────────── Reply::Exec          it runs; then as for Attach
//!
//!    Request::Watch  ─────────────▶
//!                    ◀───────────── Reply::State, Reply::Event*    until the shim leaves
//! ```
//! Any other request gets one reply, and another may follow. An end of file without an exit
//! record in the directory says that the shim was killed.
//!
//! This module is pure: bytes in, bytes out, for blocking and asynchronous callers alike.

use serde::{Deserialize, Serialize};

use super::plan::{ExitRecord, Size};
use crate::log::Position;

/// The version of all that follows, for a daemon that meets shims of an older one, as it does after
/// an upgrade. Fields are only added, with a default; what an older shim does not know it answers
/// with [`Reply::Error`] and goes on. A change beyond that gets a new number.
pub const VERSION: u32 = 1;

/// Longest payload of a stream frame.
pub const DATA_MAX: usize = 64 * 1024;

/// Longest JSON payload. Environments and arguments of an exec are in it.
pub const JSON_MAX: usize = 4 * 1024 * 1024;

/// Bytes before a payload.
pub const HEADER: usize = 5;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`Request`] or a [`Reply`].
    Json = 0,
    /// Bytes for standard input.
    Stdin = 1,
    /// Bytes of standard output; everything, where there is a terminal.
    Stdout = 2,
    /// Bytes of standard error.
    Stderr = 3,
    /// No more standard input. No payload.
    StdinEof = 4,
    /// No more output: the process ended. The payload is its exit code, four bytes, little endian.
    Eof = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            0 => Kind::Json,
            1 => Kind::Stdin,
            2 => Kind::Stdout,
            3 => Kind::Stderr,
            4 => Kind::StdinEof,
            5 => Kind::Eof,
            _ => return None,
        })
    }
}

/// What the other side said makes no sense. The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum ProtoError {
    /// A kind of frame that does not exist.
    #[error("frame of unknown kind {0}")]
    Kind(u8),
    /// A payload beyond its bound.
    #[error("frame of {0} bytes")]
    Length(usize),
    /// JSON that is not what was expected.
    #[error("frame with bad JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A frame that does not belong here.
    #[error("unexpected frame of kind {0:?}")]
    Unexpected(Kind),
}

/// The header of a frame.
#[must_use]
pub fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    // Callers keep to the bounds above; a longer one would be refused by the other side.
    bytes[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes[4] = kind as u8;
    bytes
}

/// A whole frame of JSON.
pub fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, ProtoError> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, value)?;
    let length = frame.len() - HEADER;
    if length > JSON_MAX {
        return Err(ProtoError::Length(length));
    }
    frame[..HEADER].copy_from_slice(&header(Kind::Json, length));
    Ok(frame)
}

/// A frame at the start of `bytes`: its kind, where its payload ends; nothing if more is needed.
/// The payload is `bytes[HEADER..end]`.
pub fn parse(bytes: &[u8]) -> Result<Option<(Kind, usize)>, ProtoError> {
    let Some(head) = bytes.get(..HEADER) else {
        return Ok(None);
    };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let kind = Kind::from_byte(head[4]).ok_or(ProtoError::Kind(head[4]))?;
    let longest = if kind == Kind::Json {
        JSON_MAX
    } else {
        DATA_MAX
    };
    if length > longest {
        return Err(ProtoError::Length(length));
    }
    let end = HEADER + length;
    Ok((bytes.len() >= end).then_some((kind, end)))
}

/// What a client asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Let the container go.
    Start,
    /// How is it?
    State,
    /// Send a signal.
    Signal {
        /// Its number.
        signal: i32,
        /// To every process of the container, not only its first.
        all: bool,
        /// To this exec instead.
        exec: Option<String>,
    },
    /// Change the size of a terminal.
    Resize {
        /// Of this exec; of the container without.
        exec: Option<String>,
        /// To this.
        size: Size,
    },
    /// Join the container's streams. The connection is theirs from then on.
    Attach(Streams),
    /// As [`Self::Attach`], for one who reads what came before from the log: together it is all
    /// output, once.
    AttachAfterLog(Streams),
    /// Run a further process. The connection becomes its streams if any are asked for.
    Exec(Box<ExecRequest>),
    /// Hear what happens. The connection is for that from then on.
    Watch,
    /// The mounts of the layers, as descriptors beside the reply.
    LayerMounts,
}

/// Streams to attach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Streams {
    /// Whether there is one.
    #[must_use]
    pub fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// A further process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Its id, for events and resizing.
    pub id: String,
    /// What it is to be.
    pub process: oci_spec::runtime::Process,
    /// Allocate a pseudo-terminal of this size.
    pub terminal: Option<Size>,
    /// Streams of the connection; those left out are `/dev/null`.
    pub streams: Streams,
}

/// What a shim answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Ok,
    /// Not done.
    Error {
        /// Why.
        message: String,
        /// 126 and 127 where a program could not be executed, 125 otherwise.
        exit_code: i32,
        /// The container has ended, or was never started: the request came at the wrong time.
        not_running: bool,
    },
    /// How the container is.
    State(State),
    /// Attached: what was logged before this place, and nothing else, is not sent.
    Attached {
        /// None if just now there is no log to read.
        log_end: Option<Position>,
    },
    /// The exec runs.
    Exec {
        /// Its process.
        pid: i32,
        /// Limits that could not be set.
        warnings: Vec<String>,
    },
    /// The layers whose mounts come with this reply, in that order.
    Layers(Vec<String>),
    /// Something happened.
    Event(Event),
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The shim's [`VERSION`].
    #[serde(default)]
    pub version: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its first process.
    pub pid: i32,
    /// When its program started, in nanoseconds since 1970; 0 if it has not.
    pub started_ns: i64,
    /// Limits that could not be set.
    pub warnings: Vec<String>,
    /// Execs that run, with their processes.
    pub execs: Vec<(String, i32)>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Waits to be started.
    Created,
    /// Runs.
    Running,
    /// Has ended so.
    Exited(ExitRecord),
}

/// What a watcher hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The program runs.
    Started {
        /// Since, in nanoseconds since 1970.
        started_ns: i64,
    },
    /// An exec runs.
    ExecStarted {
        /// Which.
        id: String,
        /// Its process.
        pid: i32,
    },
    /// An exec has ended.
    ExecExited {
        /// Which.
        id: String,
        /// What it exited with.
        code: i32,
    },
    /// The container has ended. The record is on disk.
    Exited(ExitRecord),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_read_back_and_one_that_is_cut_waits_for_more() {
        let frame = json(&Request::Signal {
            signal: 15,
            all: true,
            exec: None,
        })
        .unwrap();
        for cut in 0..frame.len() {
            assert!(parse(&frame[..cut]).unwrap().is_none(), "{cut}");
        }
        let (kind, end) = parse(&frame).unwrap().unwrap();
        assert_eq!((kind, end), (Kind::Json, frame.len()));
        let request: Request = serde_json::from_slice(&frame[HEADER..end]).unwrap();
        assert!(matches!(
            request,
            Request::Signal {
                signal: 15,
                all: true,
                exec: None
            }
        ));
    }

    #[test]
    fn lengths_beyond_the_bound_are_refused_before_anything_is_read() {
        for (kind, length) in [(Kind::Stdin, DATA_MAX + 1), (Kind::Json, JSON_MAX + 1)] {
            assert!(matches!(
                parse(&header(kind, length)),
                Err(ProtoError::Length(_))
            ));
        }
        assert!(matches!(parse(&[0, 0, 0, 0, 9]), Err(ProtoError::Kind(9))));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, end))) = parse(&bytes) {
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
