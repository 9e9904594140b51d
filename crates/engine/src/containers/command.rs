//! What may be asked of a container's task.

use tokio::sync::oneshot;

use crate::Result;
use crate::attach::Client;
use crate::model::{EndpointSpec, RemoveOptions, Update};

/// The answer to a command.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// Commands are carried out one after the other, each to its end, whether or not somebody still
/// waits for the answer. None of them waits for the container itself: what takes time (a stop,
/// a wait) is made of these and of watching snapshots.
#[derive(Debug)]
pub(crate) enum Command {
    /// Legal when created, exited. Refused when running ([`crate::Error::NotModified`]), paused,
    /// being removed.
    Start(Reply<()>),
    /// Legal while it runs. SIGKILL and the signal that stops it also thaw it.
    Signal {
        /// The number.
        signal: i32,
        /// Why it is sent: told apart because a stop is remembered as the user's wish.
        purpose: Purpose,
        /// Answered when the signal was sent.
        reply: Reply<()>,
    },
    /// Legal while it runs and is not paused.
    Pause(Reply<()>),
    /// Legal while it is paused.
    Unpause(Reply<()>),
    /// Legal at any time before removal.
    Rename {
        /// Without slash, checked.
        name: String,
        /// Answered when it is durable.
        reply: Reply<()>,
    },
    /// Legal at any time before removal.
    Update {
        /// New limits, checked.
        update: Box<Update>,
        /// Gives warnings.
        reply: Reply<Vec<String>>,
    },
    /// Legal at any time before removal, live while it runs.
    Connect {
        /// The network, by name, id or the first digits of an id.
        network: String,
        /// What is asked of it.
        settings: Box<EndpointSpec>,
        /// Answered when the container is on it.
        reply: Reply<()>,
    },
    /// Legal at any time before removal, live while it runs.
    Disconnect {
        /// The network, by name, id or the first digits of an id.
        network: String,
        /// Answered when the container is off it.
        reply: Reply<()>,
    },
    /// Legal when it does not run, or with force.
    Remove {
        /// How.
        options: RemoveOptions,
        /// Answered when nothing is left.
        reply: Reply<()>,
    },
    /// Legal at any time before removal: before it runs, the client waits for the start.
    Attach {
        /// Its streams.
        client: Box<Client>,
        /// Answered when it is registered.
        reply: Reply<()>,
    },
}

/// Why a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `kill`
    Kill,
    /// `stop`, `restart`, `remove --force`
    Stop,
}
