//! The volumes of the `local` driver: documents in the database, directories on the disk.
//!
//! ```text
//! <data-root>/volumes/<name>/_data     0701 on <name>, so that a container's user reaches its own
//! ```
//! The directory is there before the row that says so, and goes after it: what is left by a
//! crash is an empty directory that nobody names. Who uses a volume is not kept here: it is read
//! from the containers.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use wharf_store::{Batch, Store};

use super::driver;
use super::start::Gate;
use crate::model::{Volume, VolumeCreate};
use crate::{Error, Result, clock, events, ids};

/// Kind of the documents; the key is the name.
const KIND: &str = "volume";

/// All volumes. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub(crate) struct Volumes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    root: PathBuf,
    /// Held for lookups, never across I/O.
    known: RwLock<BTreeMap<String, Volume>>,
    /// One change at a time, so that two requests for one name make one volume. Holds the names
    /// that containers in the making are about to use.
    changing: Mutex<HashMap<String, u32>>,
    gate: Gate,
}

/// Keeps volumes from being removed until the container that wants them exists.
#[derive(Debug)]
pub(crate) struct Hold {
    volumes: Volumes,
    names: Vec<String>,
}

impl Volumes {
    /// Reads what there is.
    pub(crate) fn open(store: &Store, data_root: &Path) -> Result<Volumes> {
        let root = data_root.join("volumes");
        make_dir(&root, 0o701)?;
        let known = store
            .facts()
            .all::<Volume>(KIND)?
            .into_iter()
            .collect::<BTreeMap<String, Volume>>();
        Ok(Volumes(Arc::new(Inner {
            store: store.clone(),
            root,
            known: RwLock::new(known),
            changing: Mutex::default(),
            gate: Gate::default(),
        })))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Volume>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Volume>> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Gate`].
    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// From here on nobody removes the volumes named on the hold.
    pub(crate) fn hold(&self) -> Hold {
        Hold {
            volumes: self.clone(),
            names: Vec::new(),
        }
    }

    /// The volume of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Volume> {
        self.read().get(name).cloned()
    }

    /// All, by name.
    pub(crate) fn all(&self) -> Vec<Volume> {
        self.read().values().cloned().collect()
    }

    /// Makes a volume, or gives the one of that name; says whether it is new. Blocks. The number
    /// of the event is for the journal.
    pub(crate) fn create(&self, request: VolumeCreate) -> Result<(Volume, Option<u64>)> {
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(Error::NotFound(format!(
                "create {1}: error looking up volume plugin {0}: plugin \"{0}\" not found",
                request.driver, request.name
            )));
        }
        let anonymous = request.name.is_empty();
        let name = if anonymous {
            ids::generate()
        } else {
            check_name(&request.name)?;
            request.name
        };
        driver::check(&request.options)
            .map_err(|why| Error::InvalidArgument(format!("create {name}: {why}")))?;
        let _one_at_a_time = self.changing();
        if let Some(known) = self.get(&name) {
            return Ok((known, None));
        }
        let dir = self.0.root.join(&name);
        let data = dir.join("_data");
        make_dir(&dir, 0o701)?;
        make_dir(&data, 0o755)?;
        let volume = Volume {
            name: name.clone(),
            mountpoint: data.display().to_string(),
            created: clock::now(),
            labels: request.labels,
            options: request.options,
            anonymous,
        };
        let number = self.commit("create", &volume, |batch| {
            batch.put(KIND, &name, &volume);
        })?;
        self.write().insert(name, volume.clone());
        Ok((volume, number))
    }

    /// Removes a volume and what is in it. Blocks. The caller has seen that nobody uses it.
    pub(crate) fn remove(&self, name: &str) -> Result<Option<u64>> {
        let held = self.changing();
        if held.contains_key(name) {
            return Err(Error::Conflict(format!(
                "remove {name}: volume is in use by a container that is being created"
            )));
        }
        let volume = self
            .get(name)
            .ok_or_else(|| Error::NoSuchVolume(name.to_owned()))?;
        let number = self.commit("destroy", &volume, |batch| {
            batch.delete(KIND, name);
        })?;
        self.write().remove(name);
        // The content is a container's own: removed by handle.
        let root = wharf_sys::rooted::Root::open(&self.0.root)
            .map_err(|error| Error::Internal(error.to_string()))?;
        root.remove_all(name)
            .map_err(|error| Error::Internal(format!("remove volume {name}: {error}")))?;
        Ok(number)
    }

    fn commit(
        &self,
        action: &str,
        volume: &Volume,
        change: impl FnOnce(&mut Batch),
    ) -> Result<Option<u64>> {
        let mut batch = Batch::new();
        change(&mut batch);
        let attributes = [("driver".to_owned(), "local".to_owned())];
        let event = events::event("volume", action, &volume.name, attributes);
        events::add(&mut batch, &event)?;
        Ok(self.0.store.facts().commit(batch)?.last().copied())
    }
}

impl Hold {
    /// This one, whether it exists yet or not.
    pub(crate) fn add(&mut self, name: &str) {
        *self.volumes.changing().entry(name.to_owned()).or_insert(0) += 1;
        self.names.push(name.to_owned());
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.volumes.changing();
        for name in &self.names {
            if let Some(count) = held.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    held.remove(name);
                }
            }
        }
    }
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, and no longer than a file name.
fn check_name(name: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.len() == 1 {
        return Err(Error::InvalidArgument(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    let good = name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(word);
    if good {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Bytes of the files in a volume. Blocks.
pub(crate) fn size(mountpoint: &str) -> u64 {
    crate::tree_size::of(Path::new(mountpoint))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::Internal(format!("make {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_names_follow_dockers_pattern() {
        for good in ["ab", "data_1", "a.b-c"] {
            check_name(good).unwrap();
        }
        for bad in ["", "a", "-ab", "a b", "../x", "a/b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
