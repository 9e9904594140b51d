use super::*;
use crate::model::{HostSpec, MountKind, MountSpec};

fn refused(raw: &str) -> String {
    parse_bind(raw, "").unwrap_err().to_string()
}

#[test]
fn a_bind_with_a_path_is_a_bind_and_with_a_name_a_volume() {
    let bind = parse_bind("/src:/dst:ro", "").unwrap();
    assert!(!bind.rw);
    assert_eq!(bind.mode, "ro");
    assert!(
        matches!(&bind.source, WantedSource::Bind { path, create: true, .. } if path == "/src")
    );
    let volume = parse_bind("data:/dst/", "").unwrap();
    assert_eq!(volume.destination, "/dst");
    assert!(
        matches!(&volume.source, WantedSource::Volume { name: Some(name), copy: true, .. } if name == "data")
    );
    assert!(matches!(
        parse_bind("/only", "").unwrap().source,
        WantedSource::Volume { name: None, .. }
    ));
}

#[test]
fn bind_specifications_are_refused_in_dockers_words() {
    assert_eq!(refused(":/x"), "invalid volume specification: ':/x'");
    assert_eq!(
        refused("/a:/b:ro:x"),
        "invalid volume specification: '/a:/b:ro:x'"
    );
    assert_eq!(refused("/a:/b:nope"), "invalid mode: nope");
    assert_eq!(refused("/a:/b:ro,rw"), "invalid mode: ro,rw");
    assert_eq!(refused("/a:ro"), "invalid volume specification: '/a:ro'");
    assert_eq!(
        refused("/a:/"),
        "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
    );
    assert_eq!(
        refused("name:relative"),
        "invalid volume specification: 'name:relative': invalid mount config for type \"volume\": invalid mount path: 'relative' mount path must be absolute"
    );
}

fn bind_mount(source: &str, target: &str) -> MountSpec {
    MountSpec {
        kind: MountKind::Bind {
            propagation: String::new(),
            non_recursive: false,
            create_mountpoint: false,
        },
        source: source.to_owned(),
        target: target.to_owned(),
        read_only: false,
        consistency: String::new(),
    }
}

#[test]
fn structured_mounts_are_refused_in_dockers_words() {
    assert_eq!(
        parse_mount(&bind_mount("", "/x")).unwrap_err().to_string(),
        "invalid mount config for type \"bind\": field Source must not be empty"
    );
    assert_eq!(
        parse_mount(&bind_mount("rel", "/x"))
            .unwrap_err()
            .to_string(),
        "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"
    );
    assert_eq!(
        parse_mount(&bind_mount("/s", "")).unwrap_err().to_string(),
        "invalid mount config for type \"bind\": field Target must not be empty"
    );
}

fn spec(host: HostSpec) -> ContainerSpec {
    ContainerSpec {
        host,
        ..ContainerSpec::default()
    }
}

#[test]
fn two_mounts_on_one_destination_are_refused() {
    let twice = spec(HostSpec {
        binds: vec!["/a:/x".into(), "/b:/x/".into()],
        ..HostSpec::default()
    });
    assert_eq!(
        wanted(&twice, Vec::new()).unwrap_err().to_string(),
        "Duplicate mount point: /x"
    );
    let with_tmpfs = spec(HostSpec {
        binds: vec!["/a:/x".into()],
        tmpfs: [("/x".to_owned(), String::new())].into(),
        ..HostSpec::default()
    });
    assert_eq!(
        wanted(&with_tmpfs, Vec::new()).unwrap_err().to_string(),
        "Duplicate mount point: /x"
    );
}

#[test]
fn a_part_of_a_volume_is_named_by_a_path_that_stays_in_it() {
    let part = |source: &str, subpath: &str| {
        parse_mount(&MountSpec {
            kind: MountKind::Volume {
                no_copy: false,
                labels: std::collections::BTreeMap::new(),
                driver_options: std::collections::BTreeMap::new(),
                subpath: subpath.to_owned(),
            },
            ..bind_mount(source, "/x")
        })
    };
    for good in ["a", "a/b", "a/../b", "./a"] {
        part("v", good).unwrap();
    }
    for bad in ["/a", "..", "a/../../b"] {
        assert_eq!(
            part("v", bad).unwrap_err().to_string(),
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume"
        );
    }
    assert_eq!(
        part("", "a").unwrap_err().to_string(),
        "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes"
    );
}

#[test]
fn an_anonymous_volume_gives_way_to_any_other_mount() {
    let mut spec = spec(HostSpec {
        binds: vec!["/a:/x".into()],
        ..HostSpec::default()
    });
    spec.volumes = vec!["/x".into(), "/y".into()];
    let wanted = wanted(&spec, Vec::new()).unwrap();
    assert_eq!(wanted.len(), 2);
    assert!(matches!(wanted[0].source, WantedSource::Bind { .. }));
    assert!(matches!(
        wanted[1].source,
        WantedSource::Volume { name: None, .. }
    ));
}

#[test]
fn of_two_tmpfs_options_that_contradict_the_later_wins() {
    let entries = [("/t".to_owned(), "exec,size=64m,mode=1777".to_owned())].into();
    let mounts = tmpfs_mounts(&entries).unwrap();
    let MountSource::Tmpfs { options } = &mounts[0].source else {
        panic!("not a tmpfs");
    };
    assert_eq!(
        options,
        &[
            "nosuid",
            "nodev",
            "rprivate",
            "exec",
            "size=64m",
            "mode=1777"
        ]
    );
    let unknown = [("/t".to_owned(), "huge=1".to_owned())].into();
    assert_eq!(
        tmpfs_mounts(&unknown).unwrap_err().to_string(),
        "Invalid tmpfs option [\"huge\" \"1\"]"
    );
}

#[test]
fn volumes_from_takes_an_access_mode_and_nothing_else() {
    assert_eq!(parse_volumes_from("web").unwrap(), ("web", true, "rw"));
    assert_eq!(parse_volumes_from("web:ro").unwrap(), ("web", false, "ro"));
    assert_eq!(
        parse_volumes_from("web:rslave").unwrap_err().to_string(),
        "invalid mode: rslave"
    );
    assert!(parse_volumes_from("").is_err());
}

#[test]
fn a_path_is_cleaned_without_leaving_the_root() {
    assert_eq!(clean("/a/./b//../c/"), "/a/c");
    assert_eq!(clean("/../.."), "/");
}
