//! A descriptor, and what the loop waits for on it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll::{self, EventData, EventFlags};

/// What a wake-up is about. Sessions and connections have keys of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Signals,
    Listener,
    Stdin(u32),
    /// Of a terminal: its input, too.
    Stdout(u32),
    Stderr(u32),
    Connection(u32),
    /// A process on its way into the container.
    Joining(u32),
}

impl Token {
    pub(super) fn encode(self) -> EventData {
        let (kind, key) = match self {
            Token::Signals => (0, 0),
            Token::Listener => (1, 0),
            Token::Stdin(key) => (2, key),
            Token::Stdout(key) => (3, key),
            Token::Stderr(key) => (4, key),
            Token::Connection(key) => (5, key),
            Token::Joining(key) => (6, key),
        };
        EventData::new_u64(kind << 32 | u64::from(key))
    }

    pub(super) fn decode(data: EventData) -> Token {
        let data = data.u64();
        let key = u32::try_from(data & 0xffff_ffff).unwrap_or(0);
        match data >> 32 {
            0 => Token::Signals,
            1 => Token::Listener,
            2 => Token::Stdin(key),
            3 => Token::Stdout(key),
            4 => Token::Stderr(key),
            5 => Token::Connection(key),
            _ => Token::Joining(key),
        }
    }
}

/// A descriptor that the loop may wait for. It is taken out of `epoll` before it is closed: a child
/// that is just being made has a copy, on whose account it would be reported for ever.
#[derive(Debug)]
pub(super) struct Watched<T: AsFd> {
    inner: T,
    waits: Option<(Rc<OwnedFd>, EventFlags)>,
}

impl<T: AsFd> Watched<T> {
    pub(super) fn new(inner: T) -> Watched<T> {
        Watched { inner, waits: None }
    }

    pub(super) fn get(&self) -> &T {
        &self.inner
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// From now on the loop waits for this: for nothing but a hang-up where no flag is set, and
    /// not even that with none (which would be reported again and again).
    pub(super) fn wait_for(
        &mut self,
        epoll: &Rc<OwnedFd>,
        token: Token,
        wanted: Option<EventFlags>,
    ) -> io::Result<()> {
        let waits = self.waits.as_ref().map(|(_, flags)| *flags);
        match (waits, wanted) {
            (None, Some(flags)) => epoll::add(epoll, &self.inner, token.encode(), flags)?,
            (Some(old), Some(new)) if old != new => {
                epoll::modify(epoll, &self.inner, token.encode(), new)?;
            }
            (Some(_), None) => epoll::delete(epoll, &self.inner)?,
            _ => {}
        }
        self.waits = wanted.map(|flags| (Rc::clone(epoll), flags));
        Ok(())
    }
}

impl<T: AsFd> Drop for Watched<T> {
    fn drop(&mut self) {
        if let Some((epoll, _)) = &self.waits {
            let _ = epoll::delete(epoll, &self.inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back() {
        for token in [
            Token::Signals,
            Token::Listener,
            Token::Stdin(0),
            Token::Stdout(u32::MAX),
            Token::Stderr(1),
            Token::Connection(7),
            Token::Joining(8),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
