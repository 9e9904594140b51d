//! The index of a layer: an EROFS image of metadata only, whose data device is the layer's tar.
//!
//! EROFS (Linux `Documentation/filesystems/erofs.rst`, `fs/erofs/erofs_fs.h`) is a read-only file
//! system of fixed structures. A block here is 512 bytes, as in a tar, so every file is one
//! extent of the tar as it stands there: an inode of the flat layout needs nothing but the number
//! of its first block. Numbers of blocks run on from the image into its devices: the device table
//! says at which number the tar begins (`uniaddr`), and at which the side file, if there is one.
//!
//! ```text
//!   byte 0      what wharf notes for itself (`Notes`); EROFS leaves the first 1024 bytes alone
//!   byte 1024   superblock, then one or two device slots
//!   then        attributes that several inodes share
//!   then        inodes, each followed by its attributes and, if it fits into the block, by its
//!               directory entries or link text
//!   then        whole blocks of directory entries and long link texts
//!   ---- blocks numbered further ----
//!   the tar     files
//!   the side    files that were sparse in the tar, laid out
//! ```
//!
//! Inodes are compact (32 bytes) where owner, size and names fit and the time is the one the
//! image is said to be built at, which is the time most inodes have; else extended (64 bytes).
//! Whiteouts are one character device 0:0 of many names, opaque directories have
//! `trusted.overlay.opaque`, as overlayfs wants it.
//!
//! The image is made in two passes over a finished [`Tree`](super::tree::Tree): [`layout`]
//! decides where everything goes, [`image`] writes it in that order. The same tree always gives
//! the same bytes: that is how an index is checked.

mod attributes;
mod directory;
pub(super) mod image;
mod layout;
mod notes;

pub(super) use image::{Parts, WriteError, write};
pub(super) use notes::Notes;

/// A block, of the image and of its devices.
const BLOCK: u64 = 512;

/// The unit in which inodes are numbered.
const SLOT: u64 = 32;

/// Numbers of blocks are 32 bits; the last means "none".
const MAX_BLOCKS: u64 = u32::MAX as u64;

/// A number written into an image, which has already been checked to fit.
fn le32(value: u64) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
