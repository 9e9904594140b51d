//! `update`: other limits for a running container.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::CliError;
use super::args::Update;
use super::report::Report;
use super::state::Store;

/// Larger than any list of limits.
const FILE_MAX: u64 = 1 << 20;

pub(super) fn update(root: &Path, arguments: &Update, report: &Report) -> Result<(), CliError> {
    let store = Store::at(root, &arguments.id)?;
    let record = store.load()?;
    let Some(cgroup) = &record.cgroup else {
        return Err(CliError::Usage("the container has no cgroup".into()));
    };
    let mut resources = match &arguments.resources {
        Some(path) => from_file(path)?,
        None => typed(arguments)?,
    };
    // Devices are not among what may change while it runs.
    resources.set_devices(None);
    for left_out in cgroup.apply(&resources)? {
        report.warning(&format!("{left_out}: not supported by this kernel"));
    }
    Ok(())
}

fn from_file(path: &Path) -> Result<LinuxResources, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(FILE_MAX).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
    };
    read.map_err(CliError::at("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| CliError::Json {
        path: path.to_path_buf(),
        source,
    })
}

fn typed(arguments: &Update) -> Result<LinuxResources, CliError> {
    let mut memory = Map::new();
    for (key, text) in [
        ("limit", &arguments.memory),
        ("reservation", &arguments.memory_reservation),
        ("swap", &arguments.memory_swap),
    ] {
        if let Some(text) = text {
            memory.insert(key.to_owned(), json!(bytes(text)?));
        }
    }
    let mut cpu = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            cpu.insert(key.to_owned(), value);
        }
    };
    put("shares", arguments.cpu_shares.map(|value| json!(value)));
    put("period", arguments.cpu_period.map(|value| json!(value)));
    put("quota", arguments.cpu_quota.map(|value| json!(value)));
    put(
        "cpus",
        arguments.cpuset_cpus.as_ref().map(|value| json!(value)),
    );
    put(
        "mems",
        arguments.cpuset_mems.as_ref().map(|value| json!(value)),
    );
    let mut resources = json!({"memory": memory, "cpu": cpu});
    if let Some(object) = resources.as_object_mut() {
        if let Some(limit) = arguments.pids_limit {
            object.insert("pids".to_owned(), json!({"limit": limit}));
        }
        if let Some(weight) = arguments.blkio_weight {
            object.insert("blockIO".to_owned(), json!({"weight": weight}));
        }
    }
    serde_json::from_value(resources).map_err(|source| CliError::Json {
        path: "flags".into(),
        source,
    })
}

/// A number of bytes, with `k`, `m` or `g` if need be.
fn bytes(text: &str) -> Result<i64, CliError> {
    let wrong = || CliError::Usage(format!("{text:?} is no amount of memory"));
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(['b', 'k', 'm', 'g']);
    let unit: i64 = match lower.get(digits.len()..) {
        Some("" | "b") => 1,
        Some("k" | "kb") => 1 << 10,
        Some("m" | "mb") => 1 << 20,
        Some("g" | "gb") => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_have_units() {
        assert_eq!(bytes("64m").unwrap(), 64 << 20);
        assert_eq!(bytes("-1").unwrap(), -1);
        assert_eq!(bytes("2GB").unwrap(), 2 << 30);
        for text in ["", "m", "1x", "9999999999g"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
