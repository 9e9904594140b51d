//! Platforms: which machine an image is for, and which of several images suits one best.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, as in OCI descriptors and configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64` ...
    #[serde(default)]
    pub architecture: String,
    /// `linux` ...
    #[serde(default)]
    pub os: String,
    /// `10.0.14393.1066` and the like; Windows only in practice.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// Features the operating system must have.
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// `v7` of `arm/v7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is an invalid component of {whole:?}: platform specifier component must match {PATTERN:?}: invalid argument"
)]
pub struct PlatformError {
    text: String,
    whole: String,
}

const PATTERN: &str = "^[A-Za-z0-9_.-]+$";

impl Platform {
    /// The platform of this machine.
    #[must_use]
    pub fn host() -> Platform {
        Platform::of("linux", std::env::consts::ARCH, "").normalised()
    }

    /// A platform from its three parts.
    #[must_use]
    pub fn of(os: &str, architecture: &str, variant: &str) -> Platform {
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
            ..Platform::default()
        }
    }

    /// Other names for the same thing replaced (`x86_64`, `aarch64`, `arm64/v8` ...).
    #[must_use]
    pub fn normalised(&self) -> Platform {
        let (architecture, variant) = match self.architecture.to_ascii_lowercase().as_str() {
            "i386" => ("386".to_owned(), String::new()),
            "x86_64" | "x86-64" | "amd64" => {
                let variant = if self.variant == "v1" {
                    ""
                } else {
                    &self.variant
                };
                ("amd64".to_owned(), variant.to_owned())
            }
            "aarch64" | "arm64" => {
                let variant = if matches!(self.variant.as_str(), "8" | "v8") {
                    ""
                } else {
                    &self.variant
                };
                ("arm64".to_owned(), variant.to_owned())
            }
            "armhf" => ("arm".to_owned(), "v7".to_owned()),
            "armel" => ("arm".to_owned(), "v6".to_owned()),
            "arm" => {
                let variant = match self.variant.as_str() {
                    "" | "7" => "v7",
                    "5" => "v5",
                    "6" => "v6",
                    "8" => "v8",
                    variant => variant,
                };
                ("arm".to_owned(), variant.to_owned())
            }
            "powerpc64" => ("ppc64".to_owned(), self.variant.clone()),
            "powerpc64le" => ("ppc64le".to_owned(), self.variant.clone()),
            other => (other.to_owned(), self.variant.clone()),
        };
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        Platform {
            os,
            architecture,
            variant,
            ..self.clone()
        }
    }

    /// How well an image for `offered` runs on this machine: the smaller, the better; `None` when
    /// it does not run.
    #[must_use]
    pub fn suits(&self, offered: &Platform) -> Option<u32> {
        let (wanted, offered) = (self.normalised(), offered.normalised());
        if wanted.os != offered.os {
            return None;
        }
        let level = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
        match (wanted.architecture.as_str(), offered.architecture.as_str()) {
            (wanted_arch, offered_arch) if wanted_arch == offered_arch => {
                if wanted.variant == offered.variant {
                    return Some(0);
                }
                // A variant that is not said is the lowest of its architecture.
                let lowest = if matches!(wanted_arch, "arm64") { 8 } else { 1 };
                let wanted = level(&wanted.variant).unwrap_or(lowest);
                let offered = level(&offered.variant).unwrap_or(lowest);
                wanted.checked_sub(offered).map(|distance| distance + 1)
            }
            ("amd64", "386") => Some(100),
            ("arm64", "arm") => level(&offered.variant)
                .filter(|level| *level <= 8)
                .map(|level| 200 - level),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &str| {
            if text.is_empty() {
                "unknown".to_owned()
            } else {
                text.to_owned()
            }
        };
        f.write_str(&or_unknown(&self.os))?;
        if !self.architecture.is_empty() {
            write!(f, "/{}", self.architecture)?;
        }
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// `os`, `architecture`, `os/architecture` or `os/architecture/variant`.
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let invalid = |part: &str| PlatformError {
            text: part.to_owned(),
            whole: text.to_owned(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        for part in &parts {
            let right = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
            if part.is_empty() || !part.bytes().all(right) {
                return Err(invalid(part));
            }
        }
        let host = Platform::host();
        let platform = match parts.as_slice() {
            [one] if is_os(one) => Platform::of(one, &host.architecture, &host.variant),
            [one] => Platform::of(&host.os, one, ""),
            [os, architecture] => Platform::of(os, architecture, ""),
            [os, architecture, variant] => Platform::of(os, architecture, variant),
            _ => return Err(invalid(text)),
        };
        Ok(platform.normalised())
    }
}

fn is_os(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "linux" | "windows" | "darwin" | "macos" | "freebsd" | "netbsd" | "openbsd" | "solaris"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn the_many_names_of_one_platform_are_one() {
        assert_eq!(parse("linux/x86_64"), parse("amd64"));
        assert_eq!(parse("linux/arm64/v8"), parse("linux/aarch64"));
        assert_eq!(parse("linux/arm"), parse("linux/arm/v7"));
        assert_eq!(parse("linux/armhf").to_string(), "linux/arm/v7");
        assert_eq!(parse("LINUX/AMD64").to_string(), "linux/amd64");
        for wrong in ["", "/", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_platform_that_runs_is_the_best() {
        let best = |wanted: &str, offered: &[&str]| -> Option<String> {
            let wanted = parse(wanted);
            offered
                .iter()
                .filter_map(|text| wanted.suits(&parse(text)).map(|rank| (rank, *text)))
                .min()
                .map(|(_, text)| text.to_owned())
        };
        let all = [
            "linux/386",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/amd64",
            "linux/arm64",
        ];
        assert_eq!(best("linux/amd64", &all).as_deref(), Some("linux/amd64"));
        assert_eq!(best("linux/arm64", &all).as_deref(), Some("linux/arm64"));
        assert_eq!(
            best("linux/arm64", &all[..3]).as_deref(),
            Some("linux/arm/v7")
        );
        assert_eq!(best("linux/arm/v6", &all).as_deref(), Some("linux/arm/v6"));
        assert_eq!(
            best("linux/arm/v7", &all[..2]).as_deref(),
            Some("linux/arm/v6")
        );
        assert_eq!(best("linux/amd64", &all[..1]).as_deref(), Some("linux/386"));
        assert_eq!(best("linux/s390x", &all), None);
        assert_eq!(best("windows/amd64", &all), None);
        let v3 = ["linux/amd64/v2", "linux/amd64", "linux/amd64/v4"];
        assert_eq!(
            best("linux/amd64/v3", &v3).as_deref(),
            Some("linux/amd64/v2")
        );
        assert_eq!(best("linux/amd64", &v3[..1]), None);
    }
}
