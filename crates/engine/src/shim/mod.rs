//! Talking to shims.
//!
//! Requests are short connections of their own; a watch and an attachment keep theirs. Nothing
//! here knows containers: a shim is the directory it listens in. The protocol is
//! `wharf_runtime::shim::proto`.

mod connection;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;

use wharf_runtime::log::Position;
use wharf_runtime::shim::proto::{Event, Phase, Reply, Request, State, Streams};
use wharf_runtime::shim::{self as runtime, ExitRecord, Size};

use crate::model::StdStream;
use crate::{Error, Result};
use connection::{Frame, Reader, Writer};

pub(crate) use wharf_runtime::shim::proto::ExecRequest;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// 128 + n after signal n.
    pub(crate) code: i32,
    /// The kernel killed a process of it for want of memory.
    pub(crate) oom_killed: bool,
    /// Nanoseconds since 1970, 0 if it never started.
    pub(crate) started_at: i64,
    /// Nanoseconds since 1970.
    pub(crate) finished_at: i64,
    /// What went wrong besides.
    pub(crate) error: Option<String>,
}

impl From<ExitRecord> for Exit {
    fn from(record: ExitRecord) -> Self {
        Self {
            code: record.code,
            oom_killed: record.oom_killed,
            started_at: record.started_ns,
            finished_at: record.finished_ns,
            error: record.error,
        }
    }
}

/// What a watched shim tells.
#[derive(Debug)]
pub(crate) enum WatchEvent {
    /// The program runs since then, nanoseconds since 1970.
    Started(i64),
    /// An exec runs.
    ExecStarted {
        /// Which.
        id: String,
        /// Its process.
        pid: i32,
    },
    /// An exec ended.
    ExecExited {
        /// Which.
        id: String,
        /// So.
        code: i32,
    },
    /// The container ended. The record is on disk.
    Exited(Exit),
}

/// A shim that is being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    reader: Reader,
    /// Kept open: the shim takes a closed half for a client that left.
    _writer: Writer,
    /// Heard while something else was waited for.
    heard: VecDeque<WatchEvent>,
}

impl Watch {
    /// Begins to watch; says how the container is. `None`: no shim is there.
    pub(crate) async fn open(dir: &Path) -> Result<Option<(Watch, State)>> {
        let Some((mut reader, mut writer)) = connection::open(dir).await? else {
            return Ok(None);
        };
        writer.request(&Request::Watch).await?;
        match reader.reply().await? {
            Reply::State(state) => Ok(Some((
                Watch {
                    reader,
                    _writer: writer,
                    heard: VecDeque::new(),
                },
                state,
            ))),
            other => Err(unexpected(&other)),
        }
    }

    /// When the program that was just let go began to run. What else is heard meanwhile is kept
    /// for [`Watch::next`]; of a shim that is gone nothing is heard any more.
    pub(crate) async fn started(&mut self) -> Option<i64> {
        while let Some(event) = self.receive().await {
            match event {
                WatchEvent::Started(at) => return Some(at),
                other => {
                    let over = matches!(other, WatchEvent::Exited(_));
                    self.heard.push_back(other);
                    if over {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// The next event; nothing once the shim is gone. May be given up and taken up again.
    pub(crate) async fn next(&mut self) -> Option<WatchEvent> {
        match self.heard.pop_front() {
            Some(event) => Some(event),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Option<WatchEvent> {
        match self.reader.next().await {
            Ok(Some(Frame::Reply(reply))) => match *reply {
                Reply::Event(event) => Some(event.into()),
                Reply::State(State {
                    phase: Phase::Exited(record),
                    ..
                }) => Some(WatchEvent::Exited(record.into())),
                other => {
                    tracing::error!(?other, "a shim said what it should not");
                    None
                }
            },
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "a shim's watch broke off");
                None
            }
        }
    }
}

impl From<Event> for WatchEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Started { started_ns } => Self::Started(started_ns),
            Event::ExecStarted { id, pid } => Self::ExecStarted { id, pid },
            Event::ExecExited { id, code } => Self::ExecExited { id, code },
            Event::Exited(record) => Self::Exited(record.into()),
        }
    }
}

/// A process's streams.
#[derive(Debug)]
pub(crate) struct Attached {
    reader: Reader,
    writer: Writer,
}

/// What a process's streams give.
#[derive(Debug)]
pub(crate) enum Output {
    /// Bytes of a stream.
    Data(StdStream, Vec<u8>),
    /// Its end and exit code; `None` when the shim was killed.
    End(Option<i32>),
}

/// The receiving side of [`Attached`].
#[derive(Debug)]
pub(crate) struct AttachedOutput(Reader);

/// The sending side of [`Attached`].
#[derive(Debug)]
pub(crate) struct AttachedInput(Writer);

impl Attached {
    /// Both sides apart.
    pub(crate) fn split(self) -> (AttachedOutput, AttachedInput) {
        (AttachedOutput(self.reader), AttachedInput(self.writer))
    }
}

impl AttachedOutput {
    /// What comes next. May be given up and taken up again.
    pub(crate) async fn next(&mut self) -> Output {
        match self.0.next().await {
            Ok(Some(Frame::Output(stream, data))) => Output::Data(stream, data),
            Ok(Some(Frame::Eof(code))) => Output::End(Some(code)),
            Ok(Some(Frame::Reply(_)) | None) | Err(_) => Output::End(None),
        }
    }
}

impl AttachedInput {
    /// Bytes for standard input; waits while the process does not read.
    pub(crate) async fn send(&mut self, data: &[u8]) -> Result<()> {
        self.0.stdin(data).await
    }

    /// No more of them.
    pub(crate) async fn close(&mut self) -> Result<()> {
        self.0.stdin_eof().await
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Internal(format!("the container's shim said {reply:?}"))
}

fn gone() -> Error {
    Error::Conflict("the container is not running".to_owned())
}

/// One request, one reply.
async fn ask(dir: &Path, request: &Request) -> Result<Reply> {
    let Some((mut reader, mut writer)) = connection::open(dir).await? else {
        return Err(gone());
    };
    writer.request(request).await?;
    reader.reply().await
}

fn done(reply: &Reply) -> Result<()> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::Error {
            not_running: true, ..
        } => Err(gone()),
        Reply::Error { message, .. } => Err(Error::Internal(message.clone())),
        other => Err(unexpected(other)),
    }
}

/// Why a program was not started.
#[derive(Debug)]
pub(crate) struct NotStarted {
    /// In runc's words.
    pub(crate) message: String,
    /// 125 to 127.
    pub(crate) exit_code: i32,
}

/// Lets a created container go. Returns when its program runs.
pub(crate) async fn start(dir: &Path) -> Result<std::result::Result<(), NotStarted>> {
    match ask(dir, &Request::Start).await? {
        Reply::Error {
            message, exit_code, ..
        } => Ok(Err(NotStarted { message, exit_code })),
        other => done(&other).map(Ok),
    }
}

/// Sends a signal to the first process.
pub(crate) async fn signal(dir: &Path, signal: i32) -> Result<()> {
    let request = Request::Signal {
        signal,
        all: false,
        exec: None,
    };
    done(&ask(dir, &request).await?)
}

/// Tells a terminal its size.
pub(crate) async fn resize(
    dir: &Path,
    exec: Option<String>,
    height: u16,
    width: u16,
) -> Result<()> {
    let request = Request::Resize {
        exec,
        size: Size {
            rows: height,
            columns: width,
        },
    };
    done(&ask(dir, &request).await?)
}

/// Joins the container's streams. Nothing that is written from now on is lost.
pub(crate) async fn attach(dir: &Path, streams: Streams) -> Result<Attached> {
    let Some((mut reader, mut writer)) = connection::open(dir).await? else {
        return Err(gone());
    };
    writer.request(&Request::Attach(streams)).await?;
    done(&reader.reply().await?)?;
    Ok(Attached { reader, writer })
}

/// As [`attach`], for one who reads what came before from the log, up to the place that is given.
/// None: of all that is in the log at the end, or of a shim that cannot say.
pub(crate) async fn attach_after_log(
    dir: &Path,
    streams: Streams,
) -> Result<(Attached, Option<Position>)> {
    let Some((mut reader, mut writer)) = connection::open(dir).await? else {
        return Err(gone());
    };
    writer.request(&Request::AttachAfterLog(streams)).await?;
    match reader.reply().await? {
        Reply::Attached { log_end } => Ok((Attached { reader, writer }, log_end)),
        // Of before it was known: it says that it does not know this request.
        Reply::Error {
            not_running: false, ..
        } => Ok((attach(dir, streams).await?, None)),
        other => Err(done(&other).err().unwrap_or_else(|| unexpected(&other))),
    }
}

/// A process that an exec made.
#[derive(Debug)]
pub(crate) struct Execed {
    /// Its process.
    pub(crate) pid: i32,
    /// What could not be set.
    pub(crate) warnings: Vec<String>,
    /// Its streams, as asked for.
    pub(crate) streams: Attached,
}

/// Runs a further process.
pub(crate) async fn exec(
    dir: &Path,
    request: ExecRequest,
) -> Result<std::result::Result<Execed, NotStarted>> {
    let Some((mut reader, mut writer)) = connection::open(dir).await? else {
        return Err(gone());
    };
    writer.request(&Request::Exec(Box::new(request))).await?;
    match reader.reply().await? {
        Reply::Exec { pid, warnings } => Ok(Ok(Execed {
            pid,
            warnings,
            streams: Attached { reader, writer },
        })),
        Reply::Error {
            message,
            exit_code,
            not_running: false,
        } => Ok(Err(NotStarted { message, exit_code })),
        other => Err(done(&other).err().unwrap_or_else(|| unexpected(&other))),
    }
}

/// The mounts of a running container's layers, by name, as its shim kept them. Blocks.
pub(crate) fn layer_mounts(dir: &Path) -> Result<Vec<(String, OwnedFd)>> {
    let failed = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
    let handle = connection::open_dir(dir).map_err(|error| failed(&error))?;
    runtime::Client::connect(&connection::by_descriptor(&handle))
        .and_then(|mut client| client.layer_mounts())
        .map_err(|error| failed(&error))
}

/// The exit record in a shim's directory, if it wrote one. Blocks.
pub(crate) fn read_exit(dir: &Path) -> Result<Option<Exit>> {
    let path = runtime::exit_path(dir);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Error::Internal(format!("read {}: {error}", path.display())));
        }
    };
    serde_json::from_slice::<ExitRecord>(&text)
        .map(|record| Some(record.into()))
        .map_err(|error| Error::Internal(format!("{}: {error}", path.display())))
}
