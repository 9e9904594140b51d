//! Bytes on their way from the archive's reader to the importers, in a bounded number of chunks.
//!
//! The reader may run ahead of the importers by the whole pool: small layers are then inflated in
//! parallel although the archive is a single stream, and the stream does not stand still while a
//! layer is synced to disk.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Large enough that handing over is rare, small enough that the pool is shared well.
pub(super) const CHUNK: usize = 256 * 1024;
/// 32 MiB in all.
const MAX_CHUNKS: usize = 128;

/// The chunks of one archive.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Box<[u8]>>,
    made: usize,
}

/// Some bytes; their memory goes back to the pool when they are dropped.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Always of one size and never cleared: only what was filled is read.
    memory: Box<[u8]>,
    filled: usize,
    pool: Arc<Pool>,
}

impl Pool {
    /// An empty chunk, as soon as there is one.
    pub(super) fn take(self: &Arc<Pool>) -> Chunk {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(memory) = state.free.pop() {
                return Chunk {
                    memory,
                    filled: 0,
                    pool: Arc::clone(self),
                };
            }
            if state.made < MAX_CHUNKS {
                state.made += 1;
                let memory = vec![0; CHUNK].into_boxed_slice();
                return Chunk {
                    memory,
                    filled: 0,
                    pool: Arc::clone(self),
                };
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Chunk {
    /// Fill the chunk from `read`, which answers 0 at the end.
    pub(super) fn fill(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.filled = 0;
        while self.filled < CHUNK {
            match read(&mut self.memory[self.filled..]) {
                Ok(0) => break,
                Ok(got) => self.filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut state = self
            .pool
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.free.push(memory);
        drop(state);
        self.pool.returned.notify_one();
    }
}

/// `None` ends the member: without it, the end of the channel is an error and not an end.
type Message = Option<Chunk>;

/// The reader's end of a member.
#[derive(Debug)]
pub(super) struct Feed(Sender<Message>);

/// The importer's end of a member.
#[derive(Debug)]
pub(super) struct MemberReader {
    messages: Receiver<Message>,
    current: Option<Chunk>,
    position: usize,
    ended: bool,
}

/// Both ends of one member.
pub(super) fn member() -> (Feed, MemberReader) {
    let (sender, messages) = channel();
    (
        Feed(sender),
        MemberReader {
            messages,
            current: None,
            position: 0,
            ended: false,
        },
    )
}

impl Feed {
    /// Hand over a chunk; an error if the importer has given up.
    pub(super) fn send(&self, chunk: Chunk) -> Result<(), ImporterGone> {
        self.0.send(Some(chunk)).map_err(ImporterGone::from)
    }

    /// The member is complete.
    pub(super) fn end(self) {
        // An importer that has given up is found out by its result.
        let _ = self.0.send(None);
    }
}

/// The importer has given up; its result says why.
#[derive(Debug)]
pub(super) struct ImporterGone;

impl From<SendError<Message>> for ImporterGone {
    fn from(_: SendError<Message>) -> ImporterGone {
        ImporterGone
    }
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.current {
                let rest = &chunk.bytes()[self.position..];
                if !rest.is_empty() {
                    let length = rest.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&rest[..length]);
                    self.position += length;
                    return Ok(length);
                }
                self.current = None;
            }
            if self.ended {
                return Ok(0);
            }
            match self.messages.recv() {
                Ok(Some(chunk)) => {
                    self.current = Some(chunk);
                    self.position = 0;
                }
                Ok(None) => self.ended = true,
                Err(_) => {
                    let message = "the archive ended inside this member";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(pool: &Arc<Pool>, bytes: &[u8]) -> Chunk {
        let mut chunk = pool.take();
        let mut rest = bytes;
        chunk.fill(|buffer| rest.read(buffer)).unwrap();
        chunk
    }

    #[test]
    fn a_member_reads_as_it_was_fed() {
        let pool = Arc::new(Pool::default());
        let (feed, mut reader) = member();
        feed.send(chunk(&pool, b"ab")).unwrap();
        feed.send(chunk(&pool, b"c")).unwrap();
        feed.end();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn a_member_that_was_not_ended_is_an_error() {
        let pool = Arc::new(Pool::default());
        let (feed, mut reader) = member();
        feed.send(chunk(&pool, b"ab")).unwrap();
        drop(feed);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn chunks_that_nobody_reads_go_back_to_the_pool() {
        let pool = Arc::new(Pool::default());
        let (feed, reader) = member();
        for _ in 0..MAX_CHUNKS {
            feed.send(chunk(&pool, b"x")).unwrap();
        }
        drop(reader);
        // Would wait for ever if they had not.
        assert!(feed.send(pool.take()).is_err());
        assert_eq!(pool.state.lock().unwrap().made, MAX_CHUNKS);
    }
}
