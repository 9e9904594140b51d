//! Any text as the instructions of `--change`: a configuration or an error.
//! Input: instructions, separated by bytes of 0.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_images::{RunConfig, change};

fuzz_target!(|data: &[u8]| {
    let texts: Vec<String> = wharf_fuzz::fields(data)
        .filter_map(|field| String::from_utf8(field.to_vec()).ok())
        .collect();
    for text in &texts {
        let _ = change::parse(text);
    }
    let config = RunConfig {
        env: vec!["PATH=/bin".to_owned(), "HOME=/root".to_owned()],
        working_dir: "/srv".to_owned(),
        ..RunConfig::default()
    };
    let Ok(changed) = change::apply(config, &texts) else {
        return;
    };
    // Expansion of variables is bounded.
    let size: usize = changed.env.iter().map(String::len).sum();
    assert!(size <= 64 << 20, "{size} bytes of environment");
    if !changed.working_dir.is_empty() {
        assert!(
            changed.working_dir.starts_with('/'),
            "{}",
            changed.working_dir
        );
    }
});
