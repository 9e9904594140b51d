//! Any bytes as the documents of an image: index, manifest, configuration. A configuration that
//! is accepted survives being written and read, since that is how a commit inherits it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_images::manifest::Document;
use wharf_images::{ImageConfig, Platform, RunConfig};

fuzz_target!(|data: &[u8]| {
    let _ = Document::parse(data, "", "index.json");
    let announced = "application/vnd.oci.image.index.v1+json";
    if let Ok(document) = Document::parse(data, announced, "index.json") {
        assert!(matches!(document, Document::Index(_)));
    }
    let Ok(config) = ImageConfig::parse(data) else {
        return;
    };
    let _ = config.created_at();
    let _ = config.platform().suits(&Platform::host());
    let text = serde_json::to_vec(&config).expect("what was read can be written");
    let again = ImageConfig::parse(&text).expect("what was written can be read");
    assert_eq!(again, config);

    let image = config.run_config();
    let mut filled = RunConfig::default();
    filled.fill_from(&image);
    let once = filled.clone();
    filled.fill_from(&image);
    assert_eq!(filled, once, "the same defaults twice change nothing");
});
