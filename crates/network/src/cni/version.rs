//! Versions of the specification.

use std::fmt;

/// A version that is spoken here. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Chains of plugins; no result is given to a deletion.
    V0_3_1,
    /// `CHECK`.
    V0_4_0,
    /// Results without the version of each address.
    V1_0_0,
    /// `STATUS` and `GC`.
    V1_1_0,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 4] = [
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];

    /// The one written so, if it is spoken here. 0.3.0 differs from 0.3.1 by a mistake in writing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        if text == "0.3.0" {
            return Some(Version::V0_3_1);
        }
        Version::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
