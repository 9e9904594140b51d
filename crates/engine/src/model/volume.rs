//! Named storage that outlives containers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A volume of the `local` driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, or 64 hexadecimal digits when anonymous.
    pub name: String,
    /// Host path of its data.
    pub mountpoint: String,
    /// Nanoseconds since 1970.
    pub created: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options as given.
    pub options: BTreeMap<String, String>,
    /// Made without a name.
    pub anonymous: bool,
}

/// What to make.
#[derive(Debug, Clone, Default)]
pub struct VolumeCreate {
    /// Generated when empty.
    pub name: String,
    /// Only `local` or empty.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume with its use, for `system df`.
#[derive(Debug, Clone)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: Volume,
    /// Bytes on disk; -1 when not computed.
    pub size: i64,
    /// Containers that mount it.
    pub references: i64,
}
