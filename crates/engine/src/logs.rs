//! `logs`: a container's output as it was recorded.
//!
//! Reading is file I/O and happens off the async threads, a batch at a time; between batches the
//! reader waits for the log to grow, for the container to end, or for the client to leave.

use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use wharf_runtime::log::{Reader, Record, Stream};

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
type Opening = Box<dyn FnOnce() -> Result<Reader> + Send>;

fn open(snapshot: &Snapshot, tail: Option<u64>) -> Result<Opening> {
    if snapshot.record.spec.host.log_driver == "none" {
        return Err(Error::NotImplemented(
            "configured logging driver does not support reading".to_owned(),
        ));
    }
    let path = snapshot.paths.log(snapshot.id());
    Ok(Box::new(move || {
        let failed =
            |error: std::io::Error| Error::Internal(format!("read {}: {error}", path.display()));
        let mut reader = Reader::open(&path).map_err(failed)?;
        if let Some(count) = tail {
            reader.seek_tail(count).map_err(failed)?;
        }
        Ok(reader)
    }))
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
        let mut reader = blocking(opening).await?;
        let changes = if self.options.follow {
            Some(watch_fd(&mut reader)?)
        } else {
            None
        };
        let mut last = !self.is_running();
        loop {
            let (back, records) = batch(reader).await?;
            reader = back;
            let more = !records.is_empty();
            for record in records {
                if self.past_the_end(&record) {
                    return Ok(());
                }
                let wanted = self.wants(&record);
                if wanted && self.sink.send(Ok(line(record))).await.is_err() {
                    return Ok(());
                }
            }
            if more {
                continue;
            }
            let Some(changes) = &changes else {
                return Ok(());
            };
            if last {
                return Ok(());
            }
            match self.more(changes).await {
                More::Grown => reader
                    .drain()
                    .map_err(|error| Error::Internal(format!("follow a log: {error}")))?,
                More::Last => last = true,
                More::Enough => return Ok(()),
            }
        }
    }

    fn is_running(&self) -> bool {
        let now = self.watch.borrow();
        now.is_running() && now.ends == self.ends
    }

    async fn more(&mut self, changes: &AsyncFd<std::os::fd::OwnedFd>) -> More {
        let ends = self.ends;
        let left = match self.options.until {
            None => Duration::MAX,
            Some(until) => {
                u64::try_from(until - clock::now()).map_or(Duration::ZERO, Duration::from_nanos)
            }
        };
        tokio::select! {
            ready = changes.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                More::Grown
            }
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

fn watch_fd(reader: &mut Reader) -> Result<AsyncFd<std::os::fd::OwnedFd>> {
    let failed = |error: std::io::Error| Error::Internal(format!("follow a log: {error}"));
    let fd = reader
        .watch()
        .and_then(|fd| fd.try_clone_to_owned())
        .map_err(failed)?;
    #[allow(
        deprecated,
        reason = "its replacement is unsafe, for types that may close or change their descriptor; an OwnedFd does neither"
    )]
    AsyncFd::new(fd).map_err(failed)
}

/// Some records, none at the end for now.
async fn batch(mut reader: Reader) -> Result<(Reader, Vec<Record>)> {
    blocking(move || {
        let mut records = Vec::new();
        while records.len() < BATCH {
            match reader.next() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => return Err(Error::Internal(format!("read a log: {error}"))),
            }
        }
        Ok((reader, records))
    })
    .await
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

/// What was logged so far, for a client that attaches.
pub(crate) struct Replay {
    opening: Opening,
    stdout: bool,
    stderr: bool,
}

/// Prepares a replay of the wanted streams.
pub(crate) fn replay(snapshot: &Snapshot, stdout: bool, stderr: bool) -> Result<Replay> {
    Ok(Replay {
        opening: open(snapshot, None)?,
        stdout,
        stderr,
    })
}

/// Sends a replay; false when the client has left or the log cannot be read.
pub(crate) async fn forward(replay: Replay, to: &mpsc::Sender<Output>) -> bool {
    let mut reader = match blocking(replay.opening).await {
        Ok(reader) => reader,
        Err(error) => {
            tracing::warn!(%error, "a log was not replayed");
            return false;
        }
    };
    loop {
        let Ok((back, records)) = batch(reader).await else {
            return false;
        };
        reader = back;
        if records.is_empty() {
            return true;
        }
        for record in records {
            let wanted = match record.stream {
                Stream::Stdout => replay.stdout,
                Stream::Stderr => replay.stderr,
            };
            let output = Output {
                stream: stream(record.stream),
                data: record.data,
            };
            if wanted && to.send(output).await.is_err() {
                return false;
            }
        }
    }
}
