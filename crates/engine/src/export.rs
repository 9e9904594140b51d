//! `export`: a container's whole file tree as one tar.
//!
//! The image and what the container changed in it, without what is mounted over it: volumes,
//! binds and the engine's own files are not the container's, as with dockerd. Of a container that
//! runs this is a picture taken while things move.

use wharf_store::tar::Writer;

use crate::archive::{Scope, with_tree};
use crate::model::Status;
use crate::stream::{self, BlockingWriter, ByteStream};
use crate::{Engine, Error, Result, tree_tar};

impl Engine {
    /// The tar, as it is written.
    pub async fn export(&self, container: &str) -> Result<ByteStream> {
        let snapshot = self.0.containers.resolve(container)?;
        let refused = match snapshot.state.status {
            Status::Dead => Some("Dead"),
            Status::Removing => Some("being removed"),
            _ => None,
        };
        if let Some(state) = refused {
            return Err(Error::Conflict(format!(
                "You cannot export container {} which is {state}",
                snapshot.id()
            )));
        }
        let told = snapshot.record.event("export", []);
        let (sink, stream) = stream::channel();
        let (opened, opening) = tokio::sync::oneshot::channel();
        let engine = self.clone();
        let exporting = tokio::spawn(async move {
            with_tree(&engine, snapshot, Scope::Bare, move |tree| {
                let top = tree
                    .root
                    .resolve(".")
                    .map_err(|error| Error::Internal(error.to_string()))?;
                let _ = opened.send(());
                let mut out = BlockingWriter::new(sink);
                let mut writer = Writer::new(&mut out);
                let written = tree_tar::write_content(&mut writer, top)
                    .and_then(|()| writer.finish().map(drop));
                if let Err(error) = written {
                    out.fail(error);
                }
                Ok(())
            })
            .await
        });
        if opening.await.is_err() {
            return Err(match exporting.await {
                Ok(Err(error)) => error,
                _ => Error::Internal("the archiver died".to_owned()),
            });
        }
        self.0.emit(told).await;
        Ok(stream)
    }
}
