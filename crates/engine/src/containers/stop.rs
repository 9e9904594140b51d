//! `stop` and `restart`: a signal, patience, then SIGKILL.
//!
//! The container's task only sends signals; who waits is here, so that a container that does not
//! want to end keeps nobody else from it, and a `kill` gets through at once.

use std::time::Duration;

use tokio::time::timeout;

use super::command::{Command, Purpose};
use super::registry::Container;
use super::signal;
use crate::blocking::to_the_end;
use crate::model::StopOptions;
use crate::{Engine, Error, Result};

/// Docker's patience when nobody says otherwise.
const DEFAULT_TIMEOUT: i64 = 10;

/// After SIGKILL only the kernel stands between a process and its end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Asks it to end, then kills it. [`Error::NotModified`] when it does not run.
    pub async fn stop(&self, container: &str, options: StopOptions) -> Result<()> {
        let container = self.0.containers.find(container)?;
        if !container.snapshot().is_running() {
            return Err(Error::NotModified(
                "Container is already stopped".to_owned(),
            ));
        }
        let engine = self.clone();
        to_the_end(async move {
            stop(&container, &options).await?;
            let event = container.snapshot().record.event("stop", []);
            engine.0.emit(event).await;
            Ok(())
        })
        .await
    }

    /// Stop, if it runs, and start.
    pub async fn restart(&self, container: &str, options: StopOptions) -> Result<()> {
        self.0.check_open()?;
        let name = container.to_owned();
        let container = self.0.containers.find(container)?;
        let engine = self.clone();
        to_the_end(async move {
            if container.snapshot().is_running() {
                stop(&container, &options).await?;
                let event = container.snapshot().record.event("stop", []);
                engine.0.emit(event).await;
            }
            match container.ask(Command::Start).await {
                // Somebody else started it meanwhile: it runs anew, as asked for.
                Ok(()) | Err(Error::NotModified(_)) => {}
                Err(Error::Start { message, exit_code }) => {
                    return Err(Error::Start {
                        message: format!("Cannot restart container {name}: {message}"),
                        exit_code,
                    });
                }
                Err(error) => return Err(error),
            }
            let event = container.snapshot().record.event("restart", []);
            engine.0.emit(event).await;
            Ok(())
        })
        .await
    }
}

/// Ends one run. Returns when it has ended.
pub(super) async fn stop(container: &Container, options: &StopOptions) -> Result<()> {
    let snapshot = container.snapshot();
    let spec = &snapshot.record.spec;
    let signal = match options.signal.as_deref() {
        None | Some("") => signal::of_stop(spec),
        Some(name) => signal::parse(name)?,
    };
    let seconds = options
        .timeout
        .or(spec.stop_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let ends = snapshot.ends;
    if send(container, signal).await? == Sent::Over {
        return Ok(());
    }
    match u64::try_from(seconds) {
        Ok(seconds) => {
            let patience = Duration::from_secs(seconds);
            if timeout(patience, ended(container, ends)).await.is_ok() {
                return Ok(());
            }
        }
        // Negative: for ever.
        Err(_) => {
            ended(container, ends).await;
            return Ok(());
        }
    }
    tracing::debug!(
        id = snapshot.id(),
        signal,
        seconds,
        "it did not end in time and is killed"
    );
    if send(container, signal::KILL).await? == Sent::Over {
        return Ok(());
    }
    timeout(KILL_PATIENCE, ended(container, ends))
        .await
        .map_err(|_| {
            Error::Internal(format!(
                "cannot stop container: {}: tried to kill container, but did not receive an exit event",
                snapshot.id()
            ))
        })
}

#[derive(PartialEq, Eq)]
enum Sent {
    Yes,
    /// It ended before the signal came.
    Over,
}

async fn send(container: &Container, signal: i32) -> Result<Sent> {
    let sent = container
        .ask(|reply| Command::Signal {
            signal,
            purpose: Purpose::Stop,
            reply,
        })
        .await;
    match sent {
        Ok(()) => Ok(Sent::Yes),
        Err(Error::Conflict(_) | Error::NoSuchContainer(_)) => Ok(Sent::Over),
        Err(error) => Err(error),
    }
}

/// Waits until the run that was on when `ends` was counted is over.
async fn ended(container: &Container, ends: u64) {
    let mut watch = container.watch();
    // An error says that the task is gone, and the container with it.
    let _ = watch.wait_for(|snapshot| snapshot.ends > ends).await;
}
