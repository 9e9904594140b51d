//! Our three streams against a container's, until one side ends.
//!
//! ```text
//! stdin --Escape--> Input  --(half close at the end of stdin)--> daemon
//! stdout, stderr <--Output--(demultiplexed without a terminal)--
//! SIGWINCH -> resize          other signals -> kill (without a terminal)
//! ```
//! The output's end is the end; the end of input is not, unless the user types the detach keys.

mod escape;
mod signals;

use tokio::io::AsyncReadExt as _;

use crate::client::{Call, Client, Hijacked, Query, Received, escape as escape_path};
use crate::failure::Failure;
use crate::session::{Session, Sink};
use crate::terminal::RawMode;

use escape::{Escape, Typed};
pub(crate) use signals::forward;

/// What of a container our streams are tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
}

/// Why streaming ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The other side closed.
    Output,
    /// The user typed the detach keys.
    Detached,
}

/// Whose terminal follows the size of ours.
#[derive(Debug, Clone)]
pub(crate) enum Resized {
    Container(String),
    Exec(String),
}

impl Resized {
    fn path(&self) -> String {
        match self {
            Resized::Container(id) => format!("/containers/{}/resize", escape_path(id)),
            Resized::Exec(id) => format!("/exec/{id}/resize"),
        }
    }

    /// Gives it a size; one that has ended does not mind.
    pub(crate) async fn to(&self, client: &Client, rows: u16, columns: u16) {
        let query = Query::new()
            .add("h", rows.to_string())
            .add("w", columns.to_string());
        let call = Call::post(self.path()).query(query);
        if let Ok(reply) = client.send(call).await {
            reply.finish().await;
        }
    }
}

/// Refuses `-t` with an input that is no terminal.
pub(crate) fn check_terminal(session: &Session, wanted: Wanted) -> Result<(), Failure> {
    if wanted.tty && wanted.stdin && !session.stdin_is_terminal() {
        return Err(Failure::Text("the input device is not a TTY".to_owned()));
    }
    Ok(())
}

/// Carries bytes both ways until the output ends or the user detaches.
pub(crate) async fn stream(
    session: &Session,
    connection: Hijacked,
    wanted: Wanted,
    detach_keys: &str,
) -> Result<Ended, Failure> {
    let Hijacked {
        mut output,
        mut input,
    } = connection;
    output.framed(!wanted.tty);
    let raw = if wanted.tty && wanted.stdin {
        RawMode::enter(&std::io::stdin())
    } else {
        None
    };
    let receive = async {
        while let Some(received) = output.next().await? {
            write(session, &received, wanted).await?;
        }
        Ok::<(), Failure>(())
    };
    let mut escape = wanted.tty.then(|| Escape::new(detach_keys));
    let send = async {
        if !wanted.stdin {
            return None;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let count = stdin.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                // The container may have ended first; its output tells.
                let _ = input.close().await;
                return None;
            }
            let typed = match &mut escape {
                Some(escape) => escape.filter(&buffer[..count]),
                None => Typed {
                    bytes: buffer[..count].to_vec(),
                    detach: false,
                },
            };
            if !typed.bytes.is_empty() && input.send(&typed.bytes).await.is_err() {
                return None;
            }
            if typed.detach {
                return Some(Ended::Detached);
            }
        }
    };
    tokio::pin!(receive);
    let ended = tokio::select! {
        result = &mut receive => result.map(|()| Ended::Output),
        sent = send => match sent {
            Some(ended) => Ok(ended),
            None => receive.await.map(|()| Ended::Output),
        },
        // A terminal left raw would be of no use to whoever sent the signal.
        code = signals::termination(), if raw.is_some() => Err(Failure::Code(code)),
    };
    drop(raw);
    ended
}

async fn write(session: &Session, received: &Received, wanted: Wanted) -> Result<(), Failure> {
    match received {
        Received::Stdout(bytes) if wanted.stdout => session.out.send(bytes).await?,
        Received::Stderr(bytes) if wanted.stderr => session.err.send(bytes).await?,
        Received::Stdout(_) | Received::Stderr(_) => {}
        Received::Failure(text) => return Err(Failure::Text(text.clone())),
    }
    Ok(())
}

/// Follows the size of our terminal; never returns.
pub(crate) async fn follow_size(session: &Session, client: &Client, target: &Resized) {
    let Ok(mut changes) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())
    else {
        return std::future::pending().await;
    };
    // The terminal may have changed since its size was sent along.
    resize(session, client, target).await;
    while changes.recv().await.is_some() {
        resize(session, client, target).await;
    }
    std::future::pending::<()>().await;
}

async fn resize(session: &Session, client: &Client, target: &Resized) {
    if let Some((rows, columns)) = terminal_size(&session.out) {
        target.to(client, rows, columns).await;
    }
}

/// Rows and columns of our output, if it is a terminal.
pub(crate) fn terminal_size(out: &Sink) -> Option<(u16, u16)> {
    out.size().map(|size| (size.rows, size.columns))
}
