//! Any bytes as an archive of images. After an error nothing has changed; what was loaded can be
//! saved, and the archive of it loads as the same images with the same layers.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_images::{
    Force, ImageId, Images, ListQuery, LoadOptions, Parents, RemoveRequest, Silent,
};
use wharf_store::{DiffId, LayerForm, Store, StoreOptions};

static PLACE: OnceLock<(TempDir, Images)> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let (_, images) = PLACE.get_or_init(open);
    let Some(loaded) = load(images, data) else {
        assert_eq!(
            images.count(),
            0,
            "an archive that was refused left an image"
        );
        collect(images);
        return;
    };
    let names: Vec<String> = loaded.iter().map(|(id, _)| id.to_string()).collect();
    let mut archive = Vec::new();
    if images.save(&names, None, &mut archive).is_ok() {
        clear(images);
        let again = load(images, &archive).expect("what was saved can be loaded");
        assert_eq!(again, loaded);
    }
    clear(images);
});

fn open() -> (TempDir, Images) {
    let place = wharf_fuzz::scratch();
    let options = StoreOptions {
        layers: LayerForm::Auto,
    };
    let store = Store::open(&place.path().join("store"), &options).expect("a store");
    let images = Images::open(store).expect("images");
    (place, images)
}

/// The images that were loaded, with their layers.
fn load(images: &Images, archive: &[u8]) -> Option<Vec<(ImageId, Vec<DiffId>)>> {
    let options = LoadOptions::default();
    let loaded = images.load(&mut &*archive, &options, &mut Silent).ok()?;
    let mut found = Vec::new();
    for one in loaded {
        let image = images.get(&one.id).expect("a loaded image is there");
        found.push((one.id, image.diff_ids()));
    }
    found.sort();
    found.dedup();
    images.list(&ListQuery::default()).expect("a list");
    Some(found)
}

fn clear(images: &Images) {
    let query = ListQuery {
        all: true,
        ..ListQuery::default()
    };
    for image in images.list(&query).expect("a list") {
        let request = RemoveRequest {
            name: &image.id.to_string(),
            force: Force::Yes,
            parents: Parents::Remove,
            in_use: &|_| None,
        };
        images.remove(&request).expect("nothing is in the way");
    }
    assert_eq!(images.count(), 0);
    collect(images);
}

fn collect(images: &Images) {
    let store = images.store();
    store
        .collect::<wharf_images::ImageError>(|| Ok(images.roots()))
        .expect("nothing is in the way of a collection");
    assert!(store.layers().list().expect("a list").is_empty());
    assert_eq!(store.blobs().total_bytes(), 0);
}
