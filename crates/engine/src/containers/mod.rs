//! Containers: made, run, watched, removed.
//!
//! ```text
//!   facade (this file)    names -> tasks; what takes time is made of commands and watching
//!   registry              which containers there are, by id and by name
//!   task                  one per container: the only one who changes it
//!     start, end, remove  what the task does, step by step, each with its undo
//!   create, restore       how containers come to be: by request, and when the daemon starts
//!   record, snapshot      what is stored; how it is now
//! ```
//! State diagram: [`crate::model::Status`]. Happy path and failure paths of a run: [`task`].
//!
//! A request never waits for another container, and a listing never waits for any: both read
//! snapshots. A client that leaves does not stop a change half-way: the task carries out what it
//! took from its queue.

pub(crate) mod cgroup;
mod command;
mod create;
mod end;
pub(crate) mod etc;
#[cfg(test)]
pub(crate) mod fixture;
mod joins;
pub(crate) mod links;
mod list;
mod live;
pub(crate) mod log_options;
mod merge;
mod network;
pub(crate) mod record;
pub(crate) mod registry;
mod remove;
mod resolv_conf;
mod restore;
mod rootfs;
mod signal;
mod size;
pub(crate) mod snapshot;
mod start;
mod status_text;
mod stop;
mod task;
mod update;
pub(crate) mod user;
mod validate;
mod wait;

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::blocking::{blocking, to_the_end};
use crate::model::{
    ContainerSummary, ContainerView, Filters, ListOptions, PruneReport, RemoveOptions, Status,
    Update,
};
use crate::shim;
use crate::{Engine, Error, Result, clock, filters};

pub(crate) use command::Command;
pub(crate) use registry::{Container, Registry};
pub(crate) use resolv_conf::Upstream;
pub(crate) use restore::restore;
pub(crate) use snapshot::Snapshot;
pub(crate) use task::not_running;

/// Every `container` argument is a full id, a name (with or without leading slash) or a unique
/// prefix of an id.
impl Engine {
    /// Starts it. [`Error::NotModified`] when it runs already.
    pub async fn start(&self, container: &str) -> Result<()> {
        self.0.check_open()?;
        self.0.containers.find(container)?.ask(Command::Start).await
    }

    /// Sends a signal (name with or without `SIG`, or number; empty is SIGKILL).
    pub async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        let found = self.0.containers.find(container)?;
        let prefix = |error: Error| match error {
            Error::Conflict(text) => {
                Error::Conflict(format!("cannot kill container: {container}: {text}"))
            }
            Error::InvalidArgument(text) => {
                Error::InvalidArgument(format!("cannot kill container: {container}: {text}"))
            }
            error => error,
        };
        let signal = match signal {
            "" => signal::KILL,
            name => signal::parse(name).map_err(prefix)?,
        };
        found
            .ask(|reply| Command::Signal {
                signal,
                purpose: command::Purpose::Kill,
                reply,
            })
            .await
            .map_err(prefix)
    }

    /// Gives it another name.
    pub async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if container.is_empty() || name.is_empty() {
            return Err(Error::InvalidArgument(
                "Neither old nor new names may be empty".to_owned(),
            ));
        }
        let found = self.0.containers.find(container)?;
        if found.snapshot().name() == name {
            return Err(Error::InvalidArgument(
                "Renaming a container with the same name as its current name".to_owned(),
            ));
        }
        validate::name(name).map_err(|error| {
            Error::InvalidArgument(format!("Error when allocating new name: {error}"))
        })?;
        let name = name.to_owned();
        found.ask(|reply| Command::Rename { name, reply }).await
    }

    /// Freezes its processes.
    pub async fn pause(&self, container: &str) -> Result<()> {
        self.0.containers.find(container)?.ask(Command::Pause).await
    }

    /// Thaws them.
    pub async fn unpause(&self, container: &str) -> Result<()> {
        self.0
            .containers
            .find(container)?
            .ask(Command::Unpause)
            .await
    }

    /// Removes it.
    pub async fn remove(&self, container: &str, options: RemoveOptions) -> Result<()> {
        let found = self.0.containers.find(container)?;
        if options.link {
            return Err(Error::NotFound(format!("No such link: {container}")));
        }
        found
            .ask(|reply: oneshot::Sender<Result<()>>| Command::Remove { options, reply })
            .await
    }

    /// Removes those that do not run.
    pub async fn prune(&self, filters: Filters) -> Result<PruneReport> {
        filters::check(&filters, &["label", "label!", "until"])?;
        let until = filters::time_filter(&filters, "until", clock::now())?;
        let engine = self.clone();
        to_the_end(async move {
            let mut report = PruneReport::default();
            for container in engine.0.containers.tasks() {
                let snapshot = container.snapshot();
                let idle = matches!(snapshot.state.status, Status::Created | Status::Exited);
                let late = until.is_some_and(|until| snapshot.record.created > until);
                if !idle || late || !filters::labels_match(&filters, &snapshot.record.spec.labels) {
                    continue;
                }
                let measured = Arc::clone(&snapshot);
                let size = blocking(move || Ok(size::writable(&measured))).await?;
                let options = RemoveOptions::default();
                let removed = container
                    .ask(|reply| Command::Remove { options, reply })
                    .await;
                match removed {
                    Ok(()) => {
                        report.deleted.push(snapshot.id().to_owned());
                        report.reclaimed += size.cast_unsigned();
                    }
                    // Started, or removed by somebody else, in the meantime.
                    Err(error) => {
                        tracing::debug!(id = snapshot.id(), %error, "not pruned");
                    }
                }
            }
            let attributes = [("reclaimed".to_owned(), report.reclaimed.to_string())];
            let pruned = crate::events::event("container", "prune", "", attributes);
            engine.0.emit(pruned).await;
            Ok(report)
        })
        .await
    }

    /// Newest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<ContainerSummary>> {
        let inner = &self.0;
        let find = |reference: &str| inner.containers.resolve(reference);
        let ancestor = |reference: &str| list::ancestor(&inner.images, reference);
        let filter = list::Filter::parse(&options.filters, &find, &ancestor)?;
        let selected = list::select(inner.containers.all(), &options, &filter);
        let mut names = list::ImageNames::new(&inner.images);
        let now = clock::now();
        let mut lines: Vec<ContainerSummary> = selected
            .iter()
            .map(|snapshot| list::summary(snapshot, names.of(snapshot), now))
            .collect();
        if options.size {
            let engine = self.clone();
            lines = blocking(move || {
                for (line, snapshot) in lines.iter_mut().zip(&selected) {
                    line.size = Some(size::of(&engine, snapshot));
                }
                Ok(lines)
            })
            .await?;
        }
        Ok(lines)
    }

    /// One consistent view; with its size when asked for.
    pub async fn inspect(&self, container: &str, size: bool) -> Result<ContainerView> {
        let snapshot = self.0.containers.resolve(container)?;
        let size = if size {
            let (engine, snapshot) = (self.clone(), Arc::clone(&snapshot));
            Some(blocking(move || Ok(size::of(&engine, &snapshot))).await?)
        } else {
            None
        };
        let record = &snapshot.record;
        let command = record.command();
        let paths = &snapshot.paths;
        let etc = |name: &str| paths.etc(name).display().to_string();
        Ok(ContainerView {
            id: record.id.clone(),
            name: record.name.clone(),
            created: record.created,
            image_id: record.image.to_string(),
            image_manifest: record.manifest.map(|digest| digest.to_string()),
            spec: record.spec.clone(),
            path: command.path,
            args: command.args,
            mounts: record.mount_points(),
            hostname_path: etc("hostname"),
            hosts_path: etc("hosts"),
            resolv_conf_path: etc("resolv.conf"),
            log_path: match record.spec.host.log_driver.as_str() {
                "none" => String::new(),
                _ => paths.log(&record.id).display().to_string(),
            },
            exec_ids: self.0.execs.of_container(&record.id),
            size,
            sandbox_key: if snapshot.is_running() {
                format!("/proc/{}/ns/net", snapshot.state.pid)
            } else {
                String::new()
            },
            networks: network::places(&snapshot),
            storage_form: self.0.storage_form().to_owned(),
            state: snapshot.state.clone(),
        })
    }

    /// Changes limits, also of a running container; gives warnings.
    pub async fn update(&self, container: &str, update: Update) -> Result<Vec<String>> {
        let update = Box::new(update);
        self.0
            .containers
            .find(container)?
            .ask(|reply| Command::Update { update, reply })
            .await
    }

    /// Tells its terminal the size.
    pub async fn resize(&self, container: &str, height: u16, width: u16) -> Result<()> {
        let snapshot = self.0.containers.resolve(container)?;
        if !snapshot.is_running() {
            return Err(not_running(snapshot.id()));
        }
        shim::resize(&snapshot.paths.exec, None, height, width).await?;
        let event = snapshot.record.event(
            "resize",
            [("height", height.to_string()), ("width", width.to_string())],
        );
        self.0.emit(event).await;
        Ok(())
    }
}
