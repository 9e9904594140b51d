//! Finding containers by id, name or the first digits of an id.
//!
//! The lock is held for lookups in maps, never across I/O or a wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{mpsc, oneshot, watch};

use super::command::Command;
use super::snapshot::Snapshot;
use crate::{Error, Result};

/// A container's task, from outside.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(super) commands: mpsc::Sender<Box<Command>>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Container {
    /// How it is now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// To be told of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Sends a command and waits for its answer. The command is carried out even if the caller
    /// is dropped.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::NoSuchContainer(self.snapshot().id().to_owned());
        self.commands
            .send(Box::new(command(reply)))
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// All containers.
#[derive(Debug, Default)]
pub(crate) struct Registry(RwLock<Index>);

#[derive(Debug, Default)]
struct Index {
    containers: BTreeMap<String, Container>,
    /// Name -> id, also of containers that are being made.
    names: HashMap<String, String>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container that a user means: by full id, by name, by the first digits of its id.
    pub(crate) fn find(&self, reference: &str) -> Result<Container> {
        let index = self.read();
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let exact = index
            .containers
            .get(reference)
            .or_else(|| index.containers.get(index.names.get(name)?));
        if let Some(container) = exact {
            return Ok(container.clone());
        }
        if reference.is_empty() {
            return Err(Error::NoSuchContainer(String::new()));
        }
        let mut matching = index
            .containers
            .range(reference.to_owned()..)
            .take_while(|(id, _)| id.starts_with(reference));
        match (matching.next(), matching.next()) {
            (Some((_, container)), None) => Ok(container.clone()),
            (Some(_), Some(_)) => Err(Error::InvalidArgument(format!(
                "multiple IDs found with provided prefix: {reference}"
            ))),
            (None, _) => Err(Error::NoSuchContainer(reference.to_owned())),
        }
    }

    /// As [`Registry::find`], how it is now.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Arc<Snapshot>> {
        self.find(reference).map(|container| container.snapshot())
    }

    /// Every container, as it is now, in no order that means anything.
    pub(crate) fn all(&self) -> Vec<Arc<Snapshot>> {
        self.read()
            .containers
            .values()
            .map(Container::snapshot)
            .collect()
    }

    /// Every container's task.
    pub(crate) fn tasks(&self) -> Vec<Container> {
        self.read().containers.values().cloned().collect()
    }

    /// Takes a name for an id, or says who has it.
    pub(super) fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut index = self.write();
        if let Some(owner) = index.names.get(name) {
            return Err(Error::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        index.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back, if that id has it.
    pub(super) fn release(&self, name: &str, id: &str) {
        let mut index = self.write();
        if index.names.get(name).is_some_and(|owner| owner == id) {
            index.names.remove(name);
        }
    }

    /// A container that now exists; its name was reserved before.
    pub(super) fn insert(&self, id: &str, container: Container) {
        self.write().containers.insert(id.to_owned(), container);
    }

    /// One that does no more.
    pub(super) fn remove(&self, id: &str, name: &str) {
        self.write().containers.remove(id);
        self.release(name, id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::container;
    use super::*;

    fn registry(ids: &[(&str, &str)]) -> Registry {
        let registry = Registry::default();
        for (id, name) in ids {
            registry.reserve(name, id).unwrap();
            registry.insert(id, container(id, name));
        }
        registry
    }

    #[test]
    fn a_container_is_found_by_id_name_or_unique_prefix() {
        let registry = registry(&[("abc1", "web"), ("abd2", "abc")]);
        for (reference, id) in [
            ("abc1", "abc1"),
            ("web", "abc1"),
            ("/web", "abc1"),
            ("abd", "abd2"),
            // A name goes before a prefix.
            ("abc", "abd2"),
        ] {
            assert_eq!(registry.resolve(reference).unwrap().id(), id, "{reference}");
        }
    }

    #[test]
    fn an_ambiguous_prefix_and_an_unknown_name_are_told_apart() {
        let registry = registry(&[("abc1", "web"), ("abd2", "db")]);
        assert_eq!(
            registry.find("ab").unwrap_err().to_string(),
            "multiple IDs found with provided prefix: ab"
        );
        assert_eq!(
            registry.find("x").unwrap_err().to_string(),
            "No such container: x"
        );
        assert!(registry.find("").is_err());
    }

    #[test]
    fn a_name_that_is_taken_is_a_conflict_until_it_is_given_back() {
        let registry = registry(&[("abc1", "web")]);
        assert_eq!(
            registry.reserve("web", "new").unwrap_err().to_string(),
            "Conflict. The container name \"/web\" is already in use by container \"abc1\". You have to remove (or rename) that container to be able to reuse that name."
        );
        registry.release("web", "somebody else");
        assert!(registry.reserve("web", "new").is_err());
        registry.remove("abc1", "web");
        registry.reserve("web", "new").unwrap();
    }
}
