//! `--device`, and the limits per device.

use serde::Serialize;

use crate::units;

/// A host device in the container.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mapping {
    path_on_host: String,
    path_in_container: String,
    cgroup_permissions: String,
}

/// A rate or weight of one device.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Throttle {
    path: String,
    rate: u64,
}

#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Weight {
    path: String,
    weight: u16,
}

fn is_mode(text: &str) -> bool {
    let mut seen = [false; 3];
    !text.is_empty()
        && text.chars().all(|c| match "rwm".find(c) {
            Some(at) => !std::mem::replace(&mut seen[at], true),
            None => false,
        })
}

/// Does it name a device of the container device interface: `vendor.com/class=name`?
pub(crate) fn is_qualified(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let plain = |part: &str, extra: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    plain(vendor, "_-.") && plain(class, "_-") && !name.is_empty() && !name.contains('/')
}

/// `/dev/x[:/dev/y][:rwm]`
pub(crate) fn parse(text: &str) -> Result<Mapping, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, mode] if is_mode(mode) => (*source, *source, *mode),
        [source, target] => (*source, *target, "rwm"),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if source.is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    if !is_mode(mode) {
        return Err(format!("bad mode specified: {mode}"));
    }
    if !target.starts_with('/') {
        return Err(format!("{target} is not an absolute path"));
    }
    Ok(Mapping {
        path_on_host: source.to_owned(),
        path_in_container: crate::spec::mount::clean(target),
        cgroup_permissions: mode.to_owned(),
    })
}

fn path_and_value(text: &str) -> Result<(&str, &str), String> {
    let Some((path, value)) = text.split_once(':').filter(|(path, _)| !path.is_empty()) else {
        return Err(format!("bad format: {text}"));
    };
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path, value))
}

/// `/dev/sda:1mb`
pub(crate) fn bytes_per_second(text: &str) -> Result<Throttle, String> {
    let (path, value) = path_and_value(text)?;
    let rate = units::ram_in_bytes(value)
        .ok()
        .and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.ok_or_else(|| format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"))?;
    Ok(Throttle {
        path: path.to_owned(),
        rate,
    })
}

/// `/dev/sda:1000`
pub(crate) fn operations_per_second(text: &str) -> Result<Throttle, String> {
    let (path, value) = path_and_value(text)?;
    let rate = value.parse().map_err(|_| format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"))?;
    Ok(Throttle {
        path: path.to_owned(),
        rate,
    })
}

/// `/dev/sda:500`
pub(crate) fn weight(text: &str) -> Result<Weight, String> {
    let (path, value) = path_and_value(text)?;
    match value.parse::<u16>() {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => Ok(Weight {
            path: path.to_owned(),
            weight,
        }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_place_and_permissions() {
        let mapping = parse("/dev/a:/dev/b:r").unwrap();
        assert_eq!(mapping.path_in_container, "/dev/b");
        assert_eq!(mapping.cgroup_permissions, "r");
        assert_eq!(parse("/dev/a:rw").unwrap().path_in_container, "/dev/a");
        assert_eq!(
            parse("/dev/a:/dev/b:rx").unwrap_err(),
            "bad mode specified: rx"
        );
        assert_eq!(parse("/dev/a:b").unwrap_err(), "b is not an absolute path");
        assert_eq!(
            parse("a:b:c:d").unwrap_err(),
            "bad format for path: a:b:c:d"
        );
    }

    #[test]
    fn limits_need_a_device() {
        assert_eq!(bytes_per_second("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert_eq!(operations_per_second("/dev/sda:10").unwrap().rate, 10);
        assert_eq!(weight("/dev/sda").unwrap_err(), "bad format: /dev/sda");
        assert_eq!(
            weight("sda:1").unwrap_err(),
            "bad format for device path: sda:1"
        );
        assert_eq!(
            weight("/dev/sda:5").unwrap_err(),
            "invalid weight for device: /dev/sda:5"
        );
    }

    #[test]
    fn qualified_names_are_not_paths() {
        assert!(is_qualified("nvidia.com/gpu=all"));
        assert!(!is_qualified("/dev/fuse") && !is_qualified("/a/b=c"));
    }
}
