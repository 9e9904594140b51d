//! `attach`: a client's streams on a container or an exec.
//!
//! ```text
//!   client --input--> [detach keys] --> shim --> process
//!   client <--output-- (bounded) <----- shim <-- process
//! ```
//! Each client has a connection of its own to the shim, which gives every one of them all of the
//! output. A client that does not read holds back its own connection and what the shim keeps for
//! it, nobody else. A client that attached before the start is joined by the container's task
//! between the making of the first process and its start, so it misses nothing.
//!
//! One that wants the log first is given what there is of it before it joins. The shim says where
//! the log ended when it joined: it is given the rest up to there, then the streams.

mod keys;

use std::path::Path;

use tokio::sync::mpsc;
use wharf_runtime::shim::proto::Streams;

use crate::containers::{Command, Container, Snapshot};
use crate::logs::{self, Replay};
use crate::model::{AttachOptions, Attachment, Event, Input, Output};
use crate::shim::{self, Attached, AttachedInput, AttachedOutput};
use crate::{Engine, Result};
pub(crate) use keys::DetachKeys;
use keys::Typed;

/// Chunks in flight to a client, of at most 64 KiB each.
const DEPTH: usize = 16;

impl Engine {
    /// Attaches. A container that does not run yet may be attached to: the streams begin with it.
    pub async fn attach(&self, container: &str, options: AttachOptions) -> Result<Attachment> {
        let keys = DetachKeys::parse(&options.detach_keys)?;
        let found = self.0.containers.find(container)?;
        let snapshot = found.snapshot();
        let (client, attachment) = Client::new(self, &snapshot, &options, keys);
        if options.logs {
            let replay = logs::replay(&snapshot, options.stdout, options.stderr)?;
            let engine = self.clone();
            tokio::spawn(async move {
                let then = options.stream.then_some(&found);
                if let Err(error) = after_log(client, replay, then).await {
                    tracing::debug!(%error, "a client was not attached after the log");
                }
                engine.0.emit(snapshot.record.event("attach", [])).await;
            });
        } else if options.stream {
            join(&found, client).await?;
            self.0.emit(snapshot.record.event("attach", [])).await;
        }
        Ok(attachment)
    }
}

async fn join(container: &Container, client: Client) -> Result<()> {
    let client = Box::new(client);
    container
        .ask(|reply| Command::Attach { client, reply })
        .await
}

/// The log first, then the streams of this container if they are wanted.
async fn after_log(mut client: Client, mut replay: Replay, then: Option<&Container>) -> Result<()> {
    replay.forward(&client.output).await?;
    match then.filter(|_| !client.has_left()) {
        None => Ok(()),
        Some(container) => {
            client.replay = Some(replay);
            join(container, client).await
        }
    }
}

/// The engine's end of an [`Attachment`].
#[derive(Debug)]
pub(crate) struct Client {
    streams: Streams,
    output: mpsc::Sender<Output>,
    /// The log, read as far as it went, if the rest of it is to come first.
    replay: Option<Replay>,
    input: Option<mpsc::Receiver<Input>>,
    keys: DetachKeys,
    engine: Engine,
    /// Told when the client detaches by its keys.
    detached: Event,
}

impl Client {
    /// A client of a container, not yet joined.
    fn new(
        engine: &Engine,
        snapshot: &Snapshot,
        options: &AttachOptions,
        keys: DetachKeys,
    ) -> (Client, Attachment) {
        let spec = &snapshot.record.spec;
        Client::with_streams(
            engine,
            Streams {
                // A container without an open standard input has nothing to attach to.
                stdin: options.stdin && (spec.open_stdin || spec.tty),
                stdout: options.stdout,
                stderr: options.stderr,
            },
            options.stdin,
            spec.tty,
            keys,
            snapshot.record.event("detach", []),
        )
    }

    /// A client of any process.
    pub(crate) fn with_streams(
        engine: &Engine,
        streams: Streams,
        wants_input: bool,
        tty: bool,
        keys: DetachKeys,
        detached: Event,
    ) -> (Client, Attachment) {
        let (output, receiver) = mpsc::channel(DEPTH);
        let (sender, input) = mpsc::channel(DEPTH);
        let client = Client {
            streams,
            output,
            replay: None,
            input: streams.stdin.then_some(input),
            keys,
            engine: engine.clone(),
            detached,
        };
        let attachment = Attachment {
            output: receiver,
            input: wants_input.then_some(sender),
            tty,
        };
        (client, attachment)
    }

    /// Nobody reads any more.
    pub(crate) fn has_left(&self) -> bool {
        self.output.is_closed()
    }

    /// Joins the streams of the container whose shim has this directory.
    pub(crate) async fn join(mut self, dir: &Path) -> Result<()> {
        let Some(mut replay) = self.replay.take() else {
            let streams = shim::attach(dir, self.streams).await?;
            tokio::spawn(self.pump(streams, async |_| {}));
            return Ok(());
        };
        let (streams, end) = shim::attach_after_log(dir, self.streams).await?;
        replay.stop_at(end);
        tokio::spawn(async move {
            match replay.forward(&self.output).await {
                Ok(()) => self.pump(streams, async |_| {}).await,
                Err(error) => tracing::warn!(%error, "a log was not replayed"),
            }
        });
        Ok(())
    }

    /// Moves bytes until the process has ended, the client has left or detaches. `ended` is told
    /// the exit code before the client sees the end of the output.
    pub(crate) async fn pump(mut self, streams: Attached, ended: impl AsyncFnOnce(Option<i32>)) {
        let (from, to) = streams.split();
        let mut input = self.input.take();
        let inward = inward(&mut input, &mut self.keys, to);
        tokio::pin!(inward);
        let outward = outward(from, &self.output);
        tokio::pin!(outward);
        let mut inward_over = false;
        loop {
            tokio::select! {
                end = &mut outward => {
                    if let Outward::Ended(code) = end {
                        ended(code).await;
                    }
                    return;
                }
                over = &mut inward, if !inward_over => match over {
                    Inward::Detached => {
                        self.engine.0.emit(self.detached).await;
                        return;
                    }
                    Inward::Closed => inward_over = true,
                },
                () = self.output.closed() => return,
            }
        }
    }
}

/// How the output side ended.
enum Outward {
    /// With the process.
    Ended(Option<i32>),
    /// Nobody reads it.
    Left,
}

async fn outward(mut from: AttachedOutput, to: &mpsc::Sender<Output>) -> Outward {
    loop {
        match from.next().await {
            shim::Output::Data(stream, data) => {
                if !data.is_empty() && to.send(Output { stream, data }).await.is_err() {
                    return Outward::Left;
                }
            }
            shim::Output::End(code) => return Outward::Ended(code),
        }
    }
}

/// How the input side ended.
enum Inward {
    /// By the detach keys.
    Detached,
    /// No more input, or nobody takes it.
    Closed,
}

/// The connection's half is kept until the output has ended, too: a closed half is a client that
/// left.
async fn inward(
    from: &mut Option<mpsc::Receiver<Input>>,
    keys: &mut DetachKeys,
    mut to: AttachedInput,
) -> Inward {
    let Some(from) = from else {
        return keep(to).await;
    };
    loop {
        let sent = match from.recv().await {
            Some(Input::Data(data)) => match keys.feed(&data) {
                Typed::Input(data) => to.send(&data).await,
                Typed::Detach(data) => {
                    // What was typed before the keys still counts.
                    let _ = to.send(&data).await;
                    return Inward::Detached;
                }
            },
            Some(Input::Close) | None => {
                let rest = keys.rest();
                let _ = to.send(&rest).await;
                let _ = to.close().await;
                return keep(to).await;
            }
        };
        if sent.is_err() {
            // The process does not read any more; what it writes may still come.
            return Inward::Closed;
        }
    }
}

/// Holds the sending half open for as long as the caller lasts.
async fn keep(_to: AttachedInput) -> Inward {
    std::future::pending().await
}
