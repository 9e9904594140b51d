//! Who asked what, what became of it, and who outside learned of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;

/// Questions that are remembered.
const KEPT: usize = 4096;

/// Questions that a follower may be behind before it misses some.
const BACKLOG: usize = 1024;

/// Longest name kept: what the protocol allows.
const NAME_MAX: usize = 255;

/// A question and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Query {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Who asked.
    pub container: String,
    /// What for.
    pub name: String,
    /// `A`, `AAAA`, `PTR` …
    #[serde(rename = "Type")]
    pub kind: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "Outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The zone knew it: nobody was asked.
    Answered,
    /// Somebody had been asked before: nobody was now.
    Cached,
    /// These servers were told the name; the last of them answered.
    #[serde(rename_all = "PascalCase")]
    Forwarded {
        /// All that were asked.
        upstreams: Vec<SocketAddr>,
    },
    /// These servers were told the name, and none answered.
    #[serde(rename_all = "PascalCase")]
    Unanswered {
        /// All that were asked.
        upstreams: Vec<SocketAddr>,
    },
    /// It did not leave, as it must not.
    Kept,
    /// Too many questions at once: nobody was asked.
    Overload,
}

/// The newest questions of all containers. Clones are the same log.
#[derive(Debug, Clone)]
pub struct QueryLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<VecDeque<Query>>,
    followers: broadcast::Sender<Query>,
}

impl Default for QueryLog {
    fn default() -> QueryLog {
        QueryLog(Arc::new(Shared {
            kept: Mutex::default(),
            followers: broadcast::Sender::new(BACKLOG),
        }))
    }
}

impl QueryLog {
    pub(super) fn add(&self, container: &str, name: &str, kind: String, outcome: Outcome) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let query = Query {
            time: since.map_or(0, |since| {
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            }),
            container: container.to_owned(),
            name: name.chars().take(NAME_MAX).collect(),
            kind,
            outcome,
        };
        if self.0.followers.receiver_count() > 0 {
            // Without a receiver by now there is nobody to tell.
            let _ = self.0.followers.send(query.clone());
        }
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(query);
    }

    /// The newest questions, the oldest first.
    #[must_use]
    pub fn newest(&self) -> Vec<Query> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    /// Questions from now on. A follower too slow is told how many it missed.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Query> {
        self.0.followers.subscribe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_log_says_who_outside_learned_of_a_name_and_forgets_the_oldest() {
        let log = QueryLog::default();
        let mut follower = log.follow();
        let upstreams = vec!["192.0.2.1:53".parse().unwrap()];
        log.add(
            "web",
            "example.org",
            "A".into(),
            Outcome::Forwarded { upstreams },
        );
        let line = serde_json::to_value(follower.try_recv().unwrap()).unwrap();
        assert_eq!(line["Outcome"], "forwarded");
        assert_eq!(line["Upstreams"][0], "192.0.2.1:53");
        assert_eq!(line["Type"], "A");
        for _ in 0..KEPT {
            log.add("web", "db", "A".into(), Outcome::Answered);
        }
        assert_eq!(log.newest().len(), KEPT);
        assert!(log.newest().iter().all(|query| query.name == "db"));
    }
}
