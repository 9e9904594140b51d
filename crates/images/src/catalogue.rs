//! Which images and names exist: an immutable value, replaced as a whole.
//!
//! Readers take the current [`Catalogue`] and look at it for as long as they like. A change is a
//! [`Draft`]: it starts as a copy, collects what has to be written to the database, and becomes
//! the current catalogue after the database has it. Whatever is decided in a draft (does this
//! image have another name?) is decided on the state that will be true when it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wharf_store::{Batch, Digest, Facts, Roots, StoreError};

use crate::id::ImageId;
use crate::record::{IMAGE, ImageRecord, TAG, TagRecord};
use crate::reference::Reference;

/// All images and names at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    images: BTreeMap<ImageId, Arc<ImageRecord>>,
    tags: BTreeMap<Reference, Arc<TagRecord>>,
    /// The names whose image for this machine is the key.
    names: BTreeMap<ImageId, BTreeSet<Reference>>,
}

impl Catalogue {
    /// What the database says. A name whose image is gone is left out, and logged.
    pub(crate) fn read(facts: &Facts) -> Result<Catalogue, StoreError> {
        let mut catalogue = Catalogue::default();
        for (key, record) in facts.all::<ImageRecord>(IMAGE)? {
            catalogue.images.insert(key.parse()?, Arc::new(record));
        }
        for (key, record) in facts.all::<TagRecord>(TAG)? {
            match key.parse::<Reference>() {
                Ok(name) if catalogue.images.contains_key(&record.image) => {
                    catalogue.insert_tag(name, record);
                }
                _ => tracing::warn!(name = key, image = %record.image, "a name without an image"),
            }
        }
        Ok(catalogue)
    }

    pub(crate) fn image(&self, id: &ImageId) -> Option<&Arc<ImageRecord>> {
        self.images.get(id)
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = (&ImageId, &Arc<ImageRecord>)> {
        self.images.iter()
    }

    pub(crate) fn tag(&self, name: &Reference) -> Option<&Arc<TagRecord>> {
        self.tags.get(name)
    }

    /// The names of a repository, with or without tag or digest.
    pub(crate) fn names_in<'a>(
        &'a self,
        repository: &'a Reference,
    ) -> impl Iterator<Item = (&'a Reference, &'a Arc<TagRecord>)> {
        self.tags.iter().filter(|(name, _)| {
            name.domain() == repository.domain() && name.path() == repository.path()
        })
    }

    /// The names of an image, in the order Docker lists them.
    pub(crate) fn names_of(&self, id: &ImageId) -> Vec<Reference> {
        let mut names: Vec<Reference> = self.names.get(id).into_iter().flatten().cloned().collect();
        names.sort_by_cached_key(Reference::to_string);
        names
    }

    pub(crate) fn is_named(&self, id: &ImageId) -> bool {
        self.names.contains_key(id)
    }

    /// The images that a name keeps for machines other than this one.
    pub(crate) fn of_other_platforms(&self) -> BTreeSet<ImageId> {
        self.tags
            .values()
            .filter(|tag| tag.index.is_some())
            .flat_map(|tag| {
                tag.images()
                    .filter(|id| *id != tag.image)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    pub(crate) fn children(&self, id: &ImageId) -> bool {
        self.images.values().any(|image| image.parent == Some(*id))
    }

    /// The images that are the parent of another.
    pub(crate) fn parents(&self) -> BTreeSet<ImageId> {
        self.images
            .values()
            .filter_map(|image| image.parent)
            .collect()
    }

    /// Images whose ID begins with these hexadecimal digits.
    pub(crate) fn with_prefix<'a>(&'a self, hex: &'a str) -> impl Iterator<Item = ImageId> + 'a {
        // IDs are ordered as their digits are: everything from the prefix on, while it matches.
        let from = ImageId(Digest::from_bytes(first_with(hex)));
        self.images
            .range(from..)
            .map(|(id, _)| *id)
            .take_while(move |id| id.0.hex().starts_with(hex))
    }

    /// Everything in the store that images and names need.
    pub(crate) fn roots(&self) -> Roots {
        let mut roots = Roots::default();
        for (id, image) in &self.images {
            roots.blobs.insert(id.0);
            roots.blobs.extend(image.manifest);
            roots.layers.extend(image.diff_ids().copied());
        }
        for index in self.tags.values().filter_map(|tag| tag.index.as_ref()) {
            roots.blobs.insert(index.digest);
            roots.blobs.extend(&index.attached);
        }
        roots
    }

    fn insert_tag(&mut self, name: Reference, record: TagRecord) {
        self.remove_tag(&name);
        self.names
            .entry(record.image)
            .or_default()
            .insert(name.clone());
        self.tags.insert(name, Arc::new(record));
    }

    fn remove_tag(&mut self, name: &Reference) -> Option<Arc<TagRecord>> {
        let record = self.tags.remove(name)?;
        if let Some(names) = self.names.get_mut(&record.image) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&record.image);
            }
        }
        Some(record)
    }
}

/// The smallest digest whose digits begin with `hex`, which holds only hexadecimal digits.
fn first_with(hex: &str) -> [u8; 32] {
    let mut padded = hex.to_owned();
    while padded.len() < 64 {
        padded.push('0');
    }
    Digest::from_hex(&padded).map_or([0xff; 32], |digest| *digest.as_bytes())
}

/// A change in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    catalogue: Catalogue,
    batch: Batch,
}

impl Draft {
    pub(crate) fn of(catalogue: &Catalogue) -> Draft {
        Draft {
            catalogue: catalogue.clone(),
            batch: Batch::new(),
        }
    }

    /// The catalogue as it will be.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) fn put_image(&mut self, id: ImageId, record: ImageRecord) {
        self.batch.put(IMAGE, &id.to_string(), &record);
        self.catalogue.images.insert(id, Arc::new(record));
    }

    /// Remove an image. Its names are removed before; its children stop having a parent.
    pub(crate) fn delete_image(&mut self, id: &ImageId) {
        self.batch.delete(IMAGE, &id.to_string());
        self.catalogue.images.remove(id);
        let orphans: Vec<ImageId> = self
            .catalogue
            .images
            .iter()
            .filter(|(_, image)| image.parent == Some(*id))
            .map(|(child, _)| *child)
            .collect();
        for child in orphans {
            if let Some(record) = self.catalogue.images.get(&child) {
                let record = ImageRecord {
                    parent: None,
                    ..ImageRecord::clone(record)
                };
                self.put_image(child, record);
            }
        }
    }

    pub(crate) fn put_tag(&mut self, name: Reference, record: TagRecord) {
        self.batch.put(TAG, &name.to_string(), &record);
        self.catalogue.insert_tag(name, record);
    }

    pub(crate) fn delete_tag(&mut self, name: &Reference) -> Option<Arc<TagRecord>> {
        let record = self.catalogue.remove_tag(name)?;
        self.batch.delete(TAG, &name.to_string());
        Some(record)
    }

    /// Write the change; the result is the catalogue that is now true.
    pub(crate) fn commit(self, facts: &Facts) -> Result<Catalogue, StoreError> {
        facts.commit(self.batch)?;
        Ok(self.catalogue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn record() -> ImageRecord {
        ImageRecord {
            layers: Vec::new(),
            platform: Platform::of("linux", "amd64", ""),
            created: None,
            labels: BTreeMap::new(),
            parent: None,
            manifest: None,
        }
    }

    fn id(bytes: &[u8]) -> ImageId {
        ImageId(Digest::of(bytes))
    }

    fn facts(directory: &tempfile::TempDir) -> Facts {
        Facts::open(&directory.path().join("wharf.db")).unwrap()
    }

    #[test]
    fn a_committed_draft_is_what_the_database_says() {
        let directory = tempfile::tempdir().unwrap();
        let facts = facts(&directory);
        let name = Reference::parse("a:1").unwrap();
        let mut draft = Draft::of(&Catalogue::default());
        draft.put_image(id(b"a"), record());
        draft.put_image(
            id(b"b"),
            ImageRecord {
                parent: Some(id(b"a")),
                ..record()
            },
        );
        draft.put_tag(name.clone(), TagRecord::now(id(b"a")));
        draft.put_tag(name.clone(), TagRecord::now(id(b"b")));
        let catalogue = draft.commit(&facts).unwrap();
        assert_eq!(catalogue.names_of(&id(b"b")), std::slice::from_ref(&name));
        assert!(!catalogue.is_named(&id(b"a")) && catalogue.children(&id(b"a")));

        let mut draft = Draft::of(&catalogue);
        draft.delete_image(&id(b"a"));
        draft.commit(&facts).unwrap();
        let read = Catalogue::read(&facts).unwrap();
        assert_eq!(read.images().count(), 1);
        assert_eq!(read.image(&id(b"b")).unwrap().parent, None);
        assert_eq!(read.tag(&name).unwrap().image, id(b"b"));
    }

    #[test]
    fn a_draft_that_is_dropped_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::default();
        let mut draft = Draft::of(&catalogue);
        draft.put_image(id(b"a"), record());
        drop(draft);
        assert!(catalogue.image(&id(b"a")).is_none());
        assert_eq!(
            Catalogue::read(&facts(&directory))
                .unwrap()
                .images()
                .count(),
            0
        );
    }

    #[test]
    fn images_are_found_by_the_first_digits_of_their_id() {
        let mut draft = Draft::of(&Catalogue::default());
        for number in 0..200u32 {
            draft.put_image(id(&number.to_le_bytes()), record());
        }
        let catalogue = draft.catalogue();
        for prefix in ["0", "a", "ff", "f", "3", "e3b"] {
            let slow = catalogue
                .images()
                .filter(|(id, _)| id.0.hex().starts_with(prefix))
                .count();
            assert_eq!(catalogue.with_prefix(prefix).count(), slow, "{prefix}");
        }
    }
}
