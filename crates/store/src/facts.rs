//! The database: documents by kind and key, and the journal of events.
//!
//! One SQLite file in WAL mode with `synchronous = FULL`: a commit that returned survives a power
//! cut. The values are JSON that belongs to whoever wrote them; this module knows kinds and keys
//! and never looks inside. A [`Batch`] is one transaction and one fsync, so a change and the
//! event that tells of it are there together or not at all.
//!
//! Two connections: writers queue on one, readers on the other, so that no reader ever waits for
//! an fsync. Both hold their lock for one statement's work and never across anything else.
//!
//! The schema's version is SQLite's `user_version`. A file from an older version is brought
//! forward when it is opened, in one transaction; a file from a newer one is refused untouched.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// Step `n` brings a database of version `n` to version `n + 1`. Published steps never change.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE documents (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    -- AUTOINCREMENT: a number is never given twice, also after the newest rows were trimmed.
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ns INTEGER NOT NULL,
        body BLOB NOT NULL
    );",
    // `events --since --until` looks up a window of time, not of numbers.
    "CREATE INDEX events_by_time ON events (time_ns, seq);",
];

/// Page cache of each connection, in KiB: the whole daemon has 15 MiB to live in.
const CACHE_KIB: i64 = 512;

/// The documents and events of one store.
#[derive(Debug)]
pub struct Facts {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// Changes that happen together.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    unwritable: Option<StoreError>,
}

#[derive(Debug)]
enum Change {
    Put {
        kind: String,
        key: String,
        body: Vec<u8>,
    },
    Delete {
        kind: String,
        key: String,
    },
    Event {
        time_ns: i64,
        body: Vec<u8>,
    },
}

impl Batch {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Write a document, replacing the one of the same kind and key.
    pub fn put<T: Serialize + ?Sized>(&mut self, kind: &str, key: &str, value: &T) -> &mut Batch {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.changes.push(Change::Put {
                    kind: kind.to_owned(),
                    key: key.to_owned(),
                    body,
                });
            }
            Err(source) if self.unwritable.is_none() => {
                self.unwritable = Some(document_error(kind, key, source));
            }
            Err(_) => {}
        }
        self
    }

    /// Remove a document; nothing happens if there is none.
    pub fn delete(&mut self, kind: &str, key: &str) -> &mut Batch {
        self.changes.push(Change::Delete {
            kind: kind.to_owned(),
            key: key.to_owned(),
        });
        self
    }

    /// Append an event to the journal.
    pub fn event(&mut self, time_ns: i64, json: &[u8]) -> &mut Batch {
        self.changes.push(Change::Event {
            time_ns,
            body: json.to_vec(),
        });
        self
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.unwritable.is_none()
    }
}

impl Facts {
    /// Open the database at `path`, creating it or bringing its schema forward.
    pub fn open(path: &Path) -> Result<Facts, StoreError> {
        // Made here and not by SQLite, for the mode; its WAL takes the mode of the main file.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(StoreError::io("create", path))?;
        let mut writer = Connection::open(path).map_err(database("open"))?;
        steps_done(&writer, path, MIGRATIONS)?;
        set_up(&writer)?;
        migrate(&mut writer, path, MIGRATIONS)?;
        let reader = Connection::open(path).map_err(database("open"))?;
        set_up(&reader)?;
        reader
            .pragma_update(None, "query_only", true)
            .map_err(database("set up"))?;
        if let Some(parent) = path.parent() {
            File::open(parent)
                .and_then(|directory| directory.sync_all())
                .map_err(StoreError::io("sync", parent))?;
        }
        Ok(Facts {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    /// The document of that kind and key.
    pub fn get<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>, StoreError> {
        let body = self
            .read()
            .prepare_cached("SELECT body FROM documents WHERE kind = ?1 AND key = ?2")
            .and_then(|mut query| {
                query
                    .query_row([kind, key], |row| row.get::<_, Vec<u8>>(0))
                    .optional()
            })
            .map_err(database("read a document"))?;
        body.map(|body| decode(kind, key, &body)).transpose()
    }

    /// All documents of a kind, by key.
    pub fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<(String, T)>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> = self
            .read()
            .prepare_cached("SELECT key, body FROM documents WHERE kind = ?1 ORDER BY key")
            .and_then(|mut query| {
                query
                    .query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(database("read documents"))?;
        rows.into_iter()
            .map(|(key, body)| decode(kind, &key, &body).map(|value| (key, value)))
            .collect()
    }

    /// Make all changes of the batch, or none. Returns the numbers of its events, in order; when
    /// this returns, the changes are on disk.
    pub fn commit(&self, batch: Batch) -> Result<Vec<u64>, StoreError> {
        if let Some(error) = batch.unwritable {
            return Err(error);
        }
        let mut numbers = Vec::new();
        if batch.changes.is_empty() {
            return Ok(numbers);
        }
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction().map_err(database("begin"))?;
        for change in &batch.changes {
            apply(&transaction, change, &mut numbers).map_err(database("write"))?;
        }
        transaction.commit().map_err(database("commit"))?;
        Ok(numbers)
    }

    /// Append one event; its number is one greater than any number given before.
    pub fn append_event(&self, time_ns: i64, json: &[u8]) -> Result<u64, StoreError> {
        let mut batch = Batch::new();
        batch.event(time_ns, json);
        Ok(self.commit(batch)?.last().copied().unwrap_or_default())
    }

    /// Events with numbers above `after_seq`, oldest first, at most `limit`: number, time, JSON.
    pub fn events_since(
        &self,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, i64, Vec<u8>)>, StoreError> {
        self.read()
            .prepare_cached(
                "SELECT seq, time_ns, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .and_then(|mut query| {
                query
                    .query_map(params![to_i64(after_seq), limit_of(limit)], event)?
                    .collect()
            })
            .map_err(database("read events"))
    }

    /// Events of `since_ns <= time <= until_ns` with numbers above `after_seq`, oldest number
    /// first, at most `limit`. To read a long window, call again with the last number.
    pub fn events_between(
        &self,
        since_ns: i64,
        until_ns: i64,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, i64, Vec<u8>)>, StoreError> {
        self.read()
            .prepare_cached(
                "SELECT seq, time_ns, body FROM events
                 WHERE time_ns BETWEEN ?1 AND ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
            )
            .and_then(|mut query| {
                query
                    .query_map(
                        params![since_ns, until_ns, to_i64(after_seq), limit_of(limit)],
                        event,
                    )?
                    .collect()
            })
            .map_err(database("read events"))
    }

    /// The number of the newest event ever given, 0 before the first.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        self.read()
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
            .and_then(|mut query| query.query_row([], |row| row.get::<_, i64>(0)).optional())
            .map(|seq| seq.map_or(0, i64::cast_unsigned))
            .map_err(database("read events"))
    }

    /// Forget all but the newest `keep` events.
    pub fn trim_events(&self, keep: u64) -> Result<(), StoreError> {
        lock(&self.writer)
            .execute(
                "DELETE FROM events WHERE seq <= (SELECT MAX(seq) FROM events) - ?1",
                [to_i64(keep)],
            )
            .map(drop)
            .map_err(database("trim events"))
    }

    /// What SQLite finds wrong with its file; empty when nothing is.
    pub(crate) fn check(&self) -> Result<Vec<String>, StoreError> {
        let lines: Vec<String> = self
            .read()
            .prepare("PRAGMA integrity_check(100)")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .map_err(database("check"))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        lock(&self.reader)
    }
}

fn apply(
    transaction: &rusqlite::Transaction<'_>,
    change: &Change,
    numbers: &mut Vec<u64>,
) -> rusqlite::Result<()> {
    match change {
        Change::Put { kind, key, body } => {
            transaction
                .prepare_cached(
                    "INSERT INTO documents (kind, key, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                )?
                .execute(params![kind, key, body])?;
        }
        Change::Delete { kind, key } => {
            transaction
                .prepare_cached("DELETE FROM documents WHERE kind = ?1 AND key = ?2")?
                .execute([kind, key])?;
        }
        Change::Event { time_ns, body } => {
            transaction
                .prepare_cached("INSERT INTO events (time_ns, body) VALUES (?1, ?2)")?
                .execute(params![time_ns, body])?;
            numbers.push(transaction.last_insert_rowid().cast_unsigned());
        }
    }
    Ok(())
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        // Some pragmas answer with a row, some do not.
        connection
            .pragma_update_and_check(None, name, value, |_| Ok(()))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(()),
                error => Err(error),
            })
            .map_err(database("set up"))
    };
    set("journal_mode", &"WAL")?;
    set("synchronous", &"FULL")?;
    set("cache_size", &-CACHE_KIB)?;
    set("busy_timeout", &5000)
}

/// How many of `steps` the database has behind it; an error if it has more than these.
fn steps_done(connection: &Connection, path: &Path, steps: &[&str]) -> Result<usize, StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(database("read the schema version"))?;
    usize::try_from(found)
        .ok()
        .filter(|done| *done <= steps.len())
        .ok_or_else(|| StoreError::NewerSchema {
            path: path.to_path_buf(),
            found,
            known: version(steps.len()),
        })
}

/// Bring the schema from the version in the file to the length of `steps`.
fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let transaction = connection.transaction().map_err(database("begin"))?;
    let done = steps_done(&transaction, path, steps)?;
    if done == steps.len() {
        return Ok(());
    }
    for step in &steps[done..] {
        transaction
            .execute_batch(step)
            .map_err(database("migrate"))?;
    }
    transaction
        .pragma_update(None, "user_version", version(steps.len()))
        .map_err(database("migrate"))?;
    transaction.commit().map_err(database("migrate"))
}

fn version(steps: usize) -> i64 {
    i64::try_from(steps).unwrap_or(i64::MAX)
}

fn event(row: &Row<'_>) -> rusqlite::Result<(u64, i64, Vec<u8>)> {
    Ok((
        row.get::<_, i64>(0)?.cast_unsigned(),
        row.get(1)?,
        row.get(2)?,
    ))
}

fn decode<T: DeserializeOwned>(kind: &str, key: &str, body: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(body).map_err(|source| document_error(kind, key, source))
}

fn document_error(kind: &str, key: &str, source: serde_json::Error) -> StoreError {
    StoreError::Document {
        kind: kind.to_owned(),
        key: key.to_owned(),
        source,
    }
}

fn database(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Database { action, source }
}

/// SQLite counts in signed integers; no journal gets near the end of them.
fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A connection whose holder panicked has rolled its transaction back: it can be used on.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn open(directory: &tempfile::TempDir) -> Facts {
        Facts::open(&directory.path().join("wharf.db")).unwrap()
    }

    #[test]
    fn a_batch_is_there_after_reopening_and_its_deletes_are_done() {
        let directory = tempfile::tempdir().unwrap();
        {
            let facts = open(&directory);
            let mut batch = Batch::new();
            batch
                .put("tag", "a", &1)
                .put("tag", "b", &2)
                .put("image", "a", &"other");
            facts.commit(batch).unwrap();
            let mut batch = Batch::new();
            batch.delete("tag", "b").put("tag", "a", &3);
            facts.commit(batch).unwrap();
        }
        let facts = open(&directory);
        assert_eq!(facts.all::<i32>("tag").unwrap(), vec![("a".to_owned(), 3)]);
        assert_eq!(
            facts.get::<String>("image", "a").unwrap().as_deref(),
            Some("other")
        );
        assert_eq!(facts.get::<i32>("tag", "b").unwrap(), None);
        assert!(facts.check().unwrap().is_empty());
    }

    #[test]
    fn a_document_that_cannot_be_written_fails_the_whole_batch() {
        let directory = tempfile::tempdir().unwrap();
        let facts = open(&directory);
        let mut batch = Batch::new();
        let not_json = std::collections::HashMap::from([((1, 2), 3)]);
        batch.put("x", "good", &1).put("x", "bad", &not_json);
        assert!(
            matches!(facts.commit(batch), Err(StoreError::Document { key, .. }) if key == "bad")
        );
        assert!(facts.all::<i32>("x").unwrap().is_empty());
    }

    #[test]
    fn a_document_of_another_shape_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let facts = open(&directory);
        let mut batch = Batch::new();
        batch.put("container", "abc", &"text");
        facts.commit(batch).unwrap();
        let error = facts
            .get::<i32>("container", "abc")
            .unwrap_err()
            .to_string();
        assert!(error.contains("container abc"), "{error}");
    }

    #[test]
    fn event_numbers_rise_and_are_never_given_twice() {
        let directory = tempfile::tempdir().unwrap();
        {
            let facts = open(&directory);
            assert_eq!(facts.last_event().unwrap(), 0);
            assert_eq!(facts.append_event(10, b"{}").unwrap(), 1);
            assert_eq!(facts.append_event(20, b"{}").unwrap(), 2);
            facts.trim_events(0).unwrap();
        }
        let facts = open(&directory);
        assert_eq!(facts.last_event().unwrap(), 2);
        assert_eq!(facts.append_event(30, b"[3]").unwrap(), 3);
        assert_eq!(
            facts.events_since(0, 10).unwrap(),
            vec![(3, 30, b"[3]".to_vec())]
        );
    }

    #[test]
    fn events_are_read_in_pages_and_by_time() {
        let directory = tempfile::tempdir().unwrap();
        let facts = open(&directory);
        let mut batch = Batch::new();
        for time in 1..=10 {
            batch.event(time * 100, b"{}");
        }
        assert_eq!(facts.commit(batch).unwrap(), (1..=10).collect::<Vec<u64>>());
        let numbers = |events: Vec<(u64, i64, Vec<u8>)>| -> Vec<u64> {
            events.into_iter().map(|(seq, ..)| seq).collect()
        };
        assert_eq!(numbers(facts.events_since(3, 2).unwrap()), [4, 5]);
        assert_eq!(
            numbers(facts.events_between(200, 500, 0, 10).unwrap()),
            [2, 3, 4, 5]
        );
        assert_eq!(numbers(facts.events_between(200, 500, 3, 1).unwrap()), [4]);
        facts.trim_events(2).unwrap();
        assert_eq!(numbers(facts.events_since(0, 100).unwrap()), [9, 10]);
    }

    /// The schema as version 1 wrote it, frozen.
    const VERSION_1: &str = "
        CREATE TABLE documents (kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (kind, key)) WITHOUT ROWID;
        CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL,
            body BLOB NOT NULL);
        INSERT INTO documents VALUES ('tag', 'docker.io/library/busybox:latest',
            CAST('\"sha256:0\"' AS BLOB));
        INSERT INTO events (time_ns, body) VALUES (5, CAST('{\"Type\":\"image\"}' AS BLOB));
        PRAGMA user_version = 1;";

    #[test]
    fn a_database_of_version_1_is_brought_forward_with_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wharf.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch(VERSION_1)
            .unwrap();
        let facts = Facts::open(&path).unwrap();
        let tag: Option<String> = facts
            .get("tag", "docker.io/library/busybox:latest")
            .unwrap();
        assert_eq!(tag.as_deref(), Some("sha256:0"));
        assert_eq!(facts.events_between(0, 9, 0, 9).unwrap().len(), 1);
        let count = |name: &str| -> i64 {
            let sql = "SELECT COUNT(*) FROM sqlite_master WHERE name = ?1";
            facts
                .read()
                .query_row(sql, [name], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(count("events_by_time"), 1);
        let version: i64 = facts
            .read()
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(version).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn a_migration_that_fails_half_way_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wharf.db");
        let mut connection = Connection::open(&path).unwrap();
        let steps = [
            "CREATE TABLE a (x);",
            "CREATE TABLE b (x); CREATE TABLE a (x);",
        ];
        assert!(migrate(&mut connection, &path, &steps).is_err());
        let tables: i64 = connection
            .query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wharf.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99;")
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        match Facts::open(&path) {
            Err(StoreError::NewerSchema { found: 99, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(before, std::fs::read(&path).unwrap());
    }

    #[test]
    fn a_file_that_is_not_a_database_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wharf.db");
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        assert!(matches!(
            Facts::open(&path),
            Err(StoreError::Database { .. })
        ));
    }

    #[test]
    fn the_database_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let facts = open(&directory);
        facts.append_event(1, b"{}").unwrap();
        for name in ["wharf.db", "wharf.db-wal"] {
            let mode = directory
                .path()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
    }
}
