//! Removing images: Docker's rules of what is untagged, what is deleted, and what is in the way.
//!
//! A name is given: the name goes; if it was the last one, the image goes with it, quietly left
//! alone if something is in the way. An ID is given: the image goes with its names, if these are
//! all in one repository. In the way are, unforceable, a running container and an image committed
//! from this one; forceable, a stopped container and names in several repositories. With the
//! image goes its parent, if that has neither name, child nor container.

use std::collections::HashSet;

use jiff::Timestamp;
use wharf_store::Digest;

use crate::catalogue::{Catalogue, Draft};
use crate::error::ImageError;
use crate::id::{ImageId, chain_ids};
use crate::images::{Images, LabelFilter, lookup};
use crate::record::ImageRecord;
use crate::reference::Reference;

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUse {
    /// The container's ID.
    pub id: String,
    /// Whether it runs.
    pub running: bool,
}

/// Which container uses an image: a running one if there is one, else any.
pub type InUse<'a> = &'a dyn Fn(&ImageId) -> Option<ContainerUse>;

/// Whether to go on where Docker asks for `--force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Stop at every conflict.
    No,
    /// Stop only at conflicts that cannot be forced.
    Yes,
}

/// What happens to parents that nothing needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// They are removed as well.
    Remove,
    /// They stay (`--no-prune`).
    Keep,
}

/// A request to remove an image.
pub struct RemoveRequest<'a> {
    /// Name, ID or the first digits of one.
    pub name: &'a str,
    /// `--force`.
    pub force: Force,
    /// Not `--no-prune`.
    pub parents: Parents,
    /// Who uses which image.
    pub in_use: InUse<'a>,
}

/// Something that was removed, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name, in its familiar form, and the image it meant.
    Untagged(String, ImageId),
    /// An image.
    Image(ImageId),
    /// A stack of layers that no image has any more, by its chain ID.
    Layer(Digest),
}

/// Which images to prune. The default is all without a name.
pub struct PruneRequest<'a> {
    /// Only images without a name; otherwise all that no container uses.
    pub dangling_only: bool,
    /// Only images made no later.
    pub until: Option<Timestamp>,
    /// Only images with such labels.
    pub labels: LabelFilter<'a>,
    /// Who uses which image.
    pub in_use: InUse<'a>,
}

/// What pruning removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// In the order it happened.
    pub removed: Vec<Removed>,
    /// Bytes of the files in the layers that no image has any more.
    pub bytes: u64,
}

impl Images {
    /// Remove a name or an image. What the store held for it is freed by the next collection.
    pub fn remove(&self, request: &RemoveRequest<'_>) -> Result<Vec<Removed>, ImageError> {
        self.change(|draft| {
            let mut removal = Removal::new(draft, request.in_use);
            removal.remove(request)?;
            Ok(removal.finish().removed)
        })
    }

    /// Remove every image that nobody needs and that the request asks for.
    pub fn prune(&self, request: &PruneRequest<'_>) -> Result<Pruned, ImageError> {
        self.change(|draft| {
            let candidates = candidates(draft.catalogue(), request);
            let mut removal = Removal::new(draft, request.in_use);
            for id in candidates {
                let names = removal.draft.catalogue().names_of(&id);
                let mut words: Vec<String> = names.iter().map(Reference::to_string).collect();
                if names.is_empty() {
                    words.push(id.0.hex());
                }
                for word in words {
                    let request = RemoveRequest {
                        name: &word,
                        force: Force::No,
                        parents: Parents::Remove,
                        in_use: request.in_use,
                    };
                    match removal.remove(&request) {
                        // Gone with another, or needed: both are no failure of pruning.
                        Ok(()) | Err(ImageError::Conflict(_) | ImageError::NoSuchImage(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(removal.finish())
        })
    }
}

fn candidates(catalogue: &Catalogue, request: &PruneRequest<'_>) -> Vec<ImageId> {
    let parents = catalogue.parents();
    let of_other_platforms = catalogue.of_other_platforms();
    let wanted = |id: &ImageId, image: &ImageRecord| {
        let names = catalogue.names_of(id);
        let tagged = names.iter().any(|name| name.tag().is_some());
        let needed = names.is_empty() && (parents.contains(id) || of_other_platforms.contains(id));
        let young = request
            .until
            .is_some_and(|limit| image.created_at().is_none_or(|at| at > limit));
        !needed
            && !young
            && !(request.dangling_only && (tagged || parents.contains(id)))
            && (request.labels)(&image.labels)
    };
    catalogue
        .images()
        .filter(|(id, image)| wanted(id, image))
        .map(|(id, _)| *id)
        .collect()
}

/// Something in the way of deleting an image.
struct Obstacle {
    forceable: bool,
    /// It is a container.
    used: bool,
    message: String,
}

/// Which obstacles count.
#[derive(Clone, Copy)]
struct Minding {
    names: bool,
    stopped_containers: bool,
}

struct Removal<'a> {
    draft: &'a mut Draft,
    in_use: InUse<'a>,
    removed: Vec<Removed>,
    /// The images deleted, whose layers may have become free.
    deleted: Vec<ImageRecord>,
}

impl<'a> Removal<'a> {
    fn new(draft: &'a mut Draft, in_use: InUse<'a>) -> Removal<'a> {
        Removal {
            draft,
            in_use,
            removed: Vec::new(),
            deleted: Vec::new(),
        }
    }

    fn remove(&mut self, request: &RemoveRequest<'_>) -> Result<(), ImageError> {
        let found = lookup(self.draft.catalogue(), request.name)?;
        let id = found.id;
        let forced = request.force == Force::Yes;
        let names = self.draft.catalogue().names_of(&id);
        let mut quiet = false;
        if let Some(name) = found.name {
            if !forced && is_single(&names) {
                self.refuse_to_orphan(request.name, &id)?;
            }
            self.untag(&name);
            self.untag_digests_left_alone(&name, &id);
            if self.draft.catalogue().is_named(&id) {
                return Ok(());
            }
            quiet = true;
        } else if is_single(&names) {
            let minding = Minding {
                names: false,
                stopped_containers: !forced,
            };
            if let Some(obstacle) = self.obstacle(&id, minding) {
                return Err(conflict(&id, &obstacle));
            }
            for name in &names {
                self.untag(name);
            }
        }
        self.delete(&id, request.force, request.parents, quiet)
    }

    /// Removing the only name of an image that a container uses would leave it nameless.
    fn refuse_to_orphan(&self, name: &str, id: &ImageId) -> Result<(), ImageError> {
        let Some(container) = (self.in_use)(id) else {
            return Ok(());
        };
        Err(ImageError::Conflict(format!(
            "conflict: unable to remove repository reference {name:?} (must force) - container {} is using its referenced image {}",
            short(&container.id),
            id.short(),
        )))
    }

    /// When a repository has no tag of the image left, its digests of it go, too.
    fn untag_digests_left_alone(&mut self, name: &Reference, id: &ImageId) {
        if name.digest().is_some() {
            return;
        }
        let same_repository: Vec<Reference> = self
            .draft
            .catalogue()
            .names_of(id)
            .into_iter()
            .filter(|other| other.name() == name.name())
            .collect();
        if same_repository.iter().all(|other| other.digest().is_some()) {
            for digest in same_repository {
                self.untag(&digest);
            }
        }
    }

    fn untag(&mut self, name: &Reference) {
        let Some(tag) = self.draft.delete_tag(name) else {
            return;
        };
        self.removed
            .push(Removed::Untagged(name.familiar(), tag.image));
        // The images of the same name for other machines lose their only hold with it.
        let others: Vec<ImageId> = tag.images().filter(|id| *id != tag.image).collect();
        let held = self.draft.catalogue().of_other_platforms();
        for other in others {
            if !held.contains(&other) && !self.draft.catalogue().is_named(&other) {
                // Quiet, so that only a broken draft could fail, which the caller's own delete
                // will find as well.
                let _ = self.delete(&other, Force::No, Parents::Keep, true);
            }
        }
    }

    fn delete(
        &mut self,
        id: &ImageId,
        force: Force,
        parents: Parents,
        quiet: bool,
    ) -> Result<(), ImageError> {
        let Some(record) = self.draft.catalogue().image(id).cloned() else {
            return Ok(());
        };
        let forced = force == Force::Yes;
        let minding = Minding {
            names: !forced,
            stopped_containers: !forced,
        };
        if let Some(obstacle) = self.obstacle(id, minding) {
            let catalogue = self.draft.catalogue();
            let dangling = !catalogue.is_named(id) && !catalogue.children(id);
            if quiet && (!dangling || obstacle.used) {
                return Ok(());
            }
            return Err(conflict(id, &obstacle));
        }
        for name in self.draft.catalogue().names_of(id) {
            self.untag(&name);
        }
        self.draft.delete_image(id);
        self.removed.push(Removed::Image(*id));
        // A container that survives the image (forced) keeps its layers.
        if (self.in_use)(id).is_none() {
            self.free_layers(&record);
            self.deleted.push(ImageRecord::clone(&record));
        }
        match record.parent {
            Some(parent) if parents == Parents::Remove => {
                self.delete(&parent, Force::No, parents, true)
            }
            _ => Ok(()),
        }
    }

    /// List the stacks of layers that only this image had, top first.
    fn free_layers(&mut self, record: &ImageRecord) {
        let kept: HashSet<Digest> = self
            .draft
            .catalogue()
            .images()
            .flat_map(|(_, image)| chain_ids(image.diff_ids()).collect::<Vec<_>>())
            .collect();
        let freed: Vec<Digest> = chain_ids(record.diff_ids())
            .filter(|chain| !kept.contains(chain))
            .collect();
        self.removed
            .extend(freed.into_iter().rev().map(Removed::Layer));
    }

    fn obstacle(&self, id: &ImageId, minding: Minding) -> Option<Obstacle> {
        let catalogue = self.draft.catalogue();
        if catalogue.children(id) {
            return Some(Obstacle {
                forceable: false,
                used: false,
                message: "image has dependent child images".to_owned(),
            });
        }
        let container = (self.in_use)(id);
        if let Some(container) = container.as_ref().filter(|container| container.running) {
            let container = short(&container.id);
            return Some(Obstacle {
                forceable: false,
                used: true,
                message: format!("image is being used by running container {container}"),
            });
        }
        if minding.names && catalogue.is_named(id) {
            return Some(Obstacle {
                forceable: true,
                used: false,
                message: "image is referenced in multiple repositories".to_owned(),
            });
        }
        container
            .filter(|_| minding.stopped_containers)
            .map(|container| Obstacle {
                forceable: true,
                used: true,
                message: format!(
                    "image is being used by stopped container {}",
                    short(&container.id)
                ),
            })
    }

    fn finish(self) -> Pruned {
        let freed: HashSet<Digest> = self
            .removed
            .iter()
            .filter_map(|removed| match removed {
                Removed::Layer(chain) => Some(*chain),
                Removed::Untagged(..) | Removed::Image(_) => None,
            })
            .collect();
        let mut counted = HashSet::new();
        let mut bytes = 0;
        for image in &self.deleted {
            for (chain, layer) in chain_ids(image.diff_ids()).zip(&image.layers) {
                if freed.contains(&chain) && counted.insert(chain) {
                    bytes += layer.size;
                }
            }
        }
        Pruned {
            removed: self.removed,
            bytes,
        }
    }
}

fn conflict(id: &ImageId, obstacle: &Obstacle) -> ImageError {
    let force = if obstacle.forceable {
        "must be forced"
    } else {
        "cannot be forced"
    };
    ImageError::Conflict(format!(
        "conflict: unable to delete {} ({force}) - {}",
        id.short(),
        obstacle.message
    ))
}

/// All names in one repository, and at most one of them a tag. Not so without any name.
fn is_single(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let Some(first) = names.first() else {
        return false;
    };
    tags <= 1 && names.iter().all(|name| name.name() == first.name())
}

fn short(container: &str) -> &str {
    container.get(..12).unwrap_or(container)
}
