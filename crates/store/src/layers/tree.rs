//! What a layer's archive leaves behind when it is extracted, without extracting it.
//!
//! The tree takes the entries of an archive in order and keeps what a sequential extraction into
//! an empty directory, with that directory as `/`, would leave: later entries replace earlier
//! ones, a directory over a directory keeps its content, a directory over a symlink replaces it,
//! a path through a symlink follows it inside the tree, parents that have no entry of their own
//! are made, a hard link to a name that is replaced later keeps the old content. All of this
//! happens in memory, on names; so there is nothing a hostile archive could be extracted over,
//! and both forms of a layer are made from one interpretation.
//!
//! Whiteouts and opaque marks are kept apart from objects while the archive is read, since they
//! concern the layers below only, in whatever order they stand (OCI image specification,
//! "Whiteouts"); [`Tree::finish`] turns them into what overlayfs understands.
//!
//! A file knows where its bytes are ([`Source`]); the tree holds none of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::path::{self, Meaning};
use crate::tar::{Entry, Kind, Time};

/// Symlinks followed in one path before it is called a loop: the kernel's own number.
const MAX_SYMLINKS: u32 = 40;

/// The largest value of an extended attribute that can be stored.
const MAX_XATTR_VALUE: usize = 65535;

/// Attributes that are overlayfs's own: in an image they could only make it look for content
/// where the layers have none.
const OVERLAY: &[u8] = b"trusted.overlay.";

/// Why an entry cannot be part of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("file name too long")]
    NameTooLong,
    #[error("invalid whiteout")]
    BadWhiteout,
    #[error("not a directory")]
    NotADirectory,
    #[error("it is reached through a symbolic link that leads nowhere")]
    DanglingLink,
    #[error("too many levels of symbolic links")]
    LinkLoop,
    #[error("the root of a layer can only be a directory")]
    Root,
    #[error("the target of the hard link is not in the layer")]
    NoLinkTarget,
    #[error("a hard link to a directory")]
    LinkToDirectory,
    #[error("a symbolic link with no text, or too much of it")]
    LinkText,
    #[error("device number out of range")]
    Device,
    #[error("invalid extended attribute")]
    Xattr,
    #[error("too many entries")]
    TooManyEntries,
    #[error("names, links and attributes are too large altogether")]
    TooMuchMetadata,
}

/// A node of a [`Tree`].
pub(super) type NodeId = u32;

/// The top directory.
pub(super) const ROOT: NodeId = 0;

/// Where the bytes of a file are. Offsets are multiples of 512.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In the layer's tar, at this offset.
    Tar(u64),
    /// In the side file, at this offset: a sparse file, laid out.
    Side(u64),
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Object {
    Directory(Directory),
    File { size: u64, source: Source },
    Symlink(Box<[u8]>),
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// The entries of a directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<Box<[u8]>, NodeId>,
    /// Names hidden in the layers below; after [`Tree::finish`] none that is an entry, too.
    pub(super) whiteouts: BTreeSet<Box<[u8]>>,
    /// Everything below is hidden.
    pub(super) opaque: bool,
    /// The directory this one is in; of the root, itself.
    pub(super) parent: NodeId,
}

/// Extended attributes by full name, in order.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// An object with its metadata.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) object: Object,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) xattrs: Xattrs,
    /// Names it has; 0 if it was replaced. Of a directory always 1 or 0.
    pub(super) names: u32,
}

impl Node {
    pub(super) fn directory(&self) -> Option<&Directory> {
        match &self.object {
            Object::Directory(directory) => Some(directory),
            _ => None,
        }
    }
}

/// How much a tree may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeLimits {
    /// Objects and whiteouts.
    pub(super) entries: u64,
    /// Bytes of names, link texts and extended attributes.
    pub(super) metadata: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    limits: TreeLimits,
    /// There was an entry.
    begun: bool,
    /// Names and whiteouts that were ever inserted.
    names: u64,
    metadata: u64,
}

/// What is where a path leads.
struct Place<'a> {
    parent: NodeId,
    name: &'a [u8],
}

/// What to do about parents that are missing.
#[derive(Clone, Copy)]
enum Missing {
    Make { mtime: Time },
    Refuse,
}

impl Tree {
    /// An empty directory.
    pub(super) fn new(limits: TreeLimits) -> Tree {
        Tree {
            nodes: vec![Node {
                object: Object::Directory(Directory::default()),
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: Time::default(),
                xattrs: Vec::new(),
                names: 1,
            }],
            limits,
            begun: false,
            names: 0,
            metadata: 0,
        }
    }

    /// A node.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// How many nodes there ever were, replaced ones included: ids are below it.
    pub(super) fn capacity(&self) -> usize {
        self.nodes.len()
    }

    /// Take the next entry of the archive, whose bytes are at `source`.
    pub(super) fn apply(&mut self, entry: &Entry, source: Source) -> Result<(), Refusal> {
        if !std::mem::replace(&mut self.begun, true) {
            // The root, too, is a parent without an entry, until there is one.
            self.nodes[ROOT as usize].mtime = entry.mtime;
        }
        let components = path::clean(&entry.path)?;
        let Some((name, parents)) = components.split_last() else {
            return self.apply_root(entry);
        };
        let missing = Missing::Make { mtime: entry.mtime };
        let parent = self.descend(parents, missing)?;
        match path::meaning(name)? {
            Meaning::Object(name) => self.place(entry, &Place { parent, name }, source),
            Meaning::Nothing => Ok(()),
            Meaning::Opaque => {
                self.directory_mut(parent)?.opaque = true;
                Ok(())
            }
            Meaning::Whiteout(name) => {
                self.count_name(name)?;
                self.directory_mut(parent)?.whiteouts.insert(name.into());
                Ok(())
            }
        }
    }

    /// The archive has ended: settle what whiteouts and opaque marks mean.
    ///
    /// A directory that both hides the one below and is there anew is opaque. A whiteout whose
    /// name is there anew as anything else says nothing that the object does not say itself.
    /// In or under an opaque directory there is nothing to hide, and overlayfs would list such a
    /// whiteout as a file.
    pub(super) fn finish(&mut self) {
        if let Object::Directory(root) = &mut self.nodes[ROOT as usize].object
            && let Some(hidden) = root.entries.remove(path::AUFS_LINKS)
        {
            self.forget(hidden);
        }
        let mut todo = vec![(ROOT, false)];
        while let Some((id, nothing_below)) = todo.pop() {
            let Object::Directory(directory) = &mut self.nodes[id as usize].object else {
                continue;
            };
            let nothing_below = nothing_below || directory.opaque;
            let whiteouts = std::mem::take(&mut directory.whiteouts);
            let children: Vec<(bool, NodeId)> = directory
                .entries
                .iter()
                .map(|(name, &child)| (whiteouts.contains(name), child))
                .collect();
            if !nothing_below {
                directory.whiteouts = whiteouts;
                let entries = &directory.entries;
                directory
                    .whiteouts
                    .retain(|name| !entries.contains_key(name));
            }
            for (hides, child) in children {
                if let Object::Directory(below) = &mut self.nodes[child as usize].object {
                    below.opaque |= hides && !nothing_below;
                    todo.push((child, nothing_below));
                }
            }
        }
    }

    /// An entry for the root itself.
    fn apply_root(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if entry.kind != Kind::Directory {
            return Err(Refusal::Root);
        }
        let xattrs = self.accepted_xattrs(&entry.xattrs)?;
        let root = &mut self.nodes[ROOT as usize];
        root.mode = entry.mode;
        root.uid = entry.uid;
        root.gid = entry.gid;
        root.mtime = entry.mtime;
        merge_xattrs(&mut root.xattrs, xattrs);
        Ok(())
    }

    /// Put the object of an entry where it belongs.
    fn place(&mut self, entry: &Entry, place: &Place<'_>, source: Source) -> Result<(), Refusal> {
        let existing = self.lookup(place.parent, place.name);
        if entry.kind == Kind::HardLink {
            let target = self.link_target(&entry.link)?;
            if existing != Some(target) {
                self.replace(place, existing)?;
                self.nodes[target as usize].names += 1;
                self.insert(place, target)?;
            }
            return Ok(());
        }
        let xattrs = self.accepted_xattrs(&entry.xattrs)?;
        if entry.kind == Kind::Directory
            && let Some(id) = existing
            && self.node(id).directory().is_some()
        {
            let node = &mut self.nodes[id as usize];
            node.mode = entry.mode;
            node.uid = entry.uid;
            node.gid = entry.gid;
            node.mtime = entry.mtime;
            merge_xattrs(&mut node.xattrs, xattrs);
            return Ok(());
        }
        let object = match entry.kind {
            Kind::Directory => Object::Directory(Directory {
                parent: place.parent,
                ..Directory::default()
            }),
            Kind::File | Kind::HardLink => Object::File {
                size: entry.size,
                source,
            },
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.len() > path::MAX_PATH {
                    return Err(Refusal::LinkText);
                }
                self.count(entry.link.len())?;
                Object::Symlink(entry.link.as_slice().into())
            }
            Kind::CharacterDevice { major, minor } => {
                check_device(major, minor)?;
                Object::CharacterDevice { major, minor }
            }
            Kind::BlockDevice { major, minor } => {
                check_device(major, minor)?;
                Object::BlockDevice { major, minor }
            }
            Kind::Fifo => Object::Fifo,
        };
        self.replace(place, existing)?;
        let id = self.add(Node {
            object,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs,
            names: 1,
        })?;
        self.insert(place, id)
    }

    /// The node that a hard link names.
    fn link_target(&mut self, link: &[u8]) -> Result<NodeId, Refusal> {
        let components = path::clean(link)?;
        let Some((name, parents)) = components.split_last() else {
            return Err(Refusal::LinkToDirectory);
        };
        let parent = match self.descend(parents, Missing::Refuse) {
            Err(Refusal::DanglingLink) => return Err(Refusal::NoLinkTarget),
            parent => parent?,
        };
        let target = self.lookup(parent, name).ok_or(Refusal::NoLinkTarget)?;
        match self.node(target).object {
            Object::Directory(_) => Err(Refusal::LinkToDirectory),
            _ => Ok(target),
        }
    }

    /// The directory that `components` lead to, symlinks followed.
    fn descend(&mut self, components: &[&[u8]], missing: Missing) -> Result<NodeId, Refusal> {
        // The usual case needs no queue: every component is a directory.
        let mut here = ROOT;
        for (at, name) in components.iter().enumerate() {
            match self.lookup(here, name) {
                Some(id) if self.node(id).directory().is_some() => here = id,
                Some(id) if matches!(self.node(id).object, Object::Symlink(_)) => {
                    return self.descend_by_links(here, &components[at..], missing);
                }
                Some(_) => return Err(Refusal::NotADirectory),
                None => here = self.make_parent(here, name, missing)?,
            }
        }
        Ok(here)
    }

    fn descend_by_links(
        &mut self,
        start: NodeId,
        components: &[&[u8]],
        missing: Missing,
    ) -> Result<NodeId, Refusal> {
        let mut todo: VecDeque<Box<[u8]>> = components.iter().map(|&name| name.into()).collect();
        // How many at the front of the queue come out of a link: those must exist.
        let mut of_link = 0usize;
        let mut followed = 0;
        let mut here = start;
        while let Some(name) = todo.pop_front() {
            let from_link = of_link > 0;
            of_link = of_link.saturating_sub(1);
            if &*name == b".." {
                here = self.parent(here);
                continue;
            }
            let Some(id) = self.lookup(here, &name) else {
                let missing = if from_link { Missing::Refuse } else { missing };
                here = self.make_parent(here, &name, missing)?;
                continue;
            };
            match &self.node(id).object {
                Object::Directory(_) => here = id,
                Object::Symlink(text) => {
                    followed += 1;
                    if followed > MAX_SYMLINKS {
                        return Err(Refusal::LinkLoop);
                    }
                    if text.starts_with(b"/") {
                        here = ROOT;
                    }
                    let names: Vec<_> = text
                        .split(|&byte| byte == b'/')
                        .filter(|name| !matches!(*name, b"" | b"."))
                        .collect();
                    of_link += names.len();
                    for name in names.into_iter().rev() {
                        todo.push_front(name.into());
                    }
                }
                _ => return Err(Refusal::NotADirectory),
            }
        }
        Ok(here)
    }

    /// A directory that has no entry of its own (yet).
    fn make_parent(
        &mut self,
        parent: NodeId,
        name: &[u8],
        missing: Missing,
    ) -> Result<NodeId, Refusal> {
        let Missing::Make { mtime } = missing else {
            return Err(Refusal::DanglingLink);
        };
        let id = self.add(Node {
            object: Object::Directory(Directory {
                parent,
                ..Directory::default()
            }),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Vec::new(),
            names: 1,
        })?;
        self.insert(&Place { parent, name }, id)?;
        Ok(id)
    }

    fn lookup(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(directory).directory()?.entries.get(name).copied()
    }

    fn parent(&self, directory: NodeId) -> NodeId {
        self.node(directory)
            .directory()
            .map_or(ROOT, |directory| directory.parent)
    }

    fn directory_mut(&mut self, id: NodeId) -> Result<&mut Directory, Refusal> {
        match &mut self.nodes[id as usize].object {
            Object::Directory(directory) => Ok(directory),
            _ => Err(Refusal::NotADirectory),
        }
    }

    fn add(&mut self, node: Node) -> Result<NodeId, Refusal> {
        let id = NodeId::try_from(self.nodes.len()).map_err(|_| Refusal::TooManyEntries)?;
        self.nodes.push(node);
        Ok(id)
    }

    fn insert(&mut self, place: &Place<'_>, id: NodeId) -> Result<(), Refusal> {
        self.count_name(place.name)?;
        let name = place.name.into();
        self.directory_mut(place.parent)?.entries.insert(name, id);
        Ok(())
    }

    /// Take away what is at a place, if anything is.
    fn replace(&mut self, place: &Place<'_>, existing: Option<NodeId>) -> Result<(), Refusal> {
        if let Some(existing) = existing {
            self.directory_mut(place.parent)?.entries.remove(place.name);
            self.forget(existing);
        }
        Ok(())
    }

    /// One name of a node is gone, and with a directory all that is below.
    fn forget(&mut self, id: NodeId) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let node = &mut self.nodes[id as usize];
            node.names = node.names.saturating_sub(1);
            if let Object::Directory(directory) = &mut node.object {
                todo.extend(std::mem::take(&mut directory.entries).into_values());
                directory.whiteouts = BTreeSet::new();
            }
        }
    }

    /// One more name. Names that were replaced count on: what they named is kept, too.
    fn count_name(&mut self, name: &[u8]) -> Result<(), Refusal> {
        self.names += 1;
        if self.names > self.limits.entries {
            return Err(Refusal::TooManyEntries);
        }
        self.count(name.len())
    }

    /// More metadata.
    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.metadata += bytes as u64;
        if self.metadata > self.limits.metadata {
            return Err(Refusal::TooMuchMetadata);
        }
        Ok(())
    }

    /// The attributes of an entry that this kernel's file systems could hold. Those of other
    /// systems are left out, as Docker does; those that are too large are an error.
    fn accepted_xattrs(&mut self, xattrs: &Xattrs) -> Result<Xattrs, Refusal> {
        let mut accepted = Vec::new();
        for (name, value) in xattrs {
            if !is_storable(name) || name.starts_with(OVERLAY) {
                continue;
            }
            if name.len() > path::MAX_NAME || value.len() > MAX_XATTR_VALUE {
                return Err(Refusal::Xattr);
            }
            self.count(name.len() + value.len())?;
            accepted.push((name.clone(), value.clone()));
        }
        Ok(accepted)
    }
}

/// Attribute names that Linux file systems store.
fn is_storable(name: &[u8]) -> bool {
    let prefixes = [&b"user."[..], b"trusted.", b"security."];
    let prefixed = prefixes
        .iter()
        .any(|prefix| name.starts_with(prefix) && name.len() > prefix.len());
    prefixed
        || matches!(
            name,
            b"system.posix_acl_access" | b"system.posix_acl_default"
        )
}

/// What `mknod` can make: 12 bits of major, 20 of minor number.
fn check_device(major: u32, minor: u32) -> Result<(), Refusal> {
    if major < 1 << 12 && minor < 1 << 20 {
        Ok(())
    } else {
        Err(Refusal::Device)
    }
}

/// Set `newer` over `xattrs`, which stays in order.
fn merge_xattrs(xattrs: &mut Xattrs, newer: Xattrs) {
    for (name, value) in newer {
        match xattrs.binary_search_by(|(existing, _)| existing.cmp(&name)) {
            Ok(at) => xattrs[at].1 = value,
            Err(at) => xattrs.insert(at, (name, value)),
        }
    }
}
