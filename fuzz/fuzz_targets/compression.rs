//! Any bytes as a compressed stream: the same content whether the source gives them at once or
//! one by one, never more taken than there is, and what is not compressed passes unchanged.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use wharf_store::compression::{Compression, Decoder};

/// What is read of a bomb.
const OUTPUT: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let at_once = decode(data, data.len());
    if Compression::detect(data) == Compression::None {
        let mut expected = data.to_vec();
        expected.truncate(OUTPUT as usize);
        assert_eq!(at_once, Ok(expected));
    }
    // Dripping is slow; long inputs say nothing that short ones do not.
    if data.len() <= 4096 {
        assert_eq!(decode(data, 1), at_once);
    }
});

/// The beginning of the content, or that it is damaged.
fn decode(data: &[u8], step: usize) -> Result<Vec<u8>, ()> {
    let mut decoder = Decoder::new(Dripping { data, step }).map_err(drop)?;
    let mut content = Vec::new();
    let read = (&mut decoder).take(OUTPUT).read_to_end(&mut content);
    assert!(decoder.bytes_taken() <= data.len() as u64);
    read.map_err(drop)?;
    Ok(content)
}

struct Dripping<'a> {
    data: &'a [u8],
    step: usize,
}

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.step.max(1));
        self.data.read(&mut buffer[..length])
    }
}
