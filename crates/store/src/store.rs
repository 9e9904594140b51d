//! The store as a whole: its directory, its lock, its parts.
//!
//! ```text
//! <root>/            0711, so that a container's user can reach its own mounts below
//!   lock             held (flock) for as long as the store is open
//!   wharf.db         facts
//!   blobs/           see `blobs`
//!   layers/          see `layers`
//!   quarantine/      what `fsck` took out of use; never read again, kept for inspection
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{FlockOperation, flock};

use crate::blobs::Blobs;
use crate::directory;
use crate::error::StoreError;
use crate::facts::Facts;
use crate::layers::{LayerForm, Layers};
use crate::lease::{Lease, LeaseTable};

/// How a store is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreOptions {
    /// The form in which layers are kept.
    pub layers: LayerForm,
}

/// Blobs, layers and facts under one root. A clone is another handle to the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    blobs: Blobs,
    layers: Layers,
    facts: Facts,
    leases: Arc<LeaseTable>,
    /// One collection or check at a time.
    maintenance: Mutex<()>,
    /// Released by the kernel when the last handle is gone, also when the process is killed.
    _lock: File,
}

impl Store {
    /// Open the store in `root`, creating it if need be and removing what was interrupted.
    pub fn open(root: &Path, options: &StoreOptions) -> Result<Store, StoreError> {
        std::fs::create_dir_all(root.parent().unwrap_or(root))
            .map_err(StoreError::io("create", root))?;
        directory::make(root, 0o711)?;
        let lock = lock_root(root)?;
        for name in ["blobs", "layers", "quarantine"] {
            directory::make_private(&root.join(name))?;
        }
        Ok(Store(Arc::new(Inner {
            root: root.to_path_buf(),
            blobs: Blobs::at(&root.join("blobs"))?,
            layers: Layers::open(&root.join("layers"), options.layers)?,
            facts: Facts::open(&root.join("wharf.db"))?,
            leases: Arc::default(),
            maintenance: Mutex::new(()),
            _lock: lock,
        })))
    }

    /// Where the store is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Bytes by digest.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Layers by diff ID.
    #[must_use]
    pub fn layers(&self) -> &Layers {
        &self.0.layers
    }

    /// Documents and events.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// A lease: what is read or written under it survives [`Store::collect`].
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.leases.lease()
    }

    pub(crate) fn leases(&self) -> &LeaseTable {
        &self.0.leases
    }

    pub(crate) fn maintenance(&self) -> &Mutex<()> {
        &self.0.maintenance
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.0.root.join("quarantine")
    }
}

/// Two daemons on one root would each collect what the other is writing.
fn lock_root(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse(root.to_path_buf())),
        Err(source) => Err(StoreError::Io {
            action: "lock",
            path,
            source: source.into(),
        }),
    }
}
