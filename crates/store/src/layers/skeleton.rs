//! The tar of an unpacked layer, without what is in its files.
//!
//! A layer in the directory form must give back its tar byte for byte, for `save` and push. The
//! skeleton holds the facts about the layer and then, compressed, a row of records: bytes that
//! are nowhere else (headers, padding, data of entries that were replaced or sparse, whatever
//! follows the end), and names of files whose content goes in between. Headers compress to a
//! few bytes, so a skeleton is about a hundredth of its tar.
//!
//! ```text
//!   notes | zstd { 0 length:u32 bytes | 1 length:u64 path_length:u16 path }*
//! ```

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use wharf_sys::rooted::Root;

use super::erofs::Notes;
use super::tree::{NodeId, Object, Source, Tree};

const LITERAL: u8 = 0;
const CONTENT: u8 = 1;

/// The longest literal in one record.
const PIECE: u64 = 64 * 1024;

/// Of zstd: most of it is zeros, so the fastest will do.
const LEVEL: i32 = 1;

/// Write the skeleton of a tar whose files are at `paths`.
pub(super) fn write(
    output: File,
    notes: &Notes,
    mut tar: &File,
    tree: &Tree,
    paths: &HashMap<NodeId, PathBuf>,
) -> io::Result<File> {
    let mut files: Vec<(u64, u64, &Path)> = paths
        .iter()
        .filter_map(|(&id, path)| match tree.node(id).object {
            Object::File {
                size,
                source: Source::Tar(offset),
            } => Some((offset, size, path.as_path())),
            _ => None,
        })
        .collect();
    files.sort_unstable_by_key(|&(offset, ..)| offset);
    let mut output = BufWriter::new(output);
    output.write_all(&notes.encode())?;
    let mut records = zstd::Encoder::new(output, LEVEL)?;
    let mut at = 0;
    let mut buffer = Vec::new();
    tar.seek(SeekFrom::Start(0))?;
    let ends = std::iter::once((notes.tar_bytes, 0, Path::new("")));
    for (offset, size, path) in files.into_iter().chain(ends) {
        while at < offset {
            let length = (offset - at).min(PIECE);
            buffer.resize(length as usize, 0);
            tar.read_exact(&mut buffer)?;
            records.write_all(&[LITERAL])?;
            records.write_all(&(length as u32).to_le_bytes())?;
            records.write_all(&buffer)?;
            at += length;
        }
        if size > 0 {
            let path = path.as_os_str().as_bytes();
            records.write_all(&[CONTENT])?;
            records.write_all(&size.to_le_bytes())?;
            records.write_all(&(path.len() as u16).to_le_bytes())?;
            records.write_all(path)?;
            at += size;
            tar.seek(SeekFrom::Start(at))?;
        }
    }
    records
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
}

/// The facts in a skeleton; `None` if it is none of ours.
pub(super) fn notes(skeleton: &mut impl Read) -> io::Result<Option<Notes>> {
    let mut bytes = [0u8; Notes::LENGTH];
    skeleton.read_exact(&mut bytes)?;
    Ok(Notes::decode(&bytes))
}

/// The tar of an unpacked layer.
pub(super) struct Rebuilt {
    records: zstd::Decoder<'static, BufReader<File>>,
    files: Root,
    current: Current,
}

/// What is being given out.
enum Current {
    Nothing,
    Literal(u64),
    Content { file: File, left: u64 },
}

impl Rebuilt {
    /// From the skeleton and the directory that was unpacked.
    pub(super) fn new(mut skeleton: File, files: Root) -> io::Result<Rebuilt> {
        notes(&mut skeleton)?;
        Ok(Rebuilt {
            records: zstd::Decoder::new(skeleton)?,
            files,
            current: Current::Nothing,
        })
    }

    /// Begin the next record; false at the end.
    fn next_record(&mut self) -> io::Result<bool> {
        let mut kind = [0u8];
        if self.records.read(&mut kind)? == 0 {
            return Ok(false);
        }
        self.current = match kind[0] {
            LITERAL => {
                let mut length = [0u8; 4];
                self.records.read_exact(&mut length)?;
                Current::Literal(u32::from_le_bytes(length).into())
            }
            CONTENT => {
                let (mut length, mut path_length) = ([0u8; 8], [0u8; 2]);
                self.records.read_exact(&mut length)?;
                self.records.read_exact(&mut path_length)?;
                let mut path = vec![0u8; u16::from_le_bytes(path_length).into()];
                self.records.read_exact(&mut path)?;
                let handle = self.files.resolve_nofollow(OsStr::from_bytes(&path))?;
                Current::Content {
                    file: handle.open_regular(rustix::fs::OFlags::RDONLY)?,
                    left: u64::from_le_bytes(length),
                }
            }
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a broken skeleton",
                ));
            }
        };
        Ok(true)
    }
}

impl Read for Rebuilt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let (got, left) = match &mut self.current {
                Current::Nothing | Current::Literal(0) | Current::Content { left: 0, .. } => {
                    if !self.next_record()? {
                        return Ok(0);
                    }
                    continue;
                }
                Current::Literal(left) => {
                    let wanted = limit(buffer, *left);
                    (self.records.read(wanted)?, left)
                }
                Current::Content { file, left } => {
                    let wanted = limit(buffer, *left);
                    (file.read(wanted)?, left)
                }
            };
            if got == 0 {
                // A file of the directory was cut behind our back.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *left -= got as u64;
            return Ok(got);
        }
    }
}

fn limit(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let length = buffer
        .len()
        .min(usize::try_from(left).unwrap_or(usize::MAX));
    &mut buffer[..length]
}
