//! Answers of upstream servers, for as long as they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;

use super::{Question, Upstream};

/// Answers that are kept. At it, the ones that have run out go, then all.
const KEPT: usize = 4096;

/// The longest that an answer is kept, whatever it says of itself, in seconds.
const LONGEST: u32 = 3600;

/// The longest that the absence of a name is kept (RFC 2308, section 5, suggests hours; a name that
/// comes to exist should be seen sooner).
const LONGEST_ABSENT: u32 = 60;

/// Who was asked, and what.
type Key = (Vec<Upstream>, (String, u16, u16, bool));

#[derive(Debug)]
struct Kept {
    answer: Message,
    since: Instant,
    lifetime: Duration,
}

/// Answers of upstream servers. Containers that ask the same servers share them, others do not.
/// Clones are the same cache.
#[derive(Debug, Clone, Default)]
pub struct Cache(Arc<Mutex<HashMap<Key, Kept>>>);

impl Cache {
    /// The answer to a question, if it is still good.
    pub(super) fn get(&self, upstreams: &[Upstream], question: &Question) -> Option<Message> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (upstreams.to_vec(), question.key());
        let found = kept.get(&key)?;
        let age = found.since.elapsed();
        if age >= found.lifetime {
            kept.remove(&key);
            return None;
        }
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        Some(question.adopt(&found.answer, seconds))
    }

    /// Keeps an answer, if it says how long it is good.
    pub(super) fn put(&self, upstreams: &[Upstream], question: &Question, answer: Message) {
        let Some(seconds) = lifetime(&answer).filter(|&seconds| seconds > 0) else {
            return;
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.retain(|_, kept| kept.since.elapsed() < kept.lifetime);
            if kept.len() >= KEPT {
                kept.clear();
            }
        }
        kept.insert(
            (upstreams.to_vec(), question.key()),
            Kept {
                answer,
                since: Instant::now(),
                lifetime: Duration::from_secs(seconds.into()),
            },
        );
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
