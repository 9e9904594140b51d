//! Any bytes as a conflist, and as what a plugin answers: refused, or with names that cannot become
//! paths and addresses of interfaces that are there.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use wharf_network::cni::{Attached, Conflist};

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = Conflist::parse(data, Path::new("x.conflist")) {
        assert!(!list.name().is_empty() && !list.name().contains(['/', ':', '\0']));
        assert!(list.plugins().count() > 0);
        assert!(list.plugins().all(|plugin| !plugin.is_empty() && !plugin.contains('/')));
    }
    if let Ok(attached) = Attached::parse(data) {
        let known = attached.interfaces.len();
        let within = |index: Option<usize>| index.is_none_or(|index| index < known);
        assert!(attached.addresses.iter().all(|address| within(address.interface)));
    }
});
