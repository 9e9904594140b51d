//! Any text as the name of an image: what is accepted prints as something that reads as the same.
//! Input: the name, and behind a byte of 0 a tag or a pattern for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_images::reference::{AnyReference, Reference};

fuzz_target!(|data: &[u8]| {
    let mut fields = wharf_fuzz::fields(data).map(|field| std::str::from_utf8(field).ok());
    let Some(Some(text)) = fields.next() else {
        return;
    };
    let _ = AnyReference::parse(text).map(|any| any.familiar());
    let Ok(name) = Reference::parse(text) else {
        return;
    };
    assert_eq!(Reference::parse(&name.to_string()).as_ref(), Ok(&name));
    // What people see of `docker.io/some.host/x` is `some.host/x`, which is another name: Docker's
    // own ambiguity, and the only one.
    if Reference::parse(&name.familiar()).as_ref() != Ok(&name) {
        let first = name.path().split('/').next().unwrap_or_default();
        let like_a_host = first.contains(['.', ':']) || first == "localhost";
        assert!(name.domain() == "docker.io" && like_a_host, "{name}");
    }
    // A domain may be empty, as in distribution/reference: `docker.io_library/x` is all path.
    assert!(!name.path().is_empty());
    assert_eq!(name.lookup_form(), name.lookup_form().lookup_form());
    let Some(Some(second)) = fields.next() else {
        return;
    };
    if let Ok(tagged) = name.with_tag(second) {
        assert_eq!(tagged.tag(), Some(second));
        assert_eq!(Reference::parse(&tagged.to_string()), Ok(tagged));
    }
    // Not a bad pattern for one name and a good one for another: the cost is bounded by its length.
    if second.len() <= 64 {
        let _ = name.matches(second);
    }
});
