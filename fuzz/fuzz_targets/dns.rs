//! Any bytes as what a container asks its name server, and as what a server outside answers: never a
//! panic, never an answer longer than the client takes, and what was understood can be written.
//! Input: the question, preceded by its length (two bytes); the rest is the answer.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;
use wharf_network::dns::{Cache, Question, Unfit};

/// The most that a client may be sent in a datagram.
const DATAGRAM: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (asked, answered) = rest.split_at(length);
    let question = match Question::read(asked) {
        Ok(question) => question,
        Err(Unfit::Ignored) => return,
        Err(Unfit::Answered(bytes)) => {
            let answer = Message::from_vec(&bytes).expect("an answer that can be read");
            assert_eq!(bytes[..2], asked[..2]);
            assert!(answer.answers.is_empty());
            return;
        }
    };
    assert!(!question.name().ends_with('.'));
    assert!(!question.name().contains(|c: char| c.is_ascii_uppercase()));
    question.kind();
    question.reversed();
    let addresses: Vec<IpAddr> = (0..=255)
        .flat_map(|last| {
            let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last));
            [Ipv4Addr::new(10, 0, 0, last).into(), v6.into()]
        })
        .collect();
    for count in [1, addresses.len()] {
        let reply = question.addresses(&addresses[..count]);
        if let Some(bytes) = question.datagram_of(&reply) {
            assert!(bytes.len() <= DATAGRAM);
            let read = Message::from_vec(&bytes).expect("an answer that can be read");
            assert_eq!(bytes[..2], asked[..2]);
            assert!(read.metadata.truncation || read.answers.len() == reply.answers.len());
        }
    }
    let cache = Cache::default();
    cache.put(&[], &question, answered);
    if let Some(kept) = cache.get(&[], &question) {
        let bytes = question.datagram_of(&kept);
        assert!(bytes.is_none_or(|bytes| bytes.len() <= DATAGRAM && bytes[..2] == asked[..2]));
    }
});
