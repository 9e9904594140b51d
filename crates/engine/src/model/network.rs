//! Networks, as far as they exist: the three that are always there.

use std::collections::BTreeMap;

/// A predefined network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// 64 hexadecimal digits, stable for this engine.
    pub id: String,
    /// `bridge`, `host` or `none`.
    pub name: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// Nanoseconds since 1970: when the engine was first started.
    pub created: i64,
    /// Running containers on it: id -> name.
    pub containers: BTreeMap<String, String>,
}
