//! Files copied in and out of a container (`cp`).
//!
//! ```text
//!   this file   the three requests, dockerd's texts
//!   view        the container's tree, on a thread of its own: what its processes see when it runs,
//!               else its layers with its volumes and binds, in a private mount namespace
//!   locate      what a path means, by dockerd's rules; what is there
//!   pack        a tree as a tar: crate::tree_tar
//!   unpack      a tar into a tree
//! ```
//! Everything inside the tree is reached by handles that cannot leave it (`RESOLVE_IN_ROOT`): a
//! container that swaps links while it is copied from or to gets its own files mixed up and
//! nobody else's (CVE-2018-15664). Nothing of the container is ever run, looked up or loaded:
//! archives are read and written here, in this process (CVE-2019-14271, CVE-2026-41567).

mod failure;
mod locate;
mod mounts;
mod unpack;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::oneshot;
use wharf_store::tar::Writer;

use crate::model::{PathStat, PutOptions};
use crate::stream::{self, BlockingReader, BlockingWriter, ByteSource, ByteStream};
use crate::{Engine, Error, Result, tree_tar};

use locate::Located;

pub(crate) use locate::evaluate;
pub(crate) use view::{Scope, with_tree};

impl Engine {
    /// What is at a path.
    pub async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        let snapshot = self.0.containers.resolve(container)?;
        let (container, path) = (container.to_owned(), path.to_owned());
        view::with_tree(self, snapshot, Scope::Seen, move |tree| {
            Located::find(tree, &path)
                .and_then(|found| found.stat(tree))
                .map_err(|failure| failure.about(&path, &container))
        })
        .await
    }

    /// A tar of what is at a path. Its entries are named after the path's last component.
    pub async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let snapshot = self.0.containers.resolve(container)?;
        let told = snapshot.record.event("archive-path", []);
        let (container, path) = (container.to_owned(), path.to_owned());
        let (sink, stream) = stream::channel();
        let (found, finding) = oneshot::channel();
        let pack = move |tree: &view::Tree| {
            let located = Located::find(tree, &path)
                .and_then(|located| Ok((located.stat(tree)?, located)))
                .map_err(|failure| failure.about(&path, &container));
            match located {
                Err(error) => {
                    let _ = found.send(Err(error));
                }
                Ok((stat, located)) => {
                    if found.send(Ok(stat)).is_ok() {
                        send(located, BlockingWriter::new(sink));
                    }
                }
            }
            Ok(())
        };
        let engine = self.clone();
        // The archive goes on being written when this returns.
        let packing =
            tokio::spawn(
                async move { view::with_tree(&engine, snapshot, Scope::Seen, pack).await },
            );
        match finding.await {
            Ok(stat) => {
                let stat = stat?;
                self.0.emit(told).await;
                Ok((stat, stream))
            }
            Err(_) => Err(match packing.await {
                Ok(Err(error)) => error,
                _ => Error::Internal("the archiver died".to_owned()),
            }),
        }
    }

    /// Unpacks a tar, which may be compressed by gzip or zstd, below a path.
    pub async fn archive_put(
        &self,
        container: &str,
        path: &str,
        options: PutOptions,
        archive: ByteSource,
    ) -> Result<()> {
        let snapshot = self.0.containers.resolve(container)?;
        let told = snapshot.record.event("extract-to-dir", []);
        let record = Arc::clone(&snapshot.record);
        let (container, path) = (container.to_owned(), path.to_owned());
        view::with_tree(self, snapshot, Scope::Seen, move |tree| {
            locate::extraction_point(tree, &path)
                .and_then(|target| {
                    locate::check_writable(&record, &target)?;
                    unpack::unpack(&tree.root, &target, BlockingReader::new(archive), options)
                })
                .map_err(|failure| failure.about(&path, &container))
        })
        .await?;
        self.0.emit(told).await;
        Ok(())
    }
}

/// Writes the archive. What goes wrong now is an error in the stream: it does not just end.
fn send(located: Located, mut out: BlockingWriter) {
    let mut writer = Writer::new(&mut out);
    let packed = tree_tar::write(&mut writer, located.handle, located.archive_name)
        .and_then(|()| writer.finish().map(drop));
    if let Err(error) = packed {
        out.fail(error);
    }
}
