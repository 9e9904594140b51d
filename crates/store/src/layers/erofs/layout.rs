//! Where everything goes: the first pass.

use std::collections::HashMap;

use super::attributes::Shared;
use super::{BLOCK, MAX_BLOCKS, SLOT, directory};
use crate::layers::tree::{Directory, Node, NodeId, Object, ROOT, Source, Tree};
use crate::tar::Time;

/// The length of an inode, by its form.
pub(super) const COMPACT: u64 = 32;
pub(super) const EXTENDED: u64 = 64;

/// Where the superblock is, how long it is, and how long a device slot after it is.
pub(super) const SUPERBLOCK: u64 = 1024;
pub(super) const SLOT_OF_DEVICE: u64 = 128;

/// The mark of a directory that hides what is below it.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

/// How the content of an inode is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// None, or a device number.
    None,
    /// Whole blocks from this one on.
    Blocks(u64),
    /// The last, partial block follows the inode; the whole ones before it begin here.
    Tail(u64),
}

/// One inode and its place.
#[derive(Debug)]
pub(super) struct Inode {
    /// The node, or none for the inode of all whiteouts.
    pub(super) node: Option<NodeId>,
    /// Where it is in the image, in bytes.
    pub(super) at: u64,
    pub(super) extended: bool,
    /// How long its attributes are.
    pub(super) attributes: usize,
    /// How long its content is.
    pub(super) size: u64,
    pub(super) content: Content,
    pub(super) links: u32,
}

/// The whole image, planned.
#[derive(Debug)]
pub(super) struct Layout {
    /// In the order of their places; the first is the root.
    pub(super) inodes: Vec<Inode>,
    pub(super) shared: Shared,
    /// The time that compact inodes have.
    pub(super) build_time: Time,
    /// Where shared attributes begin, in blocks.
    pub(super) shared_at: u64,
    /// From where inodes are numbered, in blocks.
    pub(super) numbered_from: u64,
    /// Where whole blocks of directories and links begin, in bytes.
    pub(super) data_at: u64,
    /// How many blocks the image has; the tar's follow.
    pub(super) blocks: u64,
    /// Where the side file's begin.
    pub(super) side_at: u64,
    /// The number of each node's inode.
    numbers: Vec<u64>,
    whiteout: u64,
    /// Bytes of files and link texts.
    pub(super) content_bytes: u64,
}

/// An image that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::layers) enum Unfit {
    #[error("the layer is larger than two tebibytes")]
    TooLarge,
    #[error("the extended attributes of a file are too large")]
    Xattrs,
}

impl Layout {
    /// Plan the image of a tree, beside a tar and a side file of these many bytes.
    pub(super) fn of(tree: &Tree, tar_bytes: u64, side_bytes: u64) -> Result<Layout, Unfit> {
        let order = order(tree);
        let mut layout = Layout {
            inodes: Vec::with_capacity(order.nodes.len() + 1),
            shared: Shared::default(),
            build_time: most_frequent_time(tree, &order.nodes),
            shared_at: 0,
            numbered_from: 0,
            data_at: 0,
            blocks: 0,
            side_at: 0,
            numbers: vec![0; tree.capacity()],
            whiteout: 0,
            content_bytes: 0,
        };
        for &id in &order.nodes {
            layout.shared.count(&attributes(tree.node(id)));
        }
        layout.shared.settle();
        layout.place_inodes(tree, &order)?;
        layout.place_blocks(tree, tar_bytes, side_bytes)?;
        Ok(layout)
    }

    /// The number of a node's inode.
    pub(super) fn number(&self, id: NodeId) -> u64 {
        self.numbers[id as usize]
    }

    /// The number of the inode that all whiteouts are.
    pub(super) fn whiteout(&self) -> u64 {
        self.whiteout
    }

    fn place_inodes(&mut self, tree: &Tree, order: &Order) -> Result<(), Unfit> {
        let head = SUPERBLOCK + 3 * SLOT_OF_DEVICE;
        self.shared_at = head.div_ceil(BLOCK);
        let inodes_at =
            (self.shared_at + (self.shared.area().len() as u64).div_ceil(BLOCK)) * BLOCK;
        // Number 0 is no number for an inode: tools skip directory entries that have it. So they
        // are counted from one block further up.
        self.numbered_from = inodes_at / BLOCK - 1;
        let mut next = inodes_at;
        for &id in &order.nodes {
            let node = tree.node(id);
            let inode = self.inode(tree, id)?;
            if let Object::File { .. } | Object::Symlink(_) = node.object {
                self.content_bytes = self.content_bytes.saturating_add(inode.size);
            }
            self.place(inode, &mut next);
        }
        if order.whiteouts > 0 {
            let inode = Inode {
                node: None,
                at: 0,
                extended: true,
                attributes: 0,
                size: 0,
                content: Content::None,
                links: order.whiteouts,
            };
            self.place(inode, &mut next);
        }
        self.data_at = next.next_multiple_of(BLOCK);
        Ok(())
    }

    /// An inode, and whether its tail can follow it.
    fn inode(&self, tree: &Tree, id: NodeId) -> Result<Inode, Unfit> {
        let node = tree.node(id);
        let attributes = self.shared.body(&attributes(node)).len();
        if !Shared::fits(attributes) {
            return Err(Unfit::Xattrs);
        }
        let (size, links) = match &node.object {
            Object::Directory(directory) => {
                let names = names(directory);
                let below = directory.entries.values();
                let below = below
                    .filter(|&&id| tree.node(id).directory().is_some())
                    .count();
                (directory::length(&names), below as u32 + 2)
            }
            Object::Symlink(text) => (text.len() as u64, node.names),
            Object::File { size, .. } => (*size, node.names),
            _ => (0, node.names),
        };
        let extended = node.mtime != self.build_time
            || node.uid > u32::from(u16::MAX)
            || node.gid > u32::from(u16::MAX)
            || links > u32::from(u16::MAX)
            || size > u64::from(u32::MAX);
        let inode_length = if extended { EXTENDED } else { COMPACT };
        let content = match node.object {
            Object::Directory(_) | Object::Symlink(_) => {
                let tail = size % BLOCK;
                if tail > 0 && inode_length + attributes as u64 + tail <= BLOCK {
                    Content::Tail(0)
                } else {
                    Content::Blocks(0)
                }
            }
            _ => Content::None,
        };
        Ok(Inode {
            node: Some(id),
            at: 0,
            extended,
            attributes,
            size,
            content,
            links,
        })
    }

    /// Give an inode the next place that suits it: itself in one block, and its tail in one.
    fn place(&mut self, mut inode: Inode, next: &mut u64) {
        let own = inode.length();
        let (together, length) = match inode.content {
            Content::Tail(_) => {
                let all = own + inode.attributes as u64 + inode.size % BLOCK;
                (all, all)
            }
            _ => (own, own + inode.attributes as u64),
        };
        let mut at = next.next_multiple_of(SLOT);
        if at % BLOCK + together > BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        inode.at = at;
        *next = at + length;
        let number = (at - self.numbered_from * BLOCK) / SLOT;
        match inode.node {
            Some(id) => self.numbers[id as usize] = number,
            None => self.whiteout = number,
        }
        self.inodes.push(inode);
    }

    /// Number the blocks: those of directories and links here, those of files in the devices.
    fn place_blocks(&mut self, tree: &Tree, tar_bytes: u64, side_bytes: u64) -> Result<(), Unfit> {
        let mut next = self.data_at / BLOCK;
        for inode in &mut self.inodes {
            match inode.content {
                Content::None => {}
                Content::Tail(_) => {
                    inode.content = Content::Tail(next);
                    next += inode.size / BLOCK;
                }
                Content::Blocks(_) => {
                    inode.content = Content::Blocks(next);
                    next += inode.size.div_ceil(BLOCK);
                }
            }
        }
        self.blocks = next;
        self.side_at = self.blocks + tar_bytes.div_ceil(BLOCK);
        if self.side_at + side_bytes.div_ceil(BLOCK) >= MAX_BLOCKS {
            return Err(Unfit::TooLarge);
        }
        for inode in &mut self.inodes {
            let Some(id) = inode.node else { continue };
            if let Object::File { size, source } = tree.node(id).object {
                let first = match source {
                    _ if size == 0 => 0,
                    Source::Tar(offset) => self.blocks + offset / BLOCK,
                    Source::Side(offset) => self.side_at + offset / BLOCK,
                };
                inode.content = Content::Blocks(first);
            }
        }
        Ok(())
    }
}

impl Inode {
    /// How long the inode itself is.
    pub(super) fn length(&self) -> u64 {
        if self.extended { EXTENDED } else { COMPACT }
    }
}

/// The nodes that are still there, directories before what is in them, what is in one directory
/// together: so that listing a directory reads few blocks.
struct Order {
    nodes: Vec<NodeId>,
    whiteouts: u32,
}

fn order(tree: &Tree) -> Order {
    let mut order = Order {
        nodes: vec![ROOT],
        whiteouts: 0,
    };
    let mut seen = vec![false; tree.capacity()];
    let mut at = 0;
    while let Some(&id) = order.nodes.get(at) {
        at += 1;
        let Some(directory) = tree.node(id).directory() else {
            continue;
        };
        order.whiteouts += directory.whiteouts.len() as u32;
        for &child in directory.entries.values() {
            if !std::mem::replace(&mut seen[child as usize], true) {
                order.nodes.push(child);
            }
        }
    }
    order
}

/// The time that most nodes have; of several, the earliest.
fn most_frequent_time(tree: &Tree, nodes: &[NodeId]) -> Time {
    let mut counts: HashMap<Time, usize> = HashMap::new();
    for &id in nodes {
        *counts.entry(tree.node(id).mtime).or_insert(0) += 1;
    }
    let best = counts
        .into_iter()
        .max_by_key(|&(time, count)| (count, std::cmp::Reverse(time)));
    best.map_or_else(Time::default, |(time, _)| time)
}

/// The attributes of a node, with the mark of an opaque directory.
pub(super) fn attributes(node: &Node) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut attributes = node.xattrs.clone();
    if node.directory().is_some_and(|directory| directory.opaque) {
        attributes.push((OPAQUE.0.to_vec(), OPAQUE.1.to_vec()));
    }
    attributes
}

/// The names in a directory, sorted, with those of itself and its parent.
pub(super) fn names(directory: &Directory) -> Vec<&[u8]> {
    let entries = directory.entries.keys().chain(&directory.whiteouts);
    let mut names: Vec<&[u8]> = entries.map(|name| &**name).collect();
    names.extend([&b"."[..], b".."]);
    names.sort_unstable();
    names
}
