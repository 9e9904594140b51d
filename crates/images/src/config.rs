//! The image configuration: what an image is made of and how its containers start by default.
//!
//! The OCI configuration with Docker's additions (`OnBuild`, `Healthcheck`, `Shell` ...). Reading
//! is as lenient as Go's decoder, which wrote most of what is out there: `null` is the empty
//! value, unknown fields are ignored. The bytes that were read are what counts (their digest is
//! the image's ID); a value is written only for images that are made here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wharf_store::DiffId;

use crate::error::ImageError;
use crate::platform::Platform;

/// No honest configuration is longer. Docker's registries refuse manifests above 4 MiB; a
/// configuration has labels and history besides.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;
/// More layers than overlayfs can stack (500), and than any builder makes (127).
const MAX_LAYERS: usize = 500;

/// The document whose digest is the image's ID.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Processor, `amd64` ...
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// Who made it.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// What was said when it was committed or imported.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// How its containers start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
    /// The container it was committed from.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub container: String,
    /// How the container it was committed from was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<RunConfig>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Version of what made it.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub docker_version: String,
    /// How it came to be, oldest first.
    #[serde(default, deserialize_with = "nullable")]
    pub history: Vec<History>,
    /// Operating system, `linux`.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// Features of the operating system.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// What it is made of.
    pub rootfs: RootFs,
    /// Variant of the processor.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub variant: String,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bottom first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<DiffId>,
}

/// One step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command or instruction.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub created_by: String,
    /// Who.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// Why.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// The step made no layer.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub empty_layer: bool,
}

/// How containers of an image start, unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// Host name; only in what was committed from a container.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub hostname: String,
    /// Domain name; only in what was committed from a container.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub domainname: String,
    /// `user[:group]`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// `80/tcp` ...
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `KEY=value`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// Arguments after the entry point.
    #[serde(
        default,
        deserialize_with = "words",
        skip_serializing_if = "Option::is_none"
    )]
    pub cmd: Option<Vec<String>>,
    /// How to tell whether a container is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The command is one string for the shell (Windows).
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub args_escaped: bool,
    /// The image a container was made from.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub image: String,
    /// Paths that get a volume.
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the process starts.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// What is started.
    #[serde(
        default,
        deserialize_with = "words",
        skip_serializing_if = "Option::is_none"
    )]
    pub entrypoint: Option<Vec<String>>,
    /// Instructions for images built on this one.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// What asks the process to stop.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// Seconds until it is made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// What runs instructions and commands in shell form.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub shell: Vec<String>,
}

/// A health check; times in nanoseconds, 0 for the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`; `CMD` and arguments; or `CMD-SHELL` and a command.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Between checks.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_zero"
    )]
    pub interval: i64,
    /// For one check.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_zero"
    )]
    pub timeout: i64,
    /// Failures that do not count after the start.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_zero"
    )]
    pub start_period: i64,
    /// Between checks in the start period.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_zero"
    )]
    pub start_interval: i64,
    /// Failures in a row that count.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_zero"
    )]
    pub retries: i64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde calls"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl ImageConfig {
    /// Read a configuration and check what everything else relies on.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, ImageError> {
        if bytes.len() as u64 > MAX_CONFIG {
            return Err(ImageError::TooLarge {
                what: "image configuration".to_owned(),
                limit: MAX_CONFIG,
            });
        }
        let config: ImageConfig =
            serde_json::from_slice(bytes).map_err(|source| ImageError::Json {
                what: "invalid image configuration".to_owned(),
                source,
            })?;
        if config.rootfs.kind != "layers" {
            let kind = &config.rootfs.kind;
            return Err(ImageError::archive(format!(
                "rootfs type {kind:?} is not supported"
            )));
        }
        let layers = config.rootfs.diff_ids.len();
        if layers > MAX_LAYERS {
            return Err(ImageError::archive(format!(
                "the image has {layers} layers, more than the {MAX_LAYERS} that can be mounted"
            )));
        }
        Ok(config)
    }

    /// The machine it is for. What is not said is what Go's decoder takes it for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let os = if self.os.is_empty() {
            "linux"
        } else {
            &self.os
        };
        let host = Platform::host();
        let architecture = if self.architecture.is_empty() {
            &host.architecture
        } else {
            &self.architecture
        };
        Platform {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Platform::of(os, architecture, &self.variant)
        }
    }

    /// When it was made, if that was said in a form that can be read.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created.as_deref().and_then(parse_time)
    }

    /// How its containers start.
    #[must_use]
    pub fn run_config(&self) -> RunConfig {
        self.config.clone().unwrap_or_default()
    }
}

/// A time as Go writes it.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

impl RunConfig {
    /// Take from `defaults` whatever this says nothing about, by the rules by which a container
    /// takes from its image and a commit from its container.
    pub fn fill_from(&mut self, defaults: &RunConfig) {
        let fill = |own: &mut String, default: &String| {
            if own.is_empty() {
                own.clone_from(default);
            }
        };
        fill(&mut self.user, &defaults.user);
        fill(&mut self.working_dir, &defaults.working_dir);
        fill(&mut self.stop_signal, &defaults.stop_signal);
        self.exposed_ports
            .extend(defaults.exposed_ports.iter().cloned());
        self.volumes.extend(defaults.volumes.iter().cloned());
        for variable in &defaults.env {
            let key = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
            let name = key(variable);
            if !self.env.iter().any(|own| key(own) == name) {
                self.env.push(variable.clone());
            }
        }
        for (label, value) in &defaults.labels {
            self.labels
                .entry(label.clone())
                .or_insert_with(|| value.clone());
        }
        // An entry point of one's own makes the image's command meaningless; an empty one (`[]`)
        // removes the image's entry point.
        if self.entrypoint.as_ref().is_none_or(Vec::is_empty) {
            if self.cmd.as_ref().is_none_or(Vec::is_empty) {
                self.cmd.clone_from(&defaults.cmd);
                self.args_escaped = defaults.args_escaped;
            }
            if self.entrypoint.is_none() {
                self.entrypoint.clone_from(&defaults.entrypoint);
            }
        }
        match (&mut self.healthcheck, &defaults.healthcheck) {
            (None, default) => self.healthcheck.clone_from(default),
            (Some(own), Some(default)) => own.fill_from(default),
            (Some(_), None) => {}
        }
        if self.stop_timeout.is_none() {
            self.stop_timeout = defaults.stop_timeout;
        }
        if self.shell.is_empty() {
            self.shell.clone_from(&defaults.shell);
        }
    }
}

impl Healthcheck {
    fn fill_from(&mut self, defaults: &Healthcheck) {
        if self.test.is_empty() {
            self.test.clone_from(&defaults.test);
        }
        for (own, default) in [
            (&mut self.interval, defaults.interval),
            (&mut self.timeout, defaults.timeout),
            (&mut self.start_period, defaults.start_period),
            (&mut self.start_interval, defaults.start_interval),
            (&mut self.retries, defaults.retries),
        ] {
            if *own == 0 {
                *own = default;
            }
        }
    }
}

/// `null` is the empty value.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A list of words; in old images also a single one.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Many(Vec<String>),
        One(String),
    }
    Ok(Option::deserialize(deserializer)?.map(|words| match words {
        Words::Many(words) => words,
        Words::One(word) => vec![word],
    }))
}

/// A set, which JSON from Go writes as an object whose values are empty objects.
mod keys {
    use super::{BTreeMap, BTreeSet, Deserialize, Deserializer, Serializer};
    use serde::de::IgnoredAny;
    use serde::ser::SerializeMap;

    pub(super) fn serialize<S: Serializer>(
        keys: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for key in keys {
            map.serialize_entry(key, &BTreeMap::<String, String>::new())?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `docker commit` writes it, nulls and all.
    const DOCKER: &str = r#"{"architecture":"amd64","config":{"Hostname":"c","Domainname":"","User":"",
        "AttachStdin":false,"ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin"],"Cmd":["sh"],"Image":"busybox",
        "Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},
        "container":"abc","created":"2024-05-01T10:20:30.123456789Z","docker_version":"28.2.2","history":
        [{"created":"2024-05-01T10:20:30Z","created_by":"sh","empty_layer":true},{"comment":null}],"os":"linux",
        "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

    #[test]
    fn what_docker_writes_is_read() {
        let config = ImageConfig::parse(DOCKER.as_bytes()).unwrap();
        let run = config.run_config();
        assert_eq!(run.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(run.entrypoint, None);
        assert!(run.volumes.is_empty() && run.exposed_ports.contains("80/tcp"));
        assert_eq!(config.rootfs.diff_ids.len(), 1);
        assert!(config.history[0].empty_layer && !config.history[1].empty_layer);
        assert_eq!(
            config.created_at().unwrap().subsec_nanosecond(),
            123_456_789
        );
        assert_eq!(config.platform().to_string(), "linux/amd64");
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let config = ImageConfig::parse(DOCKER.as_bytes()).unwrap();
        let bytes = serde_json::to_vec(&config).unwrap();
        assert_eq!(ImageConfig::parse(&bytes).unwrap(), config);
        assert!(!String::from_utf8(bytes).unwrap().contains("null"));
    }

    #[test]
    fn a_command_may_be_one_string_in_old_images() {
        let config = r#"{"config":{"Cmd":"true"},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = ImageConfig::parse(config.as_bytes()).unwrap();
        assert_eq!(config.run_config().cmd, Some(vec!["true".to_owned()]));
    }

    #[test]
    fn an_entry_point_of_ones_own_replaces_the_images_command() {
        let image = RunConfig {
            cmd: Some(vec!["a".into()]),
            entrypoint: Some(vec!["e".into()]),
            env: vec!["A=1".into(), "B=2".into()],
            ..RunConfig::default()
        };
        let filled = |mut own: RunConfig| {
            own.fill_from(&image);
            (
                own.entrypoint.unwrap_or_default().join(" "),
                own.cmd.unwrap_or_default().join(" "),
            )
        };
        let run = RunConfig::default;
        assert_eq!(filled(run()), ("e".into(), "a".into()));
        let cmd = RunConfig {
            cmd: Some(vec!["x".into()]),
            ..run()
        };
        assert_eq!(filled(cmd), ("e".into(), "x".into()));
        let entrypoint = RunConfig {
            entrypoint: Some(vec!["x".into()]),
            ..run()
        };
        assert_eq!(filled(entrypoint), ("x".into(), String::new()));
        let none = RunConfig {
            entrypoint: Some(vec![]),
            ..run()
        };
        assert_eq!(filled(none), (String::new(), "a".into()));
        let mut env = RunConfig {
            env: vec!["B=3".into()],
            ..run()
        };
        env.fill_from(&image);
        assert_eq!(env.env, ["B=3", "A=1"]);
    }

    #[test]
    fn what_is_too_large_or_not_layers_is_refused() {
        let config = vec![b' '; usize::try_from(MAX_CONFIG).unwrap() + 1];
        assert!(matches!(
            ImageConfig::parse(&config),
            Err(ImageError::TooLarge { .. })
        ));
        for wrong in [
            "{}",
            "[]",
            "null",
            r#"{"rootfs":{}}"#,
            r#"{"rootfs":{"type":"squashed","diff_ids":[]}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../etc/passwd"]}}"#,
        ] {
            assert!(ImageConfig::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let id = format!("{:?}", wharf_store::Digest::of(b"").to_string());
        let many = vec![id; MAX_LAYERS + 1].join(",");
        let many = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{many}]}}}}"#);
        assert!(ImageConfig::parse(many.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn the_parser_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ImageConfig::parse(&bytes);
        }

        #[test]
        fn the_parser_never_panics_on_a_damaged_document(at in 0..DOCKER.len(), byte: u8) {
            let mut bytes = DOCKER.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = ImageConfig::parse(&bytes);
        }
    }
}
