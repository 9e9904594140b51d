//! `docker cp`: files between here and a container, as tar streams of the archive endpoint.
//!
//! The daemon only packs a path and unpacks into a directory. Which directory, and under which
//! name, is decided here by [`paths`], from what both ends are.

mod extract;
mod pack;
mod paths;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::client::{Call, ClientError, Query, Reply};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::path;
use crate::failure::Failure;
use crate::flags::{FlagSet, Given};
use crate::session::Session;
use crate::units;

use paths::{Rename, Source, Target};

pub(crate) const COMMAND: Command = Command::verb(
    "cp",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    Arity::Exactly(2),
    || Box::new(Copy::default()),
)
.long("Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.")
.paths(&["container cp", "cp"])
.names(Names::Files);

/// Chunks on their way between the disk and the connection; at 64 KiB each, 1 MiB.
const CHUNKS: usize = 16;

#[derive(Default)]
struct Copy {
    archive: bool,
    follow_link: bool,
    quiet: Given<bool>,
}

/// What the daemon says of a path, in its `X-Docker-Container-Path-Stat` header.
#[derive(Debug, Deserialize)]
struct PathStat {
    mode: u32,
    #[serde(rename = "linkTarget")]
    link_target: String,
}

/// Go's `os.FileMode` bits.
const MODE_DIR: u32 = 1 << 31;
const MODE_SYMLINK: u32 = 1 << 27;
const MODE_DEVICE: u32 = 1 << 26;
const MODE_IRREGULAR: u32 = 1 << 19;

impl PathStat {
    fn read(reply: &Reply<'_>) -> Result<PathStat, Failure> {
        let header = reply
            .header("x-docker-container-path-stat")
            .unwrap_or_default();
        let json = base64::engine::general_purpose::STANDARD
            .decode(header)
            .unwrap_or_default();
        serde_json::from_slice(&json).map_err(|error| {
            Failure::Text(format!(
                "unable to get resource stat from response: {error}"
            ))
        })
    }

    fn is_dir(&self) -> bool {
        self.mode & MODE_DIR != 0
    }

    fn is_link(&self) -> bool {
        self.mode & MODE_SYMLINK != 0
    }
}

impl Verb for Copy {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.follow_link,
            "follow-link",
            'L',
            "Always follow symbol link in SRC_PATH",
        );
        set.short(
            &mut self.archive,
            "archive",
            'a',
            "Archive mode (copy all uid/gid information)",
        );
        set.short(&mut self.quiet, "quiet", 'q', "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if args[0].is_empty() {
                return Err("source can not be empty".into());
            }
            if args[1].is_empty() {
                return Err("destination can not be empty".into());
            }
            let (source, source_path) = paths::split_argument(&args[0]);
            let (target, target_path) = paths::split_argument(&args[1]);
            match (source, target) {
                (Some(_), Some(_)) => Err("copying between containers is not supported".into()),
                (None, None) => Err("must specify at least one container source".into()),
                (Some(container), None) => {
                    self.copy_out(session, container, source_path, target_path)
                        .await
                }
                (None, Some(container)) => {
                    self.copy_in(session, container, source_path, target_path)
                        .await
                }
            }
        })
    }
}

async fn stat(session: &Session, container: &str, at: &str) -> Result<PathStat, Failure> {
    let call =
        Call::new(Method::HEAD, path(container, "/archive")?).query(Query::new().add("path", at));
    let reply = session.client()?.send(call).await?;
    let stat = PathStat::read(&reply);
    reply.finish().await;
    stat
}

impl Copy {
    fn is_quiet(&self, session: &Session) -> bool {
        match self.quiet.given() {
            Some(quiet) => *quiet,
            None => !session.out.is_terminal(),
        }
    }

    async fn copy_out(
        &self,
        session: &Session,
        container: &str,
        source: &str,
        target: &str,
    ) -> Result<(), Failure> {
        let mut source = Source::new(source);
        let target = if target == "-" {
            target.to_owned()
        } else {
            paths::absolute(target)?
        };
        if target != "-" {
            paths::check_output(&target)?;
        }
        if self.follow_link {
            // A path that cannot be asked about fails below, with the reason.
            match stat(session, container, &source.path).await {
                Ok(stat) if stat.is_link() => source = source.following(&stat.link_target),
                _ => {}
            }
        }
        let call = Call::get(path(container, "/archive")?)
            .query(Query::new().add("path", source.path.as_str()));
        let mut reply = session.client()?.send(call).await?;
        if target == "-" {
            while let Some(chunk) = reply.chunk().await? {
                session.out.send(&chunk).await?;
            }
            return Ok(());
        }
        source.is_dir = PathStat::read(&reply)?.is_dir();
        let plan = paths::plan(&source, &Target::local(&target)?)?;
        let rebase = source.rebase.clone().map(|new| Rename {
            old: source.base(),
            new,
        });
        let progress =
            Progress::start(session, self.is_quiet(session), "Copying from container - ");
        let (send, receive) = mpsc::channel(CHUNKS);
        let unpack = tokio::task::spawn_blocking(move || {
            let renames = rebase.into_iter().chain(plan.rename).collect::<Vec<_>>();
            extract::extract(
                &mut ChunkReader::new(receive),
                Path::new(&plan.directory),
                &renames,
            )
        });
        let feed = async {
            while let Some(chunk) = reply.chunk().await? {
                progress.add(chunk.len());
                // The other end is gone: it has failed, and says why.
                if send.send(chunk).await.is_err() {
                    break;
                }
            }
            drop(send);
            Ok::<(), ClientError>(())
        };
        let (fed, unpacked) = tokio::join!(progress.watch(feed), unpack);
        progress.finish(session, &target);
        unpacked.map_err(|error| Failure::Text(error.to_string()))??;
        fed?;
        Ok(())
    }

    async fn copy_in(
        &self,
        session: &Session,
        container: &str,
        source: &str,
        target: &str,
    ) -> Result<(), Failure> {
        let mut destination = Target::named(target);
        if let Ok(found) = stat(session, container, target).await {
            let found = if found.is_link() {
                destination = Target::named(&paths::link_target(target, &found.link_target));
                stat(session, container, &destination.path).await.ok()
            } else {
                Some(found)
            };
            if let Some(found) = found {
                if found.mode & (MODE_DEVICE | MODE_IRREGULAR) != 0 {
                    let what = if found.mode & MODE_DEVICE != 0 {
                        "a device"
                    } else {
                        "an irregular file"
                    };
                    return Err(format!("destination \"{container}:{target}\" must be a directory or a regular file: got {what}").into());
                }
                destination.exists = true;
                destination.is_dir = found.is_dir();
            }
        }
        let (send, receive) = mpsc::channel(CHUNKS);
        let progress;
        let (directory, packing) = if source == "-" {
            if !destination.is_dir {
                return Err(
                    format!("destination \"{container}:{target}\" must be a directory").into(),
                );
            }
            progress = Progress::start(session, true, "");
            (
                destination.path.clone(),
                tokio::task::spawn_blocking(move || pack::copy_stdin(send)),
            )
        } else {
            let source = Source::local(&paths::absolute(source)?, self.follow_link)?;
            let plan = paths::plan(&source, &destination)?;
            progress = Progress::start(session, self.is_quiet(session), "Copying to container - ");
            let counter = Arc::clone(&progress.bytes);
            let packing = tokio::task::spawn_blocking(move || {
                pack::pack(&source, plan.rename.as_ref(), send, &counter)
            });
            (plan.directory, packing)
        };
        let mut query = Query::new()
            .add("path", directory)
            .add("noOverwriteDirNonDir", "true");
        if self.archive {
            query = query.add("copyUIDGID", "true");
        }
        let call = Call::new(Method::PUT, path(container, "/archive")?)
            .query(query)
            .tar(receive);
        let client = session.client()?;
        let sent = async {
            client.send(call).await?.finish().await;
            Ok::<(), ClientError>(())
        };
        let (sent, packed) = tokio::join!(progress.watch(sent), packing);
        progress.finish(session, &format!("{container}:{}", destination.path));
        // The reader's reason explains the daemon's, which only saw the stream end.
        packed.map_err(|error| Failure::Text(error.to_string()))??;
        sent?;
        Ok(())
    }
}

/// How much has been copied, shown on a terminal.
struct Progress {
    bytes: Arc<AtomicU64>,
    header: Option<&'static str>,
    err: crate::session::Sink,
}

impl Progress {
    fn start(session: &Session, quiet: bool, header: &'static str) -> Progress {
        Progress {
            bytes: Arc::default(),
            header: (!quiet).then_some(header),
            err: session.err.clone(),
        }
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn text(&self) -> String {
        units::human_size_with(self.bytes.load(Ordering::Relaxed) as f64, 3)
    }

    /// Draws the figure every so often while `work` runs.
    async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(header) = self.header.filter(|_| self.err.is_terminal()) else {
            return work.await;
        };
        let mut clock = tokio::time::interval(std::time::Duration::from_millis(75));
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    let _ = self.err.write(b"\r\x1b[2K");
                    return done;
                }
                _ = clock.tick() => {
                    let _ = self.err.write(format!("\r\x1b[2K{header}{}", self.text()).as_bytes());
                }
            }
        }
    }

    fn finish(&self, session: &Session, destination: &str) {
        if self.header.is_some() {
            session.complain(&format!(
                "Successfully copied {} to {destination}",
                self.text()
            ));
        }
    }
}

/// A blocking reader of chunks that arrive on a channel.
struct ChunkReader {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl ChunkReader {
    fn new(chunks: mpsc::Receiver<Bytes>) -> ChunkReader {
        ChunkReader {
            chunks,
            current: Bytes::new(),
        }
    }
}

impl std::io::Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
