//! Any bytes as a layer, in both forms. Taken by one form and by the other alike, with the same
//! numbers; the tar comes back byte for byte; after an error and after a collection nothing is
//! left. The directory form unpacks for real, as root if this is root: what it does outside its
//! directory would be seen by the canary beside it.
#![no_main]

use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_store::{Digest, Layer, LayerForm, Limits, Roots, Store, StoreError, StoreOptions};

const LIMITS: Limits = Limits {
    bytes: 4 << 20,
    entries: 2000,
    metadata: 1 << 20,
    ratio: 1000,
};

struct Stores {
    place: TempDir,
    indexed: Option<Store>,
    unpacked: Store,
}

static STORES: OnceLock<Stores> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let stores = STORES.get_or_init(open);
    let unpacked = taken(&stores.unpacked, data);
    if let Some(indexed) = &stores.indexed {
        let indexed = taken(indexed, data);
        // A file system under a directory can refuse what an index holds (names of 255 bytes,
        // attributes); what it takes, the index must take too.
        if let Some(unpacked) = unpacked {
            assert_eq!(indexed, Some(unpacked), "the two forms disagree");
        }
    }
    let beside = std::fs::read_dir(stores.place.path()).expect("the place is there");
    assert!(beside.count() <= 3, "something appeared outside the stores");
});

fn open() -> Stores {
    let place = wharf_fuzz::scratch();
    let store =
        |name: &str, layers| Store::open(&place.path().join(name), &StoreOptions { layers });
    let canary = place.path().join("canary");
    std::fs::create_dir(&canary).expect("a canary");
    Stores {
        indexed: store("indexed", LayerForm::Index).ok(),
        unpacked: store("unpacked", LayerForm::Directory).expect("a store"),
        place,
    }
}

fn taken(store: &Store, data: &[u8]) -> Option<Layer> {
    let layers = store.layers();
    let lease = store.lease();
    let imported = layers.import(&lease, &mut &*data, None, &LIMITS).ok();
    if let Some(layer) = imported {
        let mut tar = Vec::new();
        layers
            .open_tar(&layer.diff_id)
            .expect("a layer that was imported is there")
            .read_to_end(&mut tar)
            .expect("and can be read");
        assert_eq!(tar.len() as u64, layer.tar_bytes);
        assert_eq!(Digest::of(&tar), layer.diff_id.0);
        assert!(layer.tar_bytes <= LIMITS.bytes && layer.entries <= LIMITS.entries);
    } else {
        assert!(layers.list().expect("a list").is_empty());
    }
    drop(lease);
    store
        .collect::<StoreError>(|| Ok(Roots::default()))
        .expect("nothing is in the way of a collection");
    assert!(layers.list().expect("a list").is_empty());
    assert_eq!(layers.total_bytes(), 0);
    assert!(!left_over(&store.root().join("layers")));
    imported
}

/// Whether a layer's directory holds more than what an empty store has.
fn left_over(layers: &Path) -> bool {
    static EMPTY: OnceLock<usize> = OnceLock::new();
    let count = std::fs::read_dir(layers).expect("layers are there").count();
    // Both forms begin with the same names; the first to come says how many.
    count > *EMPTY.get_or_init(|| count)
}
