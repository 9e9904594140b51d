//! Answers of upstream servers, for as long as they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;

use super::message::Key;
use super::{Question, Upstream};

/// Answers that are kept. At it, the ones that have run out go, then all.
const KEPT: usize = 4096;

/// Bytes of answers that are kept. At it, the same.
const BYTES: usize = 4 << 20;

/// Longest answer that is kept: longer ones are rare, and may be somebody's attempt.
const LONGEST_ANSWER: usize = 4096;

/// The longest that an answer is kept, whatever it says of itself, in seconds.
const LONGEST: u32 = 3600;

/// The longest that the absence of a name is kept (RFC 2308, section 5, suggests hours; a name that
/// comes to exist should be seen sooner).
const LONGEST_ABSENT: u32 = 60;

#[derive(Debug)]
struct Kept {
    answer: Box<[u8]>,
    since: Instant,
    lifetime: Duration,
}

/// By who was asked, and what.
#[derive(Debug, Default)]
struct Store {
    answers: HashMap<(Vec<Upstream>, Key), Kept>,
    bytes: usize,
}

/// Answers of upstream servers. Containers that ask the same servers share them, others do not.
/// Clones are the same cache.
#[derive(Debug, Clone, Default)]
pub struct Cache(Arc<Mutex<Store>>);

impl Cache {
    /// The answer to a question, if it is still good.
    #[must_use]
    pub fn get(&self, upstreams: &[Upstream], question: &Question) -> Option<Message> {
        let key = (upstreams.to_vec(), question.key()?);
        let mut store = self.lock();
        let found = store.answers.get(&key)?;
        let age = found.since.elapsed();
        if age >= found.lifetime {
            store.forget(&key);
            return None;
        }
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let answer = Message::from_vec(&found.answer).ok()?;
        drop(store);
        Some(question.adopt(&answer, seconds))
    }

    /// Keeps an answer to a question, if it says how long it is good.
    pub fn put(&self, upstreams: &[Upstream], question: &Question, answer: &[u8]) {
        if answer.len() > LONGEST_ANSWER {
            return;
        }
        let (Some(key), Ok(message)) = (question.key(), Message::from_vec(answer)) else {
            return;
        };
        let Some(seconds) = lifetime(&message).filter(|&seconds| seconds > 0) else {
            return;
        };
        let key = (upstreams.to_vec(), key);
        let mut store = self.lock();
        store.forget(&key);
        store.make_room(answer.len());
        store.bytes += answer.len();
        let kept = Kept {
            answer: answer.into(),
            since: Instant::now(),
            lifetime: Duration::from_secs(seconds.into()),
        };
        store.answers.insert(key, kept);
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn forget(&mut self, key: &(Vec<Upstream>, Key)) {
        if let Some(kept) = self.answers.remove(key) {
            self.bytes -= kept.answer.len();
        }
    }

    fn make_room(&mut self, wanted: usize) {
        let is_full = |store: &Store| store.answers.len() >= KEPT || store.bytes + wanted > BYTES;
        if !is_full(self) {
            return;
        }
        self.answers
            .retain(|_, kept| kept.since.elapsed() < kept.lifetime);
        self.bytes = self.answers.values().map(|kept| kept.answer.len()).sum();
        if is_full(self) {
            self.answers.clear();
            self.bytes = 0;
        }
    }
}

/// How long an answer is good, in seconds; nothing if it must not be kept.
fn lifetime(answer: &Message) -> Option<u32> {
    if answer.metadata.truncation {
        return None;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError if !answer.answers.is_empty() => {
            let shortest = answer.answers.iter().map(|record| record.ttl).min()?;
            Some(shortest.min(LONGEST))
        }
        // RFC 2308, section 5: the lesser of the record's own time and its last field.
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let absent = answer
                .authorities
                .iter()
                .find_map(|record| match &record.data {
                    RData::SOA(start) => Some(record.ttl.min(start.minimum)),
                    _ => None,
                })?;
            Some(absent.min(LONGEST_ABSENT))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use hickory_proto::op::{Edns, Query};
    use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
    use hickory_proto::rr::rdata::{SOA, TXT};
    use hickory_proto::rr::{Name, Record, RecordType};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn message(text: &str) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name(text), RecordType::TXT));
        message
    }

    fn question(message: &Message) -> Question {
        Question::read(&message.to_vec().unwrap()).unwrap()
    }

    /// An answer of this many seconds and bytes of text.
    fn answer(message: &Message, seconds: u32, length: usize) -> Vec<u8> {
        let mut reply = message.clone().into_response();
        let text = vec!["x".repeat(200); length / 200];
        let record = Record::from_rdata(name("a.test."), seconds, RData::TXT(TXT::new(text)));
        reply.add_answer(record);
        reply.to_vec().unwrap()
    }

    fn keeps(message: &Message, answer: &[u8]) -> bool {
        let (cache, question) = (Cache::default(), question(message));
        cache.put(&[], &question, answer);
        cache.get(&[], &question).is_some()
    }

    #[test]
    fn an_answer_is_kept_only_if_it_says_how_long_and_is_for_everybody() {
        let asked = message("a.test.");
        assert!(keeps(&asked, &answer(&asked, 60, 200)));
        assert!(!keeps(&asked, &answer(&asked, 0, 200)));
        assert!(!keeps(&asked, &answer(&asked, 60, 6000)));
        assert!(!keeps(&asked, b"rubbish"));
        let mut cut = asked.clone().into_response();
        cut.metadata.truncation = true;
        assert!(!keeps(&asked, &cut.to_vec().unwrap()));
        let mut near = asked.clone();
        let mut edns = Edns::new();
        let subnet: ClientSubnet = "192.0.2.0/24".parse().unwrap();
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        near.set_edns(edns);
        assert!(!keeps(&near, &answer(&asked, 60, 200)));
    }

    #[test]
    fn the_absence_of_a_name_is_kept_as_long_as_its_zone_says() {
        let asked = message("a.test.");
        for (minimum, kept) in [(30, true), (0, false)] {
            let mut absent = asked.clone().into_response();
            absent.metadata.response_code = ResponseCode::NXDomain;
            assert!(!keeps(&asked, &absent.to_vec().unwrap()));
            let soa = SOA::new(name("ns.test."), name("me.test."), 1, 1, 1, 1, minimum);
            absent.add_authority(Record::from_rdata(name("test."), 60, RData::SOA(soa)));
            assert_eq!(keeps(&asked, &absent.to_vec().unwrap()), kept);
        }
    }

    #[test]
    fn who_asks_otherwise_gets_no_answer_of_another() {
        let (cache, asked) = (Cache::default(), message("a.test."));
        cache.put(&[], &question(&asked), &answer(&asked, 60, 200));
        let mut alone = asked.clone();
        alone.metadata.recursion_desired = false;
        assert!(cache.get(&[], &question(&alone)).is_none());
        let upstream = Upstream {
            address: "192.0.2.1:53".parse().unwrap(),
            origin: super::super::Origin::Host,
        };
        assert!(cache.get(&[upstream], &question(&asked)).is_none());
        assert!(cache.get(&[], &question(&asked)).is_some());
    }

    #[test]
    fn neither_the_number_nor_the_bytes_of_answers_pass_their_bounds() {
        let cache = Cache::default();
        for n in 0..2 * KEPT {
            let asked = message(&format!("{n}.test."));
            let length = if n < KEPT { 3000 } else { 0 };
            cache.put(&[], &question(&asked), &answer(&asked, 60, length));
            let store = cache.lock();
            assert!(store.answers.len() <= KEPT && store.bytes <= BYTES);
            let bytes: usize = store.answers.values().map(|kept| kept.answer.len()).sum();
            assert_eq!(bytes, store.bytes);
        }
    }
}
