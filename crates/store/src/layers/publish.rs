//! From what was received to a layer that is there.
//!
//! Files are made durable first, then renamed, the index last: it is what makes a layer be
//! there. Names change under one lock, held for a few renames; nothing else is done under it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::disk::{Found, Part, remove_if_there};
use super::receive::{self, Received};
use super::unpack::Unpack;
use super::work::Work;
use super::{Layers, erofs, skeleton};
use crate::digest::DiffId;
use crate::directory;
use crate::error::StoreError;

impl Layers {
    /// Make the received layer durable and visible, as tar and index.
    pub(super) fn publish_indexed(
        &self,
        diff_id: &DiffId,
        work: &Work,
        received: Received,
    ) -> Result<(), StoreError> {
        let index = write_index(diff_id, work, &received)?;
        for (file, name) in [
            (Some(&received.tar), "tar"),
            (received.side.as_ref(), "side"),
            (Some(&index), "index"),
        ] {
            if let Some(file) = file {
                file.sync_data()
                    .map_err(|error| work.error("sync", name, error))?;
            }
        }
        let has_side = received.side.is_some();
        // The tree of a large layer is large: it goes before the lock is taken.
        drop(received);
        let _names = self.lock_names();
        if self.find(diff_id)?.is_some() {
            return Ok(());
        }
        self.rename_in(work, "tar", diff_id, Part::Tar)?;
        if has_side {
            self.rename_in(work, "side", diff_id, Part::Side)?;
        }
        self.rename_in(work, "index", diff_id, Part::Index)?;
        self.total
            .fetch_add(self.bytes_of(diff_id)?, Ordering::Relaxed);
        directory::sync(&self.directory)
    }

    /// Make the received layer durable and visible, unpacked.
    pub(super) fn publish_unpacked(
        &self,
        diff_id: &DiffId,
        work: &Work,
        received: &Received,
    ) -> Result<(), StoreError> {
        let layer = work.path("layer");
        directory::make_private(&layer)?;
        let files = layer.join("fs");
        directory::make_private(&files)?;
        let paths = Unpack {
            tree: &received.tree,
            tar: &received.tar,
            side: received.side.as_ref(),
            marks: self.marks,
        }
        .make_in(&files)?;
        // The index is not kept, but what it would note is.
        let notes = erofs::write(&parts(diff_id, received), &mut io::sink())
            .map_err(|error| bad_index(work, error))?;
        let skeleton = work.create("layer/skeleton")?;
        let skeleton = skeleton::write(skeleton, &notes, &received.tar, &received.tree, &paths)
            .map_err(|error| work.error("write", "layer/skeleton", error))?;
        // Thousands of files are made durable by one call.
        rustix::fs::syncfs(&skeleton).map_err(|error| work.error("sync", "layer", error.into()))?;
        let _names = self.lock_names();
        if matches!(self.find(diff_id)?, Some(Found::Directory(_))) {
            return Ok(());
        }
        self.rename_in(work, "layer", diff_id, Part::Unpacked)?;
        self.total
            .fetch_add(self.bytes_of(diff_id)?, Ordering::Relaxed);
        directory::sync(&self.directory)
    }

    /// Unpack a layer that was imported when this kernel, or another, could mount its index.
    pub(super) fn convert_if_indexed(&self, diff_id: &DiffId) -> Result<(), StoreError> {
        let _one_at_a_time = self
            .converting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.find(diff_id)?, Some(Found::Index(_))) {
            return Ok(());
        }
        tracing::info!(%diff_id, "the layer's index cannot be mounted here: unpacking it");
        let work = self.works.begin()?;
        let tar = self.open_part(diff_id, Part::Tar)?;
        // Read as it was when it came, so that what is unpacked is again what the digest says.
        let received = receive::receive_again(&tar, &work)?;
        if received.digest != diff_id.0 {
            return Err(StoreError::WrongDigest {
                expected: diff_id.0,
                actual: received.digest,
            });
        }
        let before = self.bytes_of(diff_id)?;
        self.publish_unpacked(diff_id, &work, &received)?;
        let _names = self.lock_names();
        for part in [Part::Index, Part::Tar, Part::Side] {
            remove_if_there(&self.part(diff_id, part))?;
        }
        self.total
            .fetch_sub(before.min(self.total_bytes()), Ordering::Relaxed);
        Ok(())
    }
}

fn parts<'a>(diff_id: &'a DiffId, received: &'a Received) -> erofs::Parts<'a> {
    erofs::Parts {
        tree: &received.tree,
        diff_id,
        tar_bytes: received.tar_bytes,
        side_bytes: received.side_bytes,
    }
}

/// Write the index of a received layer.
pub(super) fn write_index(
    diff_id: &DiffId,
    work: &Work,
    received: &Received,
) -> Result<File, StoreError> {
    let mut output = BufWriter::with_capacity(1 << 17, work.create("index")?);
    erofs::write(&parts(diff_id, received), &mut output).map_err(|error| bad_index(work, error))?;
    output
        .into_inner()
        .map_err(|error| work.error("write", "index", error.into_error()))
}

fn bad_index(work: &Work, error: erofs::WriteError) -> StoreError {
    match error {
        erofs::WriteError::Io(error) => work.error("write", "index", error),
        erofs::WriteError::Unfit(unfit) => StoreError::BadLayer(unfit.to_string()),
    }
}
