//! The engine's handle, its opening and its end.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wharf_images::Images;
use wharf_runtime::shim::Program;
use wharf_store::store::StoreOptions;
use wharf_store::{Batch, Facts, Store};

use crate::blocking::blocking;
use crate::containers::{self, Registry};
use crate::events::Journal;
use crate::exec::Execs;
use crate::host::Host;
use crate::model::StopOptions;
use crate::networks::Networks;
use crate::volumes::Volumes;
use crate::{EngineOptions, Error, LayerForm, Result, clock};

/// The engine. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

/// What all parts of the engine share. Nothing here is locked across a wait.
#[derive(Debug)]
pub(crate) struct Inner {
    /// As opened.
    pub(crate) options: EngineOptions,
    /// Blobs, layers, facts.
    pub(crate) store: Store,
    /// Images and their names.
    pub(crate) images: Images,
    /// Who waits for events.
    pub(crate) events: Journal,
    /// All containers.
    pub(crate) containers: Registry,
    /// All execs.
    pub(crate) execs: Execs,
    /// All volumes.
    pub(crate) volumes: Volumes,
    /// All networks.
    pub(crate) networks: Networks,
    /// What holds containers.
    pub(crate) shim: Program,
    /// What can be done here.
    pub(crate) host: Host,
    /// Who this engine is.
    pub(crate) identity: Identity,
    /// No new work is taken.
    pub(crate) closing: CancellationToken,
    /// Every task ends.
    pub(crate) stopping: CancellationToken,
}

/// What stays the same over all starts of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// A UUID.
    pub(crate) id: String,
    /// The first start, nanoseconds since 1970.
    pub(crate) created: i64,
}

/// The program of shims, sealed against the containers that they will hold.
fn shim_program(words: &[String]) -> Result<Program> {
    let (path, arguments) = words
        .split_first()
        .ok_or_else(|| Error::Internal("no program for shims".to_owned()))?;
    Program::sealed(Path::new(path), arguments)
        .map_err(|error| Error::Internal(format!("the program of shims, {path}: {error}")))
}

/// Kind and key of the document.
const IDENTITY: (&str, &str) = ("engine", "identity");

impl Engine {
    /// Opens the data root, takes back the containers that run, and is ready.
    pub async fn open(options: EngineOptions) -> Result<Engine> {
        let engine = blocking(move || Ok(Engine(Arc::new(Inner::open(options)?)))).await?;
        containers::restore(&engine).await?;
        // A load cut short may have left whole layers that no image names.
        engine.collect_in_background();
        Ok(engine)
    }

    /// Stops accepting work. Containers go on, unless the options say that they end with the
    /// daemon.
    pub async fn shutdown(&self) {
        self.0.closing.cancel();
        if !self.0.options.live_restore {
            self.stop_all().await;
        }
        self.0.stopping.cancel();
    }

    /// All at once, with the patience each of them asks for, but no more than the options allow.
    async fn stop_all(&self) {
        let mut stopping = JoinSet::new();
        for snapshot in self.0.containers.all() {
            if snapshot.is_running() {
                let engine = self.clone();
                stopping.spawn(async move {
                    let id = snapshot.id();
                    match engine.stop(id, StopOptions::default()).await {
                        Ok(()) | Err(Error::NotModified(_) | Error::NoSuchContainer(_)) => {}
                        Err(error) => tracing::warn!(id, %error, "not stopped with the daemon"),
                    }
                });
            }
        }
        let all = async { while stopping.join_next().await.is_some() {} };
        match u64::try_from(self.0.options.shutdown_timeout) {
            Ok(seconds) => {
                if tokio::time::timeout(Duration::from_secs(seconds), all)
                    .await
                    .is_err()
                {
                    tracing::warn!(seconds, "containers that did not end in time go on");
                }
            }
            Err(_) => all.await,
        }
    }
}

impl Inner {
    /// Blocks.
    fn open(options: EngineOptions) -> Result<Inner> {
        let (data, exec) = (&options.data_root, &options.exec_root);
        // Others may pass through, to the API's socket and to nothing else.
        make_dir(exec, 0o711)?;
        make_dir(&exec.join("containers"), 0o700)?;
        let store = Store::open(
            data,
            &StoreOptions {
                layers: options.layers,
            },
        )?;
        make_dir(&data.join("containers"), 0o700)?;
        let images = Images::open(store.clone())?;
        let volumes = Volumes::open(&store, data)?;
        let host = Host::open(&options)?;
        let shim = shim_program(&options.shim)?;
        let identity = identity(store.facts())?;
        let networks = Networks::open(
            &store,
            options.network.clone(),
            &identity.id,
            identity.created,
        )?;
        store.facts().trim_events(options.events_kept)?;
        let events = Journal::new(store.facts().last_event()?);
        Ok(Inner {
            options,
            store,
            images,
            events,
            containers: Registry::default(),
            execs: Execs::default(),
            volumes,
            networks,
            shim,
            host,
            identity,
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Refuses new work once the engine is being closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.is_cancelled() {
            return Err(Error::Unavailable("the engine is shutting down".to_owned()));
        }
        Ok(())
    }

    /// `index` or `directory`.
    pub(crate) fn storage_form(&self) -> &'static str {
        match self.store.layers().form() {
            LayerForm::Directory => "directory",
            LayerForm::Auto | LayerForm::Index => "index",
        }
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|error| Error::Internal(format!("make {}: {error}", path.display())))
}

/// Read, or made at the first start.
fn identity(facts: &Facts) -> Result<Identity> {
    let (kind, key) = IDENTITY;
    if let Some(known) = facts.get(kind, key)? {
        return Ok(known);
    }
    let made = Identity {
        id: uuid(rand::random()),
        created: clock::now(),
    };
    let mut batch = Batch::new();
    batch.put(kind, key, &made);
    facts.commit(batch)?;
    Ok(made)
}

/// Version 4 (RFC 9562).
fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
