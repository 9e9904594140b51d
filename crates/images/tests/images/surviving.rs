//! What is left after an interruption, and collection while everything runs.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use wharf_images::{
    ContainerUse, Force, ImageError, ImageId, LoadOptions, Parents, RemoveRequest, Silent,
};
use wharf_store::{Finding, Repair};

use crate::fixture::{Lab, Packing, Sample, layer, oci_archive};

fn unused(_: &ImageId) -> Option<ContainerUse> {
    None
}

/// Delivers an archive up to some byte; then says so and waits to be told to go on.
struct Pausing<'a> {
    bytes: &'a [u8],
    at: usize,
    pause: Option<Arc<Barrier>>,
    position: usize,
}

impl Read for Pausing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.position >= self.at
            && let Some(barrier) = self.pause.take()
        {
            barrier.wait();
            barrier.wait();
        }
        let end = if self.pause.is_some() {
            self.at
        } else {
            self.bytes.len()
        };
        let got = (&self.bytes[self.position..end]).read(buffer)?;
        self.position += got;
        Ok(got)
    }
}

#[test]
fn a_collection_in_the_middle_of_a_load_takes_nothing_from_it() {
    let sample = Sample::two_layers(&"x".repeat(2_000_000));
    let archive = sample.docker_archive(&["app:1"]);
    let lab = Lab::new();
    // Most of the archive has arrived: the first layer is in the store, named by nobody.
    let barrier = Arc::new(Barrier::new(2));
    let at = archive.len() - 4096;
    let mut source = Pausing {
        bytes: &archive,
        at,
        pause: Some(Arc::clone(&barrier)),
        position: 0,
    };
    thread::scope(|scope| {
        let loading = scope.spawn(|| {
            lab.images
                .load(&mut source, &LoadOptions::default(), &mut Silent)
                .map(|_| ())
        });
        barrier.wait();
        lab.collect();
        barrier.wait();
        loading.join().unwrap().unwrap();
    });
    lab.collect();
    let tar = lab.save(&["app:1"]);
    assert_eq!(Lab::new().load(&tar).unwrap()[0].id, sample.id());
}

#[test]
fn loading_removing_and_collecting_at_the_same_time_never_breaks_an_image() {
    let lab = Lab::new();
    let samples: Vec<Sample> = (0..4)
        .map(|number| Sample::two_layers(&number.to_string()))
        .collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut runs = 0;
            while !done.load(Ordering::Relaxed) {
                lab.collect();
                runs += 1;
            }
            runs
        });
        let loaders: Vec<_> = samples
            .iter()
            .enumerate()
            .map(|(number, sample)| {
                let lab = &lab;
                scope.spawn(move || {
                    let name = format!("app:{number}");
                    let archive = sample.docker_archive(&[&name]);
                    for _ in 0..8 {
                        lab.load(&archive).unwrap();
                        // Every layer it says it has is there, whatever was collected meanwhile.
                        lab.save(&[&name]);
                        let request = RemoveRequest {
                            name: &name,
                            force: Force::No,
                            parents: Parents::Remove,
                            in_use: &unused,
                        };
                        lab.images.remove(&request).unwrap();
                    }
                    lab.load(&archive).unwrap();
                })
            })
            .collect();
        for loader in loaders {
            loader.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(collector.join().unwrap() > 0);
    });
    lab.collect();
    assert!(lab.images.incomplete().unwrap().is_empty());
    assert_eq!(lab.images.count(), 4);
    assert_eq!(lab.images.store().layers().list().unwrap().len(), 5);
}

#[test]
fn a_load_that_is_interrupted_names_nothing_and_the_next_start_cleans_up() {
    let sample = Sample::two_layers(&"x".repeat(100_000));
    let archive = sample.docker_archive(&["app:1"]);
    let lab = Lab::new();
    // The archive ends after its layers: they are in the store, complete and nameless.
    let end = archive.len() - 4096;
    assert!(lab.load(&archive[..end]).is_err());
    assert!(!lab.images.store().layers().list().unwrap().is_empty());
    // As a killed daemon leaves it: files half written, and a lease that is gone with it.
    let ingest = lab.root().join("wharf/blobs/ingest");
    fs::write(ingest.join("12"), b"half a blob").unwrap();
    let lab = lab.reopen();
    assert_eq!(fs::read_dir(&ingest).unwrap().count(), 0);
    lab.assert_empty();
    lab.load(&archive).unwrap();
    assert_eq!(lab.images.resolve_id("app:1").unwrap(), sample.id());
}

#[test]
fn damaged_content_is_found_taken_out_of_use_and_can_be_loaded_again() {
    let sample = Sample::two_layers("x");
    let archive = oci_archive(&sample, Packing::Gzip, Some("app:1"));
    let lab = Lab::new();
    lab.load(&archive).unwrap();
    let store = lab.images.store().clone();
    let mut findings = Vec::new();
    let summary = store
        .fsck(Repair::No, &mut |finding| findings.push(finding.clone()))
        .unwrap();
    assert_eq!(
        (summary.blobs, summary.layers, summary.findings),
        (2, 2, 0),
        "{findings:?}"
    );

    let blob = lab
        .root()
        .join("wharf/blobs/sha256")
        .join(sample.id().0.hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[5] ^= 1;
    fs::write(&blob, bytes).unwrap();
    fs::write(lab.root().join("wharf/blobs/sha256/stray"), b"x").unwrap();
    let summary = store
        .fsck(Repair::No, &mut |finding| findings.push(finding.clone()))
        .unwrap();
    assert_eq!((summary.findings, summary.repaired), (2, 0));
    assert!(
        findings
            .iter()
            .any(|f| matches!(f, Finding::CorruptBlob { digest, .. } if *digest == sample.id().0))
    );
    assert!(findings.iter().any(|f| matches!(f, Finding::Stray(_))));
    let summary = store.fsck(Repair::Yes, &mut |_| {}).unwrap();
    assert_eq!((summary.findings, summary.repaired), (2, 2));
    let incomplete = lab.images.incomplete().unwrap();
    assert!(matches!(&incomplete[..], [ImageError::Incomplete { id, .. }] if *id == sample.id()));
    lab.load(&archive).unwrap();
    assert!(lab.images.incomplete().unwrap().is_empty());
    assert_eq!(store.fsck(Repair::No, &mut |_| {}).unwrap().findings, 0);
}

#[test]
fn a_damaged_layer_is_found_and_can_be_loaded_again() {
    let sample = Sample::two_layers("some text that can be found");
    let archive = sample.docker_archive(&["app:1"]);
    let lab = Lab::new();
    lab.load(&archive).unwrap();
    let store = lab.images.store().clone();
    let hex = crate::fixture::diff_id(&sample.layers[1]).hex();
    let tar = lab.root().join(format!("wharf/layers/{hex}.tar"));
    if !tar.exists() {
        // The directory form keeps no tar to damage.
        return;
    }
    let mut bytes = fs::read(&tar).unwrap();
    let at = bytes
        .windows(4)
        .position(|window| window == b"text")
        .unwrap();
    bytes[at] = b'T';
    fs::write(&tar, bytes).unwrap();
    let mut findings = Vec::new();
    store
        .fsck(Repair::Yes, &mut |finding| findings.push(finding.clone()))
        .unwrap();
    assert!(
        matches!(&findings[..], [Finding::CorruptLayer { .. }]),
        "{findings:?}"
    );
    assert_eq!(lab.images.incomplete().unwrap().len(), 1);
    lab.load(&archive).unwrap();
    assert!(lab.images.incomplete().unwrap().is_empty());
}

#[test]
fn a_store_that_is_open_cannot_be_opened_by_another() {
    let lab = Lab::new();
    let again = wharf_store::Store::open(
        &lab.root().join("wharf"),
        &wharf_store::StoreOptions::default(),
    );
    assert!(
        again
            .unwrap_err()
            .to_string()
            .contains("in use by another process")
    );
    lab.load(&Sample::new(vec![layer(&[("a", "b")])]).docker_archive(&["a:1"]))
        .unwrap();
}
