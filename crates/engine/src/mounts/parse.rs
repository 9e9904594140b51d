//! `-v` strings and `--mount` structures, with dockerd's rules and texts.

use std::collections::BTreeMap;

use super::{Wanted, WantedSource, clean, tmpfs};
use crate::model::{MountKind, MountSpec};
use crate::{Error, Result};

const PROPAGATIONS: [&str; 6] = [
    "private", "rprivate", "slave", "rslave", "shared", "rshared",
];
const CONSISTENCIES: [&str; 4] = ["consistent", "cached", "delegated", "default"];

/// A mode string (`ro,z,rslave,nocopy`), taken apart.
#[derive(Debug, Default)]
struct Mode<'a> {
    read_only: bool,
    propagation: Option<&'a str>,
    no_copy: bool,
}

/// `None` when it is not a mode: an unknown word, or two of one sort.
fn parse_mode(mode: &str) -> Option<Mode<'_>> {
    let mut parsed = Mode::default();
    let (mut access, mut label, mut propagation, mut copy, mut consistency) = (0, 0, 0, 0, 0);
    if mode.is_empty() {
        return Some(parsed);
    }
    for word in mode.split(',') {
        match word {
            "ro" | "rw" => {
                access += 1;
                parsed.read_only = word == "ro";
            }
            // SELinux labels: accepted, and without effect where there is no SELinux.
            "z" | "Z" => label += 1,
            "nocopy" => {
                copy += 1;
                parsed.no_copy = true;
            }
            word if PROPAGATIONS.contains(&word) => {
                propagation += 1;
                parsed.propagation = Some(word);
            }
            word if CONSISTENCIES.contains(&word) => consistency += 1,
            _ => return None,
        }
    }
    [access, label, propagation, copy, consistency]
        .iter()
        .all(|count| *count <= 1)
        .then_some(parsed)
}

fn invalid_spec(raw: &str) -> Error {
    Error::InvalidArgument(format!("invalid volume specification: '{raw}'"))
}

fn invalid_mount(kind: &str, why: &str) -> Error {
    Error::InvalidArgument(format!("invalid mount config for type \"{kind}\": {why}"))
}

/// A destination that is not the root and is absolute; `why` otherwise.
fn check_destination(path: &str) -> std::result::Result<String, String> {
    if path.is_empty() {
        return Err("field Target must not be empty".to_owned());
    }
    if clean(path) == "/" {
        return Err("invalid specification: destination can't be '/'".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!(
            "invalid mount path: '{path}' mount path must be absolute"
        ));
    }
    Ok(clean(path))
}

/// The destination of an anonymous volume.
pub(super) fn destination(path: &str) -> Result<String> {
    check_destination(path).map_err(|why| invalid_mount("volume", &why))
}

/// `[source:]destination[:mode]`.
pub(crate) fn parse_bind(raw: &str, driver: &str) -> Result<Wanted> {
    let parts: Vec<&str> = raw.splitn(4, ':').collect();
    if parts.first().is_none_or(|first| first.is_empty()) {
        return Err(invalid_spec(raw));
    }
    let (source, target, mode) = match parts.as_slice() {
        [target] => ("", *target, ""),
        // `destination:mode` is no specification: it would mean a volume named as a path.
        [_, mode] if parse_mode(mode).is_some() => return Err(invalid_spec(raw)),
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(invalid_spec(raw)),
    };
    let Some(parsed) = parse_mode(mode) else {
        return Err(Error::InvalidArgument(format!("invalid mode: {mode}")));
    };
    let kind = if source.starts_with('/') {
        "bind"
    } else {
        "volume"
    };
    let refuse = |why: &str| {
        Error::InvalidArgument(format!(
            "invalid volume specification: '{raw}': invalid mount config for type \"{kind}\": {why}"
        ))
    };
    let destination = check_destination(target).map_err(|why| refuse(&why))?;
    let source = if kind == "bind" {
        if parsed.no_copy {
            return Err(refuse("field VolumeOptions must not be specified"));
        }
        WantedSource::Bind {
            path: clean(source),
            propagation: parsed.propagation.unwrap_or("rprivate").to_owned(),
            recursive: true,
            create: true,
        }
    } else {
        if parsed.propagation.is_some() {
            return Err(refuse("field BindOptions must not be specified"));
        }
        if source.is_empty() && parsed.read_only {
            return Err(refuse(
                "must not set ReadOnly mode when using anonymous volumes",
            ));
        }
        check_driver(driver)?;
        WantedSource::Volume {
            name: (!source.is_empty()).then(|| source.to_owned()),
            copy: !parsed.no_copy,
            subpath: String::new(),
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    };
    Ok(Wanted {
        destination,
        rw: !parsed.read_only,
        mode: mode.to_owned(),
        source,
    })
}

fn check_driver(driver: &str) -> Result<()> {
    if driver.is_empty() || driver == "local" {
        return Ok(());
    }
    Err(Error::NotFound(format!(
        "error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    )))
}

/// A `--mount`.
pub(crate) fn parse_mount(mount: &MountSpec) -> Result<Wanted> {
    let kind = match &mount.kind {
        MountKind::Bind { .. } => "bind",
        MountKind::Volume { .. } => "volume",
        MountKind::Tmpfs { .. } => "tmpfs",
    };
    let destination = check_destination(&mount.target).map_err(|why| invalid_mount(kind, &why))?;
    let source = match &mount.kind {
        MountKind::Bind {
            propagation,
            non_recursive,
            create_mountpoint,
        } => {
            if mount.source.is_empty() {
                return Err(invalid_mount(kind, "field Source must not be empty"));
            }
            if !propagation.is_empty() && !PROPAGATIONS.contains(&propagation.as_str()) {
                return Err(invalid_mount(
                    kind,
                    &format!("invalid propagation mode: {propagation}"),
                ));
            }
            if !mount.source.starts_with('/') {
                return Err(invalid_mount(
                    kind,
                    &format!(
                        "invalid mount path: '{}' mount path must be absolute",
                        mount.source
                    ),
                ));
            }
            WantedSource::Bind {
                path: clean(&mount.source),
                propagation: if propagation.is_empty() {
                    "rprivate".to_owned()
                } else {
                    propagation.clone()
                },
                recursive: !non_recursive,
                create: *create_mountpoint,
            }
        }
        MountKind::Volume {
            no_copy,
            labels,
            driver_options,
            subpath,
        } => {
            if !subpath.is_empty() {
                if mount.source.is_empty() {
                    return Err(invalid_mount(
                        kind,
                        "must not set Subpath when using anonymous volumes",
                    ));
                }
                if !is_local(subpath) {
                    return Err(invalid_mount(
                        kind,
                        "subpath must be a relative path within the volume",
                    ));
                }
            }
            if mount.source.is_empty() && mount.read_only {
                return Err(invalid_mount(
                    kind,
                    "must not set ReadOnly mode when using anonymous volumes",
                ));
            }
            WantedSource::Volume {
                name: (!mount.source.is_empty()).then(|| mount.source.clone()),
                copy: !no_copy,
                subpath: subpath.clone(),
                labels: labels.clone(),
                options: driver_options.clone(),
            }
        }
        MountKind::Tmpfs { size, mode } => {
            if !mount.source.is_empty() {
                return Err(invalid_mount(kind, "field Source must not be specified"));
            }
            WantedSource::Tmpfs {
                options: tmpfs::of_mount(*size, *mode, mount.read_only),
            }
        }
    };
    Ok(Wanted {
        destination,
        rw: !mount.read_only,
        // What dockerd shows for a volume mounted without a mode.
        mode: if kind == "volume" { "z" } else { "" }.to_owned(),
        source,
    })
}

/// As Go's `filepath.IsLocal`: relative, and by its text alone never above where it starts.
fn is_local(path: &str) -> bool {
    let mut depth = 0_u32;
    !path.starts_with('/')
        && path.split('/').all(|part| match part {
            "" | "." => true,
            ".." => {
                let below = depth > 0;
                depth = depth.saturating_sub(1);
                below
            }
            _ => {
                depth += 1;
                true
            }
        })
}

/// `container[:ro|rw]`: the reference, and whether its mounts stay writable.
pub(crate) fn parse_volumes_from(raw: &str) -> Result<(&str, bool, &str)> {
    if raw.is_empty() {
        return Err(Error::InvalidArgument(
            "volumes-from specification cannot be an empty string".to_owned(),
        ));
    }
    let (reference, mode) = raw.split_once(':').unwrap_or((raw, "rw"));
    match parse_mode(mode) {
        Some(parsed) if parsed.propagation.is_none() && !parsed.no_copy => {
            Ok((reference, !parsed.read_only, mode))
        }
        _ => Err(Error::InvalidArgument(format!("invalid mode: {mode}"))),
    }
}
