//! The images of one store: looking them up, listing them, naming them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use wharf_store::{DiffId, Digest, Roots, Store};

use crate::catalogue::{Catalogue, Draft};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::error::ImageError;
use crate::id::{ImageId, chain_ids};
use crate::platform::Platform;
use crate::record::{ImageLayer, ImageRecord, TagRecord};
use crate::reference::{AnyReference, Reference};

/// The images of one store. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Images(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Replaced as a whole; the lock is held to copy or replace a pointer.
    current: RwLock<Arc<Catalogue>>,
    /// One draft at a time, held while the database commits.
    drafting: Mutex<()>,
}

/// Everything there is to know about an image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its ID.
    pub id: ImageId,
    /// What it says about itself.
    pub config: ImageConfig,
    /// The bytes of the configuration; their digest is the ID.
    pub raw_config: Vec<u8>,
    /// The layers, bottom first.
    pub layers: Vec<ImageLayer>,
    /// Names with a tag.
    pub tags: Vec<Reference>,
    /// Names with a digest.
    pub digests: Vec<Reference>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Bytes of the files in all layers.
    pub size: u64,
    /// The image it was committed from.
    pub parent: Option<ImageId>,
    /// The machine it is for.
    pub platform: Platform,
    /// The manifest it came with.
    pub manifest: Option<Digest>,
    /// When it last got a name.
    pub last_tagged: Option<Timestamp>,
}

impl Image {
    /// The layers' names in the store, bottom first.
    #[must_use]
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }
}

/// What a list of images shows of one.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// Its ID.
    pub id: ImageId,
    /// The image it was committed from.
    pub parent: Option<ImageId>,
    /// Names with a tag.
    pub tags: Vec<Reference>,
    /// Names with a digest.
    pub digests: Vec<Reference>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Bytes of the files in all layers.
    pub size: u64,
    /// Of these, in layers that other images have too; only when asked for.
    pub shared_size: Option<u64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The machine it is for.
    pub platform: Platform,
    /// The manifest it came with.
    pub manifest: Option<Digest>,
}

/// Whether an image's labels are those that are wanted.
pub type LabelFilter<'a> = &'a dyn Fn(&BTreeMap<String, String>) -> bool;

/// Which images to list. The default is all that `docker images` shows.
#[derive(Default)]
pub struct ListQuery<'a> {
    /// Also images without a name that others were committed from.
    pub all: bool,
    /// Only images without a name (`true`), only those with one (`false`).
    pub dangling: Option<bool>,
    /// Only images made before this one.
    pub before: Option<&'a str>,
    /// Only images made after this one.
    pub since: Option<&'a str>,
    /// Only images made no later.
    pub until: Option<Timestamp>,
    /// Only names that match one of these patterns, unless there are none.
    pub references: &'a [String],
    /// Only images with such labels.
    pub labels: Option<LabelFilter<'a>>,
    /// Work out [`ImageSummary::shared_size`].
    pub shared_size: bool,
}

impl Images {
    /// The images of `store`.
    pub fn open(store: Store) -> Result<Images, ImageError> {
        let current = Catalogue::read(store.facts())?;
        Ok(Images(Arc::new(Inner {
            store,
            current: RwLock::new(Arc::new(current)),
            drafting: Mutex::new(()),
        })))
    }

    /// The store they are in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The image of that ID.
    pub fn get(&self, id: &ImageId) -> Result<Image, ImageError> {
        let catalogue = self.catalogue();
        let record = catalogue
            .image(id)
            .ok_or_else(|| ImageError::NoSuchImage(id.to_string()))?;
        self.describe(&catalogue, *id, record)
    }

    /// The image that a user means by a name, an ID or the first digits of one.
    pub fn resolve(&self, text: &str) -> Result<Image, ImageError> {
        self.get(&self.resolve_id(text)?)
    }

    /// As [`Images::resolve`], of a multi-platform image the one for `wanted`.
    pub fn resolve_for(&self, text: &str, wanted: &Platform) -> Result<Image, ImageError> {
        let catalogue = self.catalogue();
        let found = lookup(&catalogue, text)?;
        let offered = match found.name.as_ref().and_then(|name| catalogue.tag(name)) {
            Some(tag) => tag.images().collect(),
            None => vec![found.id],
        };
        let best = offered
            .iter()
            .filter_map(|id| {
                let rank = wanted.suits(&catalogue.image(id)?.platform)?;
                Some((rank, *id))
            })
            .min();
        match best {
            Some((_, id)) => self.get(&id),
            None => Err(ImageError::OtherPlatform {
                name: text.to_owned(),
                wanted: wanted.to_string(),
                actual: catalogue
                    .image(&found.id)
                    .map(|image| image.platform.to_string())
                    .unwrap_or_default(),
            }),
        }
    }

    /// The ID of the image that a user means, without reading the image.
    pub fn resolve_id(&self, text: &str) -> Result<ImageId, ImageError> {
        lookup(&self.catalogue(), text).map(|found| found.id)
    }

    /// How many images there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.catalogue().images().count()
    }

    /// The images that the query asks for, newest first.
    pub fn list(&self, query: &ListQuery<'_>) -> Result<Vec<ImageSummary>, ImageError> {
        let catalogue = self.catalogue();
        let created_of = |text: &str| -> Result<Option<Timestamp>, ImageError> {
            let id = lookup(&catalogue, text)?.id;
            Ok(catalogue.image(&id).and_then(|image| image.created_at()))
        };
        let before = query.before.map(created_of).transpose()?;
        let since = query.since.map(created_of).transpose()?;
        let parents = catalogue.parents();
        let of_other_platforms = catalogue.of_other_platforms();
        let sharing = query.shared_size.then(|| Sharing::of(&catalogue));
        let mut summaries = Vec::new();
        for (id, image) in catalogue.images() {
            let created = image.created_at();
            let too_late = before.is_some_and(|limit| created >= limit)
                || query
                    .until
                    .is_some_and(|limit| created.is_some_and(|at| at > limit));
            let too_early = since.is_some_and(|limit| created <= limit);
            let labelled = query.labels.is_none_or(|matches| matches(&image.labels));
            if too_late || too_early || !labelled {
                continue;
            }
            let named = catalogue.is_named(id);
            if !named && of_other_platforms.contains(id) {
                continue;
            }
            let names = matching(catalogue.names_of(id), query.references)?;
            let (tags, digests) = split(names);
            let wanted = match query.dangling {
                Some(true) => tags.is_empty() && !parents.contains(id),
                Some(false) => !(tags.is_empty() && digests.is_empty()),
                None if !tags.is_empty() || !digests.is_empty() => true,
                None => query.references.is_empty() && (query.all || !parents.contains(id)),
            };
            if !wanted {
                continue;
            }
            summaries.push(ImageSummary {
                id: *id,
                parent: image.parent,
                tags,
                digests,
                created,
                size: image.size(),
                shared_size: sharing.as_ref().map(|sharing| sharing.shared(image)),
                labels: image.labels.clone(),
                platform: image.platform.clone(),
                manifest: image.manifest,
            });
        }
        summaries.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        Ok(summaries)
    }

    /// Give an image another name; if the name meant another image, that one loses it.
    pub fn tag(&self, id: &ImageId, name: &Reference) -> Result<(), ImageError> {
        if name.digest().is_some() {
            return Err(ImageError::TagWithDigest);
        }
        self.change(|draft| {
            if draft.catalogue().image(id).is_none() {
                return Err(ImageError::NoSuchImage(id.to_string()));
            }
            // A second name for a multi-platform image is one, too.
            let index = draft
                .catalogue()
                .names_of(id)
                .iter()
                .filter_map(|known| draft.catalogue().tag(known)?.index.clone())
                .next();
            let record = TagRecord {
                index,
                ..TagRecord::now(*id)
            };
            draft.put_tag(name.clone().or_latest(), record);
            Ok(())
        })
    }

    /// What garbage collection must keep for the images.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.catalogue().roots()
    }

    /// Bytes of the files in all layers of all images, each stack of layers counted once: what
    /// Docker calls `LayersSize`.
    #[must_use]
    pub fn layers_size(&self) -> u64 {
        Sharing::of(&self.catalogue())
            .chains
            .values()
            .map(|(_, size)| size)
            .sum()
    }

    /// The images of which something is missing in the store.
    pub fn incomplete(&self) -> Result<Vec<ImageError>, ImageError> {
        let mut found = Vec::new();
        for (id, image) in self.catalogue().images() {
            if self.store().blobs().size(&id.0)?.is_none() {
                found.push(ImageError::Incomplete {
                    id: *id,
                    missing: id.0,
                });
            }
            for diff_id in image.diff_ids() {
                if self.store().layers().get(diff_id)?.is_none() {
                    found.push(ImageError::Incomplete {
                        id: *id,
                        missing: diff_id.0,
                    });
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(
            &self
                .0
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Make a change: `edit` decides on a draft; on its success the draft is written and becomes
    /// what is true.
    pub(crate) fn change<T>(
        &self,
        edit: impl FnOnce(&mut Draft) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let _drafting = self
            .0
            .drafting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut draft = Draft::of(&self.catalogue());
        let result = edit(&mut draft)?;
        let catalogue = Arc::new(draft.commit(self.store().facts())?);
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = catalogue;
        Ok(result)
    }

    fn describe(
        &self,
        catalogue: &Catalogue,
        id: ImageId,
        record: &ImageRecord,
    ) -> Result<Image, ImageError> {
        let raw_config = self.store().blobs().read(&id.0, MAX_CONFIG)?;
        let config = ImageConfig::parse(&raw_config)?;
        let names = catalogue.names_of(&id);
        let last_tagged = names
            .iter()
            .filter_map(|name| catalogue.tag(name)?.tagged_at())
            .max();
        let (tags, digests) = split(names);
        Ok(Image {
            id,
            config,
            raw_config,
            layers: record.layers.clone(),
            tags,
            digests,
            created: record.created_at(),
            size: record.size(),
            parent: record.parent,
            platform: record.platform.clone(),
            manifest: record.manifest,
            last_tagged,
        })
    }
}

/// What a word of a user turned out to mean.
pub(crate) struct Found {
    pub(crate) id: ImageId,
    /// The name, if it was one and not an ID.
    pub(crate) name: Option<Reference>,
}

/// An ID; else a name; else the first digits of an ID.
pub(crate) fn lookup(catalogue: &Catalogue, text: &str) -> Result<Found, ImageError> {
    let reference = AnyReference::parse(text)?;
    let missing = || ImageError::NoSuchImage(reference.familiar());
    let name = match &reference {
        AnyReference::Id(digest) => {
            let id = ImageId(*digest);
            return catalogue
                .image(&id)
                .map(|_| Found { id, name: None })
                .ok_or_else(missing);
        }
        AnyReference::Named(name) => name.lookup_form(),
    };
    if let Some(tag) = catalogue.tag(&name) {
        return Ok(Found {
            id: tag.image,
            name: Some(name),
        });
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if !digits
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(missing());
    }
    let mut candidates = catalogue.with_prefix(digits);
    match (candidates.next(), candidates.next()) {
        (Some(id), None) => Ok(Found { id, name: None }),
        (Some(_), Some(_)) => Err(ImageError::Ambiguous),
        (None, _) => Err(missing()),
    }
}

fn matching(names: Vec<Reference>, patterns: &[String]) -> Result<Vec<Reference>, ImageError> {
    if patterns.is_empty() {
        return Ok(names);
    }
    let mut matching = Vec::new();
    for name in names {
        for pattern in patterns {
            if name.matches(pattern)? {
                matching.push(name);
                break;
            }
        }
    }
    Ok(matching)
}

/// Names with a tag, names with a digest.
fn split(names: Vec<Reference>) -> (Vec<Reference>, Vec<Reference>) {
    names.into_iter().partition(|name| name.digest().is_none())
}

/// How many images have each stack of layers.
struct Sharing {
    /// By chain ID: in how many images, and the size of its top layer.
    chains: HashMap<Digest, (u32, u64)>,
}

impl Sharing {
    fn of(catalogue: &Catalogue) -> Sharing {
        let mut chains = HashMap::new();
        for (_, image) in catalogue.images() {
            for (chain, layer) in chain_ids(image.diff_ids()).zip(&image.layers) {
                chains.entry(chain).or_insert((0, layer.size)).0 += 1;
            }
        }
        Sharing { chains }
    }

    fn shared(&self, image: &ImageRecord) -> u64 {
        chain_ids(image.diff_ids())
            .filter_map(|chain| self.chains.get(&chain))
            .filter(|(images, _)| *images > 1)
            .map(|(_, size)| size)
            .sum()
    }
}
