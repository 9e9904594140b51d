//! A container's tree for `cp` and `export`, on a thread of its own.
//!
//! Of a container that runs it is what its first process sees, held by that process's handle. Of
//! another it is put together: its layers and changes as an overlay, and over it what a start
//! would mount there from the host (volumes, binds, the engine's files in `/etc`). That happens in
//! a mount namespace that only this thread is in: the host's table stays as it is, and all of it
//! is gone when the thread ends, also by a crash.
//!
//! Such an overlay has a scratch directory to itself. The container may be started meanwhile, and
//! two overlays with one scratch directory would pull it from under each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io, thread};

use tokio::sync::{Semaphore, oneshot};
use wharf_store::layers::OverlayUpper;
use wharf_sys::rooted::Root;

use super::mounts;
use crate::containers::Snapshot;
use crate::process::Process;
use crate::volumes;
use crate::{Engine, Error, Result, ids};

/// Copies at once; further ones wait. A slow client keeps a thread for as long as it likes.
const MAX_COPIES: usize = 64;

static COPIES: Semaphore = Semaphore::const_new(MAX_COPIES);

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What its processes see: volumes, binds and all.
    Seen,
    /// Its own files alone, and nothing that is mounted over them.
    Bare,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its top.
    pub(crate) root: Root,
    scratch: Option<Scratch>,
}

/// Does something with a container's tree, which may block for as long as it likes.
pub(crate) async fn with_tree<T: Send + 'static>(
    engine: &Engine,
    snapshot: Arc<Snapshot>,
    scope: Scope,
    work: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
) -> Result<T> {
    let closed = |_| Error::Unavailable("the engine is shutting down".to_owned());
    let turn = COPIES.acquire().await.map_err(closed)?;
    let (sender, result) = oneshot::channel();
    let engine = engine.clone();
    let work = move || {
        let worked = Tree::open(&engine, &snapshot, scope).and_then(|tree| work(&tree));
        drop(turn);
        let _ = sender.send(worked);
    };
    thread::Builder::new()
        .name("cp".to_owned())
        .spawn(work)
        .map_err(|error| Error::Internal(format!("start a thread: {error}")))?;
    result
        .await
        .unwrap_or_else(|_| Err(Error::Internal("a copy died".to_owned())))
}

impl Tree {
    fn open(engine: &Engine, snapshot: &Snapshot, scope: Scope) -> Result<Tree> {
        // It may have ended a moment ago.
        if snapshot.is_running()
            && let Ok(process) = Process::of(engine, snapshot)
        {
            return Ok(Tree {
                root: match scope {
                    Scope::Seen => process.root()?,
                    Scope::Bare => process.bare_root()?,
                },
                scratch: None,
            });
        }
        let scratch = Scratch::new(snapshot)?;
        let upper = OverlayUpper {
            upper: snapshot.paths.upper(),
            work: scratch.path.join("work"),
        };
        let layers = engine.0.store.layers();
        let overlay = layers.overlay(&snapshot.record.layers, Some(&upper))?;
        let root = match scope {
            Scope::Seen => {
                let mut wanted = snapshot.record.mounts.clone();
                volumes::seen(engine, &mut wanted);
                mounts::over(overlay, &wanted, &snapshot.paths)
                    .map_err(|failure| Error::Internal(failure.to_string()))?
            }
            Scope::Bare => Root::from_fd(overlay),
        };
        Ok(Tree {
            root,
            scratch: Some(scratch),
        })
    }

    #[cfg(test)]
    pub(super) fn of(root: Root) -> Tree {
        Tree {
            root,
            scratch: None,
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // After the thread's last use of the overlay; what is still mounted needs it no more.
        if let Some(scratch) = self.scratch.take()
            && let Err(error) = scratch.remove()
        {
            tracing::warn!(path = %scratch.path.display(), %error, "the scratch directory of a copy is left");
        }
    }
}

/// The scratch directory of an overlay, in the container's own.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(snapshot: &Snapshot) -> Result<Scratch> {
        let name = format!("copy-{}", ids::generate().get(..16).unwrap_or_default());
        let path = snapshot.paths.data.join(name);
        fs::create_dir(&path)
            .and_then(|()| fs::create_dir(path.join("work")))
            .map_err(|error| Error::Internal(format!("make {}: {error}", path.display())))?;
        Ok(Scratch { path })
    }

    fn remove(&self) -> io::Result<()> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(());
        };
        Root::open(parent)?.remove_all(name)?;
        Ok(())
    }
}
