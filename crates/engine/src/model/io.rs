//! Bytes to and from containers.

/// Which stream of a process. The numbers are those of Docker's stream framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdStream {
    /// 0
    Stdin = 0,
    /// 1; everything, when there is a terminal.
    Stdout = 1,
    /// 2
    Stderr = 2,
    /// 3: an error of the engine's own, in the stream.
    System = 3,
}

/// Output of an attached process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it came from.
    pub stream: StdStream,
    /// Never empty.
    pub data: Vec<u8>,
}

/// Input to an attached process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bytes for standard input.
    Data(Vec<u8>),
    /// No more of them (half-close).
    Close,
}

/// What to attach.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Replay the log first.
    pub logs: bool,
    /// Then follow live.
    pub stream: bool,
    /// Streams wanted.
    pub stdin: bool,
    /// See [`Self::stdin`].
    pub stdout: bool,
    /// See [`Self::stdin`].
    pub stderr: bool,
    /// Keys that detach, as `ctrl-p,ctrl-q`; empty takes the default.
    pub detach_keys: String,
}

/// A live attachment. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    /// Ends when the process has, or on the detach keys.
    pub output: tokio::sync::mpsc::Receiver<Output>,
    /// Present when standard input was asked for.
    pub input: Option<tokio::sync::mpsc::Sender<Input>>,
    /// There is a terminal: output is raw, not framed.
    pub tty: bool,
}

/// What of the log to show. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Go on as it grows.
    pub follow: bool,
    /// Streams wanted; at least one.
    pub stdout: bool,
    /// See [`Self::stdout`].
    pub stderr: bool,
    /// Only at or after.
    pub since: Option<i64>,
    /// Only before.
    pub until: Option<i64>,
    /// The last n lines; `None` is all.
    pub tail: Option<u64>,
}

/// A piece of the log: a line with its newline, or a 16 KiB part of a longer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Which stream wrote it.
    pub stream: StdStream,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Bytes, newline included.
    pub data: Vec<u8>,
}

/// A running log.
#[derive(Debug)]
pub struct LogStream {
    /// Lines; ends at the end of the log, or of the container when following.
    pub lines: tokio::sync::mpsc::Receiver<Result<LogLine, crate::Error>>,
    /// There is a terminal: lines are raw, not framed.
    pub tty: bool,
}
