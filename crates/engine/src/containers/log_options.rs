//! The log driver's options: how much of a log is kept.

use std::collections::BTreeMap;

use crate::model::HostSpec;
use crate::{Error, Result};

/// Bounds of a log. There always are some: a log never fills the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogBounds {
    /// Nothing is kept (driver `none`).
    pub(crate) enabled: bool,
    /// Bytes of one file.
    pub(crate) max_size: u64,
    /// Files, the one being written among them.
    pub(crate) max_files: u32,
}

const DEFAULT_SIZE: u64 = 20 * 1000 * 1000;
const DEFAULT_FILES: u32 = 3;
/// A file smaller than this would rotate at every line.
const MIN_SIZE: u64 = 4096;

/// Options of dockerd's that promise what is not there yet.
const LATER: [&str; 6] = [
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "tag",
];

/// Reads the options of a container that has its log driver.
pub(crate) fn bounds(host: &HostSpec) -> Result<LogBounds> {
    let mut bounds = LogBounds {
        enabled: host.log_driver != "none",
        max_size: DEFAULT_SIZE,
        max_files: DEFAULT_FILES,
    };
    if !bounds.enabled {
        return Ok(bounds);
    }
    check(&host.log_options)?;
    if let Some(text) = host.log_options.get("max-size")
        && text != "-1"
    {
        bounds.max_size = size(text)
            .filter(|size| *size > 0)
            .ok_or_else(|| Error::InvalidArgument(format!("invalid size: '{text}'")))?
            .max(MIN_SIZE);
    }
    if let Some(text) = host.log_options.get("max-file") {
        bounds.max_files = text.parse().map_err(|_| {
            Error::InvalidArgument(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
        })?;
        if bounds.max_files == 0 {
            return Err(Error::InvalidArgument(
                "max-file cannot be less than 1".to_owned(),
            ));
        }
    }
    Ok(bounds)
}

fn check(options: &BTreeMap<String, String>) -> Result<()> {
    for (name, value) in options {
        match name.as_str() {
            "max-size" | "max-file" => {}
            "mode" if value == "blocking" => {}
            "mode" | "max-buffer-size" => {
                return Err(Error::NotImplemented(format!(
                    "HostConfig.LogConfig: {name}={value} is not supported yet"
                )));
            }
            name if LATER.contains(&name) => {
                return Err(Error::NotImplemented(format!(
                    "HostConfig.LogConfig: {name} is not supported yet"
                )));
            }
            name => {
                return Err(Error::InvalidArgument(format!(
                    "unknown log opt '{name}' for json-file log driver"
                )));
            }
        }
    }
    Ok(())
}

/// go-units' `FromHumanSize`: powers of ten, an optional `b` or `ib` at the end.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().ok()?;
    let unit = lower[digits..]
        .trim()
        .trim_end_matches('b')
        .trim_end_matches('i');
    let scale = match unit {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        _ => return None,
    };
    let bytes = number * scale;
    (0.0..1e18).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(driver: &str, options: &[(&str, &str)]) -> Result<LogBounds> {
        bounds(&HostSpec {
            log_driver: driver.to_owned(),
            log_options: options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..HostSpec::default()
        })
    }

    #[test]
    fn a_log_is_always_bounded() {
        let default = of("json-file", &[]).unwrap();
        assert_eq!((default.max_size, default.max_files), (20_000_000, 3));
        let unlimited = of("json-file", &[("max-size", "-1")]).unwrap();
        assert_eq!(unlimited.max_size, 20_000_000);
        assert!(!of("none", &[]).unwrap().enabled);
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        let own = of("json-file", &[("max-size", "10m"), ("max-file", "5")]).unwrap();
        assert_eq!((own.max_size, own.max_files), (10_000_000, 5));
        assert_eq!(size("1.5k"), Some(1500));
        assert_eq!(size("10MiB"), Some(10_000_000));
        assert_eq!(size("x"), None);
    }

    #[test]
    fn what_is_unknown_or_not_there_yet_is_refused_by_name() {
        for (name, expected) in [
            ("nope", "unknown log opt 'nope' for json-file log driver"),
            ("tag", "HostConfig.LogConfig: tag is not supported yet"),
        ] {
            assert_eq!(
                of("json-file", &[(name, "1")]).unwrap_err().to_string(),
                expected
            );
        }
        assert!(of("json-file", &[("max-file", "0")]).is_err());
    }
}
