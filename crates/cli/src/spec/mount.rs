//! `--mount type=bind,src=...,dst=...`

use std::collections::BTreeMap;

use serde::Serialize;

use crate::flags::Value;
use crate::spec::csv;
use crate::{go, units};

/// A mount as the API takes it.
#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    propagation: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    create_mountpoint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only_force_recursive: bool,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct VolumeOptions {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_copy: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    subpath: String,
    driver_config: Driver,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Driver {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct ImageOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    subpath: String,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    size_bytes: i64,
    #[serde(skip_serializing_if = "is_zero_mode")]
    mode: u32,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_zero_mode(number: &u32) -> bool {
    *number == 0
}

/// The flag: a list of mounts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mounts(pub(crate) Vec<Mount>);

impl Value for Mounts {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0.push(parse(text)?);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "mount"
    }
}

fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    for field in csv::fields(text)? {
        apply(&mut mount, &field)?;
    }
    check(mount)
}

fn apply(mount: &mut Mount, field: &str) -> Result<(), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    let key = key.to_lowercase();
    let switch = |value: Option<&str>| match value {
        None => Ok(true),
        Some(value) => {
            go::parse_bool(value).map_err(|_| format!("invalid value for {key}: {value}"))
        }
    };
    match key.as_str() {
        "readonly" | "ro" => mount.read_only = switch(value)?,
        "volume-nocopy" => volume(mount).no_copy = switch(value)?,
        "bind-nonrecursive" => bind(mount).non_recursive = switch(value)?,
        _ => {
            let Some(value) = value else {
                return Err(format!("invalid field '{field}' must be a key=value pair"));
            };
            set(mount, &key, value, field)?;
        }
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = absolute(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_lowercase(),
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => bind(mount).non_recursive = true,
            "writable" => bind(mount).read_only_non_recursive = true,
            "readonly" => bind(mount).read_only_force_recursive = true,
            _ => {
                return Err(format!(
                    "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                ));
            }
        },
        "bind-create-src" => {
            bind(mount).create_mountpoint = go::parse_bool(value).map_err(|_| invalid())?;
        }
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-label" => insert(&mut volume(mount).labels, value),
        "volume-driver" => value.clone_into(&mut volume(mount).driver_config.name),
        "volume-opt" => insert(&mut volume(mount).driver_config.options, value),
        "image-subpath" => {
            let options = mount.image_options.get_or_insert_default();
            value.clone_into(&mut options.subpath);
        }
        "tmpfs-size" => {
            let size = units::ram_in_bytes(value).map_err(|_| invalid())?;
            mount.tmpfs_options.get_or_insert_default().size_bytes = size;
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
            mount.tmpfs_options.get_or_insert_default().mode = mode;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn insert(map: &mut BTreeMap<String, String>, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if !key.is_empty() {
        map.insert(key.to_owned(), value.to_owned());
    }
}

/// A source relative to here becomes absolute; the daemon has another "here".
pub(crate) fn absolute(path: &str) -> String {
    if path != "." && !path.starts_with("./") && path != ".." && !path.starts_with("../") {
        return path.to_owned();
    }
    match std::path::absolute(path) {
        Ok(absolute) => clean(&absolute.display().to_string()),
        Err(_) => path.to_owned(),
    }
}

/// Go's `filepath.Clean` of an absolute path: no `.`, `..` taken off, no double slashes.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

fn check(mount: Mount) -> Result<Mount, String> {
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    for (options, given, kind) in [
        ("volume-*", mount.volume_options.is_some(), "volume"),
        ("bind-*", mount.bind_options.is_some(), "bind"),
        ("image-*", mount.image_options.is_some(), "image"),
        ("tmpfs-*", mount.tmpfs_options.is_some(), "tmpfs"),
    ] {
        if given && mount.kind != kind {
            return Err(format!(
                "cannot mix '{options}' options with mount type '{}'",
                mount.kind
            ));
        }
    }
    if let Some(bind) = &mount.bind_options {
        if bind.read_only_non_recursive && !mount.read_only {
            return Err("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".to_owned());
        }
        if bind.read_only_force_recursive {
            if !mount.read_only {
                return Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned());
            }
            if bind.propagation != "rprivate" {
                return Err("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".to_owned());
            }
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        serde_json::to_string(&parse(text).unwrap()).unwrap()
    }

    #[test]
    fn mounts_become_the_apis_objects() {
        assert_eq!(
            json("type=bind,src=/a,dst=/b,ro,bind-propagation=RSLAVE"),
            r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}}"#
        );
        assert_eq!(
            json("src=data,target=/d,volume-driver=local,\"volume-opt=o=a,b\",volume-label=k=v"),
            r#"{"Type":"volume","Source":"data","Target":"/d","VolumeOptions":{"Labels":{"k":"v"},"DriverConfig":{"Name":"local","Options":{"o":"a,b"}}}}"#
        );
        assert_eq!(
            json("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770"),
            r#"{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}}"#
        );
    }

    #[test]
    fn a_relative_source_is_taken_from_here() {
        let mount = parse("type=bind,src=./x/../y,dst=/b").unwrap();
        assert!(
            mount.source.starts_with('/') && mount.source.ends_with("/y"),
            "{}",
            mount.source
        );
    }

    #[test]
    fn errors_are_dockers() {
        for (text, error) in [
            ("x", "invalid field 'x' must be a key=value pair"),
            ("type=bind,src=/a", "target is required"),
            ("dst=/a,frob=1", "unexpected key 'frob' in 'frob=1'"),
            ("dst=/a,ro=maybe", "invalid value for ro: maybe"),
            (
                "type=bind,dst=/a,volume-nocopy",
                "cannot mix 'volume-*' options with mount type 'bind'",
            ),
            (
                "type=tmpfs,dst=/a,tmpfs-size=x",
                "invalid value for tmpfs-size: x",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }
}
