//! A container's log. Any bytes as its file: records or nothing, in bounded memory. Any bytes as
//! output: what was written is what is read, through rotation too, and a tail is the end of it.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_runtime::log::{Reader, Record, Stream, Writer};

static PLACE: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let place = PLACE.get_or_init(wharf_fuzz::scratch);
    let path = place.path().join("container-json.log");
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    for old in std::fs::read_dir(place.path()).expect("the place is there") {
        std::fs::remove_file(old.expect("an entry").path()).expect("a file");
    }
    if mode % 2 == 0 {
        std::fs::write(&path, data).expect("a file");
        let all = records(&path, None);
        assert!(all.len() <= data.len());
        let tail = records(&path, Some(u64::from(mode) / 2));
        assert!(all.ends_with(&tail), "a tail is not the end of the log");
    } else {
        written(&path, data, usize::from(mode));
    }
});

fn records(path: &PathBuf, tail: Option<u64>) -> Vec<Record> {
    let mut reader = Reader::open(path).expect("a log");
    if let Some(count) = tail {
        reader.seek_tail(count).expect("a file can be sought");
    }
    let mut records = Vec::new();
    while let Some(record) = reader.next().expect("a file can be read") {
        records.push(record);
    }
    records
}

/// Output in pieces of `step` bytes, to both streams in turns.
fn written(path: &PathBuf, data: &[u8], step: usize) {
    let mut writer = Writer::open(path, 1 << 20, 3).expect("a log");
    let mut expected = [Vec::new(), Vec::new()];
    for (turn, piece) in data.chunks(step).enumerate() {
        let stream = [Stream::Stdout, Stream::Stderr][turn % 2];
        writer.output(stream, turn as i64, piece);
        expected[turn % 2].extend_from_slice(piece);
    }
    for stream in [Stream::Stdout, Stream::Stderr] {
        writer.finish(stream, 1 << 40);
    }
    assert_eq!(writer.trouble(), None);
    // One replacement character for each byte that is no UTF-8 is only the rule within one piece
    // of output; sequences cut by a record of 16 KiB are not compared.
    let [out, err] = &expected;
    if std::str::from_utf8(out).is_err() || std::str::from_utf8(err).is_err() {
        return;
    }
    let all = records(path, None);
    for (stream, expected) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
        let mut read: Vec<u8> = Vec::new();
        for record in all.iter().filter(|record| record.stream == stream) {
            read.extend_from_slice(&record.data);
        }
        let mut expected = expected.clone();
        if !expected.is_empty() && !expected.ends_with(b"\n") {
            expected.push(b'\n');
        }
        if expected.len() < 16 * 1024 {
            assert_eq!(read, expected);
        }
    }
    let tail = records(path, Some(1));
    assert_eq!(tail.last(), all.last());
    assert!(tail.len() <= 1);
}
