//! Bounded byte streams between blocking code (archives, images) and the async doors.
//!
//! Both directions are a bounded channel of chunks: a slow peer holds the other side back, and a
//! peer that leaves ends it with an error. The blocking ends implement [`std::io::Read`] and
//! [`std::io::Write`] and must be used off the async threads.

use std::io;

use tokio::sync::mpsc;

/// Chunks in flight. With 64 KiB chunks a stream holds at most 1 MiB.
const DEPTH: usize = 16;

/// Size of the chunks that [`BlockingWriter`] gathers before it sends.
pub const CHUNK: usize = 64 * 1024;

/// Bytes from the engine to a client.
pub type ByteStream = mpsc::Receiver<io::Result<Vec<u8>>>;

/// Bytes from a client to the engine; an error says that the client left in the middle.
pub type ByteSource = mpsc::Receiver<io::Result<Vec<u8>>>;

/// The sending end of either.
pub type ByteSink = mpsc::Sender<io::Result<Vec<u8>>>;

/// A new bounded stream.
#[must_use]
pub fn channel() -> (ByteSink, ByteStream) {
    mpsc::channel(DEPTH)
}

/// Reads a [`ByteSource`] from blocking code.
#[derive(Debug)]
pub struct BlockingReader {
    source: ByteSource,
    chunk: Vec<u8>,
    at: usize,
}

impl BlockingReader {
    /// Takes over the stream.
    #[must_use]
    pub fn new(source: ByteSource) -> Self {
        Self {
            source,
            chunk: Vec::new(),
            at: 0,
        }
    }
}

impl io::Read for BlockingReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.source.blocking_recv() {
                None => return Ok(0),
                Some(Err(error)) => return Err(error),
                Some(Ok(chunk)) => {
                    self.chunk = chunk;
                    self.at = 0;
                }
            }
        }
        let n = buf.len().min(self.chunk.len() - self.at);
        buf[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Writes a [`ByteStream`] from blocking code, in chunks of [`CHUNK`].
#[derive(Debug)]
pub struct BlockingWriter {
    sink: ByteSink,
    pending: Vec<u8>,
}

impl BlockingWriter {
    /// Writes to the given end.
    #[must_use]
    pub fn new(sink: ByteSink) -> Self {
        Self {
            sink,
            pending: Vec::new(),
        }
    }

    /// Sends what is pending and then the error, so that the reader knows the stream is not whole.
    pub fn fail(mut self, error: io::Error) {
        let _ = io::Write::flush(&mut self);
        let _ = self.sink.blocking_send(Err(error));
    }
}

impl io::Write for BlockingWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(buf);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.sink
            .blocking_send(Ok(std::mem::take(&mut self.pending)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader left"))
    }
}
