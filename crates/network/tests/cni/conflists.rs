//! Files.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use wharf_network::cni::{Conflist, Version, directory};

fn refused(json: &serde_json::Value) -> String {
    let parsed = Conflist::parse(json.to_string().as_bytes(), Path::new("x.conflist"));
    parsed.unwrap_err().to_string()
}

#[test]
fn a_directory_s_networks_come_in_the_order_of_its_files_and_bad_files_hide_no_good_ones() {
    let place = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let list =
        |name: &str| json!({"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "x"}]});
    write("20-b.conflist", &list("b").to_string());
    write("10-a.conflist", &list("a").to_string());
    write(
        "30-one.conf",
        r#"{"cniVersion":"0.4.0","name":"one","type":"bridge"}"#,
    );
    write("40-again.conflist", &list("a").to_string());
    write("50-broken.json", "{");
    write("60-huge.json", &" ".repeat(2 << 20));
    write("notes.txt", "not a network");
    fs::create_dir(place.path().join("70-directory.conf")).unwrap();
    let pipe = place.path().join("80-pipe.conf");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let found = directory(place.path()).unwrap();
    let names: Vec<&str> = found.networks.iter().map(Conflist::name).collect();
    assert_eq!(names, ["a", "b", "one"]);
    assert_eq!(found.networks[2].version(), Version::V0_4_0);
    assert_eq!(found.networks[2].plugins().collect::<Vec<_>>(), ["bridge"]);
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert!(errors[0].contains("40-again.conflist"));
    assert!(directory(Path::new("/nonexistent")).is_err());
}

#[test]
fn conflists_that_cannot_be_used_say_why() {
    for (json, reason) in [
        (json!([]), "not an object"),
        (
            json!({"cniVersion": "1.0.0", "plugins": [{"type": "x"}]}),
            "no 'name'",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "n"}),
            "no 'plugins' key",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "n", "plugins": []}),
            "no plugins in list",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "n", "plugins": [{}]}),
            "missing 'type'",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "../../bin/sh"}]}),
            "invalid plugin type",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "../n", "plugins": [{"type": "x"}]}),
            "invalid network name",
        ),
        (
            json!({"cniVersion": "0.2.0", "name": "n", "plugins": [{"type": "x"}]}),
            "unsupported CNI version \"0.2.0\"",
        ),
        (
            json!({"cniVersion": "1.0.0", "name": "n", "disableCheck": 7, "plugins": [{"type": "x"}]}),
            "invalid value 7 for disableCheck",
        ),
    ] {
        let said = refused(&json);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn the_newest_version_offered_is_spoken() {
    let json = json!({
        "cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.1.0", "7.0.0"],
        "name": "n", "plugins": [{"type": "x"}],
    });
    let list = Conflist::parse(json.to_string().as_bytes(), Path::new("x")).unwrap();
    assert_eq!(list.version(), Version::V1_1_0);
}
