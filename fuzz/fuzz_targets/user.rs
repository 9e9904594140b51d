//! Any files as an image's `passwd` and `group`: an identity within bounds, or an error.
//! Input, separated by bytes of 0: `user[:group]`, passwd, group, further groups.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_runtime::user;
use wharf_sys::rooted::Root;

const ID_MAX: u32 = i32::MAX as u32;

static PLACE: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let place = PLACE.get_or_init(|| {
        let place = wharf_fuzz::scratch();
        std::fs::create_dir(place.path().join("etc")).expect("a directory");
        place
    });
    let mut fields = wharf_fuzz::fields(data);
    let Some(Ok(name)) = fields.next().map(std::str::from_utf8) else {
        return;
    };
    for file in ["etc/passwd", "etc/group"] {
        std::fs::write(place.path().join(file), fields.next().unwrap_or_default()).expect("a file");
    }
    let extra: Vec<String> = fields
        .filter_map(|field| String::from_utf8(field.to_vec()).ok())
        .collect();
    let root = Root::open(place.path()).expect("a root");
    if let Ok(identity) = user::resolve(&root, name, &extra) {
        assert!(identity.uid <= ID_MAX && identity.gid <= ID_MAX);
        assert_eq!(identity.additional_gids.first(), Some(&identity.gid));
        assert!(identity.additional_gids.iter().all(|&gid| gid <= ID_MAX));
        // A number is a number, never somebody's name.
        if let Ok(uid) = name.split(':').next().unwrap_or_default().parse::<u32>() {
            assert_eq!(identity.uid, uid);
        }
        let _ = user::home(&root, identity.uid);
    }
});
