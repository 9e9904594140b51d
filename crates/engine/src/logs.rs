//! `logs`: a container's output as it was recorded.
//!
//! Reading is file I/O and happens off the async threads, a batch at a time; between batches the
//! reader waits for the log to grow, for the container to end, or for the client to leave. While a
//! client takes nothing, files that are rotated away are held open for it, up to a bound.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use wharf_runtime::log::{Position, Reader, Record, Stream};

use crate::blocking::blocking;
use crate::containers::Snapshot;
use crate::model::{LogLine, LogOptions, LogStream, Output, StdStream};
use crate::{Engine, Error, Result, clock};

/// Lines read at once, and in flight to a client.
const BATCH: usize = 128;

impl Engine {
    /// Reads the log, and follows it when asked to.
    pub async fn logs(&self, container: &str, options: LogOptions) -> Result<LogStream> {
        if !options.stdout && !options.stderr {
            return Err(Error::InvalidArgument(
                "Bad parameters: you must choose at least one stream".to_owned(),
            ));
        }
        let found = self.0.containers.find(container)?;
        let snapshot = found.snapshot();
        let opened = open(&snapshot, options.tail)?;
        let (sink, lines) = mpsc::channel(BATCH);
        let follow = Following {
            watch: found.watch(),
            ends: snapshot.ends,
            stopping: self.0.stopping.clone(),
            options,
            sink,
        };
        tokio::spawn(follow.run(opened));
        Ok(LogStream {
            lines,
            tty: snapshot.record.spec.tty,
        })
    }
}

/// How to open a log; opening it reads, and happens later.
struct Opening {
    path: PathBuf,
    tail: Option<u64>,
}

fn open(snapshot: &Snapshot, tail: Option<u64>) -> Result<Opening> {
    if snapshot.record.spec.host.log_driver == "none" {
        return Err(Error::NotImplemented(
            "configured logging driver does not support reading".to_owned(),
        ));
    }
    let path = snapshot.paths.log(snapshot.id());
    Ok(Opening { path, tail })
}

impl Opening {
    async fn open(self) -> Result<Reader> {
        let Opening { path, tail } = self;
        blocking(move || {
            let failed = |error: std::io::Error| {
                Error::Internal(format!("read {}: {error}", path.display()))
            };
            let mut reader = Reader::open(&path).map_err(failed)?;
            if let Some(count) = tail {
                reader.seek_tail(count).map_err(failed)?;
            }
            Ok(reader)
        })
        .await
    }
}

/// One reader of a log.
struct Following {
    watch: watch::Receiver<std::sync::Arc<Snapshot>>,
    /// The run that was on is over once more have ended.
    ends: u64,
    stopping: tokio_util::sync::CancellationToken,
    options: LogOptions,
    sink: mpsc::Sender<Result<LogLine>>,
}

/// What a wait for more came to.
#[derive(PartialEq, Eq)]
enum More {
    /// There may be more.
    Grown,
    /// The container has ended: there may be a rest, and nothing after it.
    Last,
    /// Nobody wants more.
    Enough,
}

impl Following {
    async fn run(mut self, opening: Opening) {
        if let Err(error) = self.read(opening).await {
            let _ = self.sink.send(Err(error)).await;
        }
    }

    async fn read(&mut self, opening: Opening) -> Result<()> {
        let reader = opening.open().await?;
        let mut log = if self.options.follow {
            Log::following(reader)?
        } else {
            Log::still(reader)
        };
        let mut last = !self.is_running();
        loop {
            let (back, records) = log.batch().await?;
            log = back;
            let more = !records.is_empty();
            for record in records {
                if self.past_the_end(&record) {
                    return Ok(());
                }
                let wanted = self.wants(&record);
                if wanted && !log.hand(&self.sink, Ok(line(record))).await? {
                    return Ok(());
                }
            }
            if more {
                continue;
            }
            if last || !self.options.follow {
                return Ok(());
            }
            match self.more(&log).await {
                More::Grown => log.hold()?,
                More::Last => last = true,
                More::Enough => return Ok(()),
            }
        }
    }

    fn is_running(&self) -> bool {
        let now = self.watch.borrow();
        now.is_running() && now.ends == self.ends
    }

    async fn more(&mut self, log: &Log) -> More {
        let ends = self.ends;
        let left = match self.options.until {
            None => Duration::MAX,
            Some(until) => {
                u64::try_from(until - clock::now()).map_or(Duration::ZERO, Duration::from_nanos)
            }
        };
        tokio::select! {
            () = log.grown() => More::Grown,
            _ = self.watch.wait_for(|now| !now.is_running() || now.ends > ends) => More::Last,
            () = self.sink.closed() => More::Enough,
            () = self.stopping.cancelled() => More::Enough,
            () = tokio::time::sleep(left.min(Duration::from_secs(86_400))) => {
                if left <= Duration::from_secs(86_400) { More::Enough } else { More::Grown }
            }
        }
    }

    fn past_the_end(&self, record: &Record) -> bool {
        self.options
            .until
            .is_some_and(|until| record.time_ns > until)
    }

    fn wants(&self, record: &Record) -> bool {
        let stream = match record.stream {
            Stream::Stdout => self.options.stdout,
            Stream::Stderr => self.options.stderr,
        };
        stream
            && self
                .options
                .since
                .is_none_or(|since| record.time_ns >= since)
    }
}

/// A log that is being read.
struct Log {
    reader: Reader,
    /// Says that it may have grown, if it is followed.
    changes: Option<AsyncFd<OwnedFd>>,
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> Error {
    Error::Internal(format!("read a log: {error}"))
}

impl Log {
    /// One that is read as it is.
    fn still(reader: Reader) -> Log {
        Log {
            reader,
            changes: None,
        }
    }

    /// One that is read as it grows.
    fn following(mut reader: Reader) -> Result<Log> {
        let fd = reader.watch().and_then(|fd| fd.try_clone_to_owned());
        #[allow(
            deprecated,
            reason = "its replacement is unsafe, for types that may close or change their descriptor; an OwnedFd does neither"
        )]
        let changes = fd.and_then(AsyncFd::new).map_err(unreadable)?;
        Ok(Log {
            reader,
            changes: Some(changes),
        })
    }

    /// Some records, none at the end for now.
    async fn batch(mut self) -> Result<(Log, Vec<Record>)> {
        blocking(move || {
            let mut records = Vec::new();
            while records.len() < BATCH {
                match self.reader.next() {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) => break,
                    Err(error) => return Err(unreadable(error)),
                }
            }
            Ok((self, records))
        })
        .await
    }

    /// Waits until it may have grown.
    async fn grown(&self) {
        match &self.changes {
            None => std::future::pending().await,
            Some(changes) => {
                if let Ok(mut ready) = changes.readable().await {
                    ready.clear_ready();
                }
            }
        }
    }

    /// Holds on to the files that were begun, so that none is rotated away unread.
    fn hold(&mut self) -> Result<()> {
        self.reader.drain().map_err(unreadable)
    }

    /// Hands something on; false if nobody takes it any more. However long that takes, what the
    /// log rotates away meanwhile is held.
    async fn hand<T>(&mut self, to: &mpsc::Sender<T>, item: T) -> Result<bool> {
        loop {
            tokio::select! {
                biased;
                place = to.reserve() => {
                    return Ok(match place {
                        Ok(place) => {
                            place.send(item);
                            true
                        }
                        Err(_) => false,
                    });
                }
                () = self.grown() => {}
            }
            self.hold()?;
        }
    }
}

fn stream(stream: Stream) -> StdStream {
    match stream {
        Stream::Stdout => StdStream::Stdout,
        Stream::Stderr => StdStream::Stderr,
    }
}

fn line(record: Record) -> LogLine {
    LogLine {
        stream: stream(record.stream),
        time: record.time_ns,
        data: record.data,
    }
}

/// What was logged so far, for a client that attaches. It may be forwarded in several goes.
pub(crate) struct Replay {
    state: State,
    stdout: bool,
    stderr: bool,
}

enum State {
    Closed(Opening),
    Open(Box<Log>),
    /// It could not be read.
    Broken,
}

/// Prepares a replay of the wanted streams.
pub(crate) fn replay(snapshot: &Snapshot, stdout: bool, stderr: bool) -> Result<Replay> {
    Ok(Replay {
        state: State::Closed(open(snapshot, None)?),
        stdout,
        stderr,
    })
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

impl Replay {
    /// From now on nothing behind this place is forwarded.
    pub(crate) fn stop_at(&mut self, end: Option<Position>) {
        if let (State::Open(log), Some(end)) = (&mut self.state, end) {
            log.reader.stop_at(end);
        }
    }

    /// Forwards what there is and was not forwarded yet, as long as somebody takes it.
    pub(crate) async fn forward(&mut self, to: &mpsc::Sender<Output>) -> Result<()> {
        let mut log = match std::mem::replace(&mut self.state, State::Broken) {
            State::Closed(opening) => Log::following(opening.open().await?)?,
            State::Open(log) => *log,
            State::Broken => return Ok(()),
        };
        log.hold()?;
        loop {
            let (back, records) = log.batch().await?;
            log = back;
            if records.is_empty() {
                self.state = State::Open(Box::new(log));
                return Ok(());
            }
            for record in records {
                let wanted = match record.stream {
                    Stream::Stdout => self.stdout,
                    Stream::Stderr => self.stderr,
                };
                let output = Output {
                    stream: stream(record.stream),
                    data: record.data,
                };
                if wanted && !log.hand(to, output).await? {
                    return Ok(());
                }
            }
        }
    }
}
