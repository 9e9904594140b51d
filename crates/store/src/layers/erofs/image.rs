//! The image, written in the order it was planned: the second pass.

use std::io::{self, Write};

use super::layout::{Content, Inode, Layout, SLOT_OF_DEVICE, SUPERBLOCK, Unfit, attributes};
use super::notes::{Notes, crc32c};
use super::{BLOCK, SLOT, attributes as xattr, directory, le32};
use crate::digest::DiffId;
use crate::layers::tree::{Node, NodeId, Object, ROOT, Tree};
use crate::tar::Time;

const MAGIC: u32 = 0xe0f5_e1e2;
/// Compatible features: the superblock has a checksum; times are of modification.
const FEATURES: u32 = 0x1 | 0x2;
/// The one feature that a reader must know: a device table.
const DEVICE_TABLE: u32 = 0x8;

/// Layouts of inodes.
const FLAT: u16 = 0;
const FLAT_WITH_TAIL: u16 = 2;

/// File types of directory entries, and of modes.
const KIND_FILE: u8 = 1;
const KIND_DIRECTORY: u8 = 2;
const KIND_CHARACTER: u8 = 3;
const KIND_BLOCK: u8 = 4;
const KIND_FIFO: u8 = 5;
const KIND_SYMLINK: u8 = 7;
const MODE_FIFO: u32 = 0o010_000;
const MODE_CHARACTER: u32 = 0o020_000;
const MODE_DIRECTORY: u32 = 0o040_000;
const MODE_BLOCK: u32 = 0o060_000;
const MODE_FILE: u32 = 0o100_000;
const MODE_SYMLINK: u32 = 0o120_000;

/// What an index is of.
#[derive(Debug, Clone, Copy)]
pub(in crate::layers) struct Parts<'a> {
    pub(in crate::layers) tree: &'a Tree,
    pub(in crate::layers) diff_id: &'a DiffId,
    pub(in crate::layers) tar_bytes: u64,
    pub(in crate::layers) side_bytes: u64,
}

/// An image that was not written.
#[derive(Debug, thiserror::Error)]
pub(in crate::layers) enum WriteError {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Write the image of a finished tree; returns what it notes.
pub(in crate::layers) fn write(
    parts: &Parts<'_>,
    output: &mut impl Write,
) -> Result<Notes, WriteError> {
    let layout = Layout::of(parts.tree, parts.tar_bytes, parts.side_bytes)?;
    let notes = Notes {
        tar_bytes: parts.tar_bytes,
        side_bytes: parts.side_bytes,
        content_bytes: layout.content_bytes,
        entries: layout.inodes.len() as u64,
    };
    let mut image = Image {
        output,
        at: 0,
        tree: parts.tree,
        layout: &layout,
    };
    image.put(&notes.encode())?;
    image.pad_to(SUPERBLOCK)?;
    image.put(&superblock(parts, &layout))?;
    image.pad_to(layout.shared_at * BLOCK)?;
    image.put(layout.shared.area())?;
    for inode in &layout.inodes {
        image.inode(inode)?;
    }
    image.pad_to(layout.data_at)?;
    for inode in &layout.inodes {
        image.blocks_of(inode)?;
    }
    image.pad_to(layout.blocks * BLOCK)?;
    Ok(notes)
}

/// The superblock and the device table, up to the end of their block, with their checksum.
fn superblock(parts: &Parts<'_>, layout: &Layout) -> Vec<u8> {
    let mut block = vec![0u8; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let devices = if parts.side_bytes > 0 { 2u16 } else { 1 };
    put(0, &MAGIC.to_le_bytes());
    put(8, &FEATURES.to_le_bytes());
    put(12, &[BLOCK.trailing_zeros() as u8]);
    put(14, &(layout.number(ROOT) as u16).to_le_bytes());
    put(16, &(layout.inodes.len() as u64).to_le_bytes());
    put(24, &layout.build_time.seconds.to_le_bytes());
    put(32, &layout.build_time.nanoseconds.to_le_bytes());
    put(36, &le32(layout.blocks));
    put(40, &le32(layout.numbered_from));
    put(44, &le32(layout.shared_at));
    put(48, &parts.diff_id.0.as_bytes()[..16]);
    put(80, &DEVICE_TABLE.to_le_bytes());
    put(86, &devices.to_le_bytes());
    // In units of a device slot.
    let table = SUPERBLOCK / SLOT_OF_DEVICE + 1;
    put(88, &(table as u16).to_le_bytes());
    // The tag is there for people; it would also be the path of a device that none was given for.
    let tar = 128;
    put(tar, parts.diff_id.hex().as_bytes());
    put(tar + 64, &le32(parts.tar_bytes.div_ceil(BLOCK)));
    put(tar + 68, &le32(layout.blocks));
    if devices == 2 {
        let side = tar + SLOT_OF_DEVICE as usize;
        put(side, b"side");
        put(side + 64, &le32(parts.side_bytes.div_ceil(BLOCK)));
        put(side + 68, &le32(layout.side_at));
    }
    let sum = crc32c(&block);
    block[4..8].copy_from_slice(&sum.to_le_bytes());
    block
}

struct Image<'a, W> {
    output: &'a mut W,
    /// Bytes written.
    at: u64,
    tree: &'a Tree,
    layout: &'a Layout,
}

impl<W: Write> Image<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Zeros up to `at`.
    fn pad_to(&mut self, at: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        while self.at < at {
            let length = (at - self.at).min(BLOCK) as usize;
            self.put(&ZEROS[..length])?;
        }
        Ok(())
    }

    /// An inode, its attributes and its tail.
    fn inode(&mut self, inode: &Inode) -> io::Result<()> {
        self.pad_to(inode.at)?;
        let Some(id) = inode.node else {
            return self.put(&whiteout(inode, self.at));
        };
        let node = self.tree.node(id);
        let bytes = encode_inode(inode, node, self.at);
        self.put(&bytes)?;
        let body = self.layout.shared.body(&attributes(node));
        self.put(&body)?;
        if let Content::Tail(_) = inode.content {
            let content = self.content(id, node);
            let whole = content.len() - content.len() % BLOCK as usize;
            self.put(&content[whole..])?;
        }
        Ok(())
    }

    /// The whole blocks of a directory or link.
    fn blocks_of(&mut self, inode: &Inode) -> io::Result<()> {
        let Some(id) = inode.node else { return Ok(()) };
        let node = self.tree.node(id);
        if !matches!(node.object, Object::Directory(_) | Object::Symlink(_)) {
            return Ok(());
        }
        let whole = match inode.content {
            Content::Tail(_) => inode.size - inode.size % BLOCK,
            _ => inode.size,
        };
        if whole == 0 {
            return Ok(());
        }
        let content = self.content(id, node);
        self.put(&content[..whole as usize])?;
        self.pad_to(self.at.next_multiple_of(BLOCK))
    }

    /// What a directory or link consists of.
    fn content(&self, id: NodeId, node: &Node) -> Vec<u8> {
        let directory = match &node.object {
            Object::Directory(directory) => directory,
            Object::Symlink(text) => return text.to_vec(),
            _ => return Vec::new(),
        };
        let entry = |name, inode, kind| directory::Name { name, inode, kind };
        let own = self.layout.number(id);
        let above = self.layout.number(directory.parent);
        let mut names = vec![
            entry(&b"."[..], own, KIND_DIRECTORY),
            entry(b"..", above, KIND_DIRECTORY),
        ];
        names.extend(directory.entries.iter().map(|(name, &child)| {
            let kind = kind(&self.tree.node(child).object);
            entry(name, self.layout.number(child), kind)
        }));
        names.extend(
            directory
                .whiteouts
                .iter()
                .map(|name| entry(name, self.layout.whiteout(), KIND_CHARACTER)),
        );
        names.sort_unstable_by_key(|name| name.name);
        directory::encode(&names)
    }
}

/// The inode that all whiteouts are: a character device 0:0.
fn whiteout(inode: &Inode, at: u64) -> Vec<u8> {
    Fields {
        mode: MODE_CHARACTER,
        word: 0,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        layout: FLAT,
    }
    .encode(inode, at)
}

fn encode_inode(inode: &Inode, node: &Node, at: u64) -> Vec<u8> {
    let (kind, word) = match node.object {
        Object::Directory(_) => (MODE_DIRECTORY, 0),
        Object::File { .. } => (MODE_FILE, 0),
        Object::Symlink(_) => (MODE_SYMLINK, 0),
        Object::CharacterDevice { major, minor } => (MODE_CHARACTER, device(major, minor)),
        Object::BlockDevice { major, minor } => (MODE_BLOCK, device(major, minor)),
        Object::Fifo => (MODE_FIFO, 0),
    };
    // A link has no permissions of its own; every file system says so.
    let bits = match node.object {
        Object::Symlink(_) => 0o777,
        _ => node.mode,
    };
    let (layout, word) = match inode.content {
        Content::None => (FLAT, word),
        Content::Blocks(first) => (FLAT, first as u32),
        Content::Tail(first) => (FLAT_WITH_TAIL, first as u32),
    };
    Fields {
        mode: kind | bits,
        word,
        uid: node.uid,
        gid: node.gid,
        mtime: node.mtime,
        layout,
    }
    .encode(inode, at)
}

/// What an inode says, in either form.
struct Fields {
    mode: u32,
    /// The first block, or the device number.
    word: u32,
    uid: u32,
    gid: u32,
    mtime: Time,
    layout: u16,
}

impl Fields {
    fn encode(&self, inode: &Inode, at: u64) -> Vec<u8> {
        let mut bytes = vec![0u8; inode.length() as usize];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let format = u16::from(inode.extended) | self.layout << 1;
        put(0, &format.to_le_bytes());
        put(2, &xattr::word_count(inode.attributes).to_le_bytes());
        put(4, &(self.mode as u16).to_le_bytes());
        put(16, &self.word.to_le_bytes());
        // A number for programs of 32 bits, which nothing else depends on.
        put(20, &le32(at / SLOT));
        if inode.extended {
            put(8, &inode.size.to_le_bytes());
            put(24, &self.uid.to_le_bytes());
            put(28, &self.gid.to_le_bytes());
            put(32, &self.mtime.seconds.to_le_bytes());
            put(40, &self.mtime.nanoseconds.to_le_bytes());
            put(44, &inode.links.to_le_bytes());
        } else {
            put(6, &(inode.links as u16).to_le_bytes());
            put(8, &le32(inode.size));
            put(24, &(self.uid as u16).to_le_bytes());
            put(26, &(self.gid as u16).to_le_bytes());
        }
        bytes
    }
}

/// A device number as Linux writes it into 32 bits.
fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

fn kind(object: &Object) -> u8 {
    match object {
        Object::Directory(_) => KIND_DIRECTORY,
        Object::File { .. } => KIND_FILE,
        Object::Symlink(_) => KIND_SYMLINK,
        Object::CharacterDevice { .. } => KIND_CHARACTER,
        Object::BlockDevice { .. } => KIND_BLOCK,
        Object::Fifo => KIND_FIFO,
    }
}
