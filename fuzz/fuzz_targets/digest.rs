//! Any text as a digest, an image ID or a platform: what is accepted prints as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_images::{ImageId, Platform};
use wharf_store::{DiffId, Digest};

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::from_hex(&digest.hex()), Ok(digest));
        assert_eq!(text.parse::<DiffId>().map(|id| id.0), Ok(digest));
        assert_eq!(text.parse::<ImageId>().map(|id| id.0), Ok(digest));
        let json = serde_json::to_string(&digest).expect("a string");
        assert_eq!(serde_json::from_str::<Digest>(&json).ok(), Some(digest));
    }
    if let Ok(digest) = Digest::from_hex(text) {
        assert_eq!(digest.hex(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        let again = platform.to_string().parse::<Platform>();
        assert_eq!(again.ok(), Some(platform.clone()), "{platform}");
        assert_eq!(platform.normalised(), platform.normalised().normalised());
        let _ = platform.suits(&Platform::host());
    }
});
