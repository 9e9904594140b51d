//! Any bytes as an archive: entries or an error. What the reader says of an entry must be true of
//! the bytes, since an index of a layer points there; and an entry that is written again must
//! read as it was.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use wharf_store::tar::{Entry, Kind, MAX_SEGMENTS, Reader, Writer};

/// What is looked at of one file: a hole can be as long as the reader likes to say.
const CONTENT: u64 = 256 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    let mut count = 0;
    while let Ok(Some(entry)) = reader.next_entry() {
        count += 1;
        assert!(count <= data.len() / 512, "an entry takes at least a block");
        plausible(&entry);
        if entry.kind != Kind::File {
            written_again(&entry, &[]);
            continue;
        }
        let Some(content) = content_as_told(data, &entry) else {
            // Its data is not all there: reading it must say so.
            if entry.size <= CONTENT {
                let read = std::io::copy(&mut reader.content(&entry), &mut std::io::sink());
                assert!(read.is_err(), "a truncated file was read to its end");
            }
            return;
        };
        let mut read = Vec::new();
        reader
            .content(&entry)
            .take(CONTENT)
            .read_to_end(&mut read)
            .expect("the data is there");
        assert_eq!(read, content);
        if entry.size <= CONTENT {
            written_again(&entry, &read);
        }
    }
});

fn plausible(entry: &Entry) {
    assert_eq!(entry.mode & !0o7777, 0);
    assert!(!entry.path.contains(&0) && !entry.link.contains(&0));
    assert!(entry.mtime.nanoseconds < 1_000_000_000);
    assert!(entry.xattrs.is_sorted_by(|a, b| a.0 < b.0));
    match &entry.sparse {
        None if entry.kind == Kind::File => assert_eq!(entry.size, entry.data_size),
        None => {}
        Some(segments) => {
            assert!(segments.len() <= MAX_SEGMENTS);
            let mut end = 0;
            for segment in segments {
                assert!(segment.length > 0 && segment.offset >= end);
                end = segment.offset + segment.length;
            }
            assert!(end <= entry.size);
            let stored: u64 = segments.iter().map(|segment| segment.length).sum();
            assert!(stored <= entry.data_size);
        }
    }
}

/// The beginning of a file's content, taken from the archive as the entry says; nothing if the
/// archive is too short for it.
fn content_as_told(data: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let start = usize::try_from(entry.data_offset).ok()?;
    let length = usize::try_from(entry.data_size).ok()?;
    let stored = data.get(start..start.checked_add(length)?)?;
    let Some(segments) = &entry.sparse else {
        return Some(stored[..length.min(CONTENT as usize)].to_vec());
    };
    let mut content = vec![0; entry.size.min(CONTENT) as usize];
    let mut taken = 0;
    for segment in segments {
        let piece = &stored[taken..taken + segment.length as usize];
        taken += piece.len();
        let at = segment.offset.min(CONTENT) as usize;
        let room = content.len() - at.min(content.len());
        let visible = piece.len().min(room);
        content[at..at + visible].copy_from_slice(&piece[..visible]);
    }
    Some(content)
}

fn written_again(entry: &Entry, content: &[u8]) {
    let mut writer = Writer::new(Vec::new());
    if writer.append(entry, &mut &*content).is_err() {
        return;
    }
    let archive = writer.finish().expect("a vector takes everything");
    let mut reader = Reader::new(archive.as_slice());
    let again = reader
        .next_entry()
        .expect("our own archive is sound")
        .expect("it holds the entry");
    let slashed = |path: &[u8]| path.strip_suffix(b"/").unwrap_or(path).to_vec();
    assert_eq!(slashed(&again.path), slashed(&entry.path));
    assert_eq!(again.kind, entry.kind);
    assert_eq!(again.mode, entry.mode);
    assert_eq!((again.uid, again.gid), (entry.uid, entry.gid));
    assert_eq!(again.mtime, entry.mtime);
    assert_eq!(again.user, entry.user);
    assert_eq!(again.group, entry.group);
    assert_eq!(again.xattrs, entry.xattrs);
    if matches!(entry.kind, Kind::Symlink | Kind::HardLink) {
        assert_eq!(again.link, entry.link);
    }
    if entry.kind == Kind::File {
        let mut read = Vec::new();
        reader
            .content(&again)
            .read_to_end(&mut read)
            .expect("its content is there");
        assert_eq!(read, content);
    }
    assert!(reader.next_entry().expect("and ends").is_none());
}
