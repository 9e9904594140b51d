//! What the configuration means.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use wharf_docker_api::{ApiVersion, Group};
use wharf_engine::model::{NamespaceMode, Ulimit};
use wharf_engine::{EngineOptions, LayerForm};

use super::{ConfigError, Typed};

/// Under which name the daemon runs. Its data stays Wharf's own under either: what dockerd left in
/// `/var/lib/docker` is another format, and stays untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `wharf daemon`
    Wharf,
    /// `dockerd`: it stands where dockerd stood.
    Dockerd,
}

impl Program {
    /// How it is called.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Wharf => "wharf daemon",
            Self::Dockerd => "dockerd",
        }
    }

    pub(super) fn config_file(self) -> &'static str {
        match self {
            Self::Wharf => "/etc/wharf/daemon.json",
            Self::Dockerd => "/etc/docker/daemon.json",
        }
    }

    /// The interface of the default network. dockerd's own name only where dockerd stood.
    pub(super) fn bridge(self) -> &'static str {
        match self {
            Self::Wharf => "wharf0",
            Self::Dockerd => "docker0",
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::Wharf => "unix:///run/wharf/wharf.sock",
            Self::Dockerd => "unix:///var/run/docker.sock",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Wharf => "wharf",
            Self::Dockerd => "docker",
        }
    }

    fn pidfile(self) -> &'static str {
        match self {
            Self::Wharf => "/run/wharf.pid",
            Self::Dockerd => "/var/run/docker.pid",
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `time="..." level=info msg="..."`
    Text,
    /// An object per line.
    Json,
}

/// How the API is protected on TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Clients must have a certificate of this authority.
    pub(crate) client_authority: Option<PathBuf>,
}

/// The daemon, as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) hosts: Vec<String>,
    pub(crate) group: Group,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) debug: bool,
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
    pub(crate) experimental: bool,
    pub(crate) oldest_api: ApiVersion,
    pub(crate) http_proxy: String,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
    pub(crate) engine: EngineOptions,
}

impl Settings {
    pub(super) fn read(typed: &Typed, program: Program) -> Result<Self, ConfigError> {
        let debug = typed.flag("debug").unwrap_or(false);
        let mut hosts = typed.list("hosts");
        if hosts.is_empty() {
            hosts.push(program.host().into());
        }
        let group = match typed.text("group") {
            Some(name) => Group::Named(name),
            None => Group::Usual(program.group().into()),
        };
        let pidfile = match typed.text("pidfile") {
            Some(path) => (!path.is_empty()).then(|| path.into()),
            None => Some(program.pidfile().into()),
        };
        let oldest_api = match typed.text("min-api-version") {
            None => ApiVersion::OLDEST,
            Some(text) => ApiVersion::parse(&text).ok_or_else(|| {
                ConfigError::Value(format!(
                    "invalid min-api-version {text}: it must be between {} and {}",
                    ApiVersion::OLDEST,
                    ApiVersion::NEWEST
                ))
            })?,
        };
        Ok(Self {
            hosts,
            group,
            tls: tls(typed),
            pidfile,
            debug,
            level: level(typed, debug)?,
            format: format(typed)?,
            experimental: typed.flag("experimental").unwrap_or(false),
            oldest_api,
            http_proxy: typed.text("http-proxy").unwrap_or_default(),
            https_proxy: typed.text("https-proxy").unwrap_or_default(),
            no_proxy: typed.text("no-proxy").unwrap_or_default(),
            engine: engine(typed, program)?,
        })
    }
}

fn level(typed: &Typed, debug: bool) -> Result<LevelFilter, ConfigError> {
    let level = typed.text("log-level").unwrap_or_else(|| "info".into());
    let level = match level.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" | "panic" => LevelFilter::ERROR,
        _ => {
            return Err(ConfigError::Value(format!(
                "invalid logging level: {level}"
            )));
        }
    };
    Ok(if debug {
        level.max(LevelFilter::DEBUG)
    } else {
        level
    })
}

fn format(typed: &Typed) -> Result<LogFormat, ConfigError> {
    match typed.text("log-format").as_deref() {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => Err(ConfigError::Value(format!("invalid log format: {other}"))),
    }
}

fn tls(typed: &Typed) -> Option<TlsSettings> {
    let verify = typed.flag("tlsverify").unwrap_or(false);
    if !verify && !typed.flag("tls").unwrap_or(false) {
        return None;
    }
    let file = |name: &str, usual: &str| {
        typed
            .text(name)
            .map_or_else(|| Path::new("/root/.docker").join(usual), PathBuf::from)
    };
    Some(TlsSettings {
        certificate: file("tlscert", "cert.pem"),
        key: file("tlskey", "key.pem"),
        client_authority: verify.then(|| file("tlscacert", "ca.pem")),
    })
}

fn engine(typed: &Typed, program: Program) -> Result<EngineOptions, ConfigError> {
    let path = |name: &str, usual: &str| {
        let text = typed.text(name).unwrap_or_else(|| usual.into());
        if text.starts_with('/') {
            Ok(PathBuf::from(text))
        } else {
            Err(ConfigError::Value(format!(
                "{name} must be an absolute path: {text:?}"
            )))
        }
    };
    let data_root = path("data-root", "/var/lib/wharf")?;
    let exec_root = path("exec-root", "/run/wharf")?;
    exec_options(&typed.list("exec-opts"))?;
    let mut options = EngineOptions::new(data_root, exec_root, Vec::new());
    options.layers = layers(&typed.list("storage-opts"))?;
    if let Some(size) = typed.text("default-shm-size") {
        options.default_shm_size = bytes(&size)
            .ok_or_else(|| ConfigError::Value(format!("invalid default-shm-size: {size:?}")))?;
    }
    options.default_ulimits = ulimits(typed)?;
    if let Some(driver) = typed.text("log-driver") {
        options.default_log_driver = log_driver(driver)?;
    }
    options.default_log_options = typed.map("log-opts");
    options.default_init = typed
        .flag("init")
        .or_else(|| typed.flag("default-init"))
        .unwrap_or(false);
    options.init_program = typed
        .text("init-path")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if let Some(parent) = typed
        .text("cgroup-parent")
        .filter(|parent| !parent.is_empty())
    {
        options.cgroup_parent = parent;
    }
    if let Some(runtime) = typed.text("default-runtime") {
        options.default_runtime = runtime_name(runtime)?;
    }
    options.default_cgroupns = match typed.text("default-cgroupns-mode").as_deref() {
        None | Some("") => None,
        Some("private") => Some(NamespaceMode::Private),
        Some("host") => Some(NamespaceMode::Host),
        Some(other) => {
            return Err(ConfigError::Value(format!(
                "default cgroup namespace mode ({other}) is invalid; use \"host\" or \"private\""
            )));
        }
    };
    options.default_ipc = match typed.text("default-ipc-mode").as_deref() {
        None | Some("" | "private") => NamespaceMode::Private,
        Some("shareable") => NamespaceMode::Shareable,
        Some(other) => {
            return Err(ConfigError::Value(format!(
                "IPC is {other:?}, but it must be \"private\" or \"shareable\" for the default-ipc-mode"
            )));
        }
    };
    options.seccomp_profile = seccomp(typed)?;
    options.no_new_privileges = typed.flag("no-new-privileges").unwrap_or(false);
    options.labels = labels(typed.list("labels"))?;
    options.dns = typed.list("dns");
    if let Some(bad) = options
        .dns
        .iter()
        .find(|dns| dns.parse::<std::net::IpAddr>().is_err())
    {
        return Err(ConfigError::Value(format!("{bad} is not an ip address")));
    }
    options.network = super::network::read(typed, program)?;
    options.dns_options = typed.list("dns-opts");
    options.dns_search = typed.list("dns-search");
    if let Some(restore) = typed.flag("live-restore") {
        options.live_restore = restore;
    }
    if let Some(seconds) = typed.number("shutdown-timeout") {
        options.shutdown_timeout = seconds;
    }
    Ok(options)
}

fn layers(storage_options: &[String]) -> Result<LayerForm, ConfigError> {
    let mut form = LayerForm::Auto;
    for option in storage_options {
        form = match option.split_once('=') {
            Some(("layers", "auto")) => LayerForm::Auto,
            Some(("layers", "index")) => LayerForm::Index,
            Some(("layers", "directory")) => LayerForm::Directory,
            Some(("layers", other)) => {
                return Err(ConfigError::Value(format!(
                    "invalid storage option layers={other}: use auto, index or directory"
                )));
            }
            _ => {
                return Err(ConfigError::Refused {
                    name: "storage-opts".into(),
                    what: option.clone(),
                });
            }
        };
    }
    Ok(form)
}

fn exec_options(options: &[String]) -> Result<(), ConfigError> {
    for option in options {
        match option
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
        {
            // Wharf makes its cgroups itself under either name; systemd is never asked.
            Some(("native.cgroupdriver", "cgroupfs" | "systemd")) => {}
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                return Err(ConfigError::Value(format!(
                    "invalid exec-opt ({option}): unknown option"
                )));
            }
            _ => {
                return Err(ConfigError::Value(format!(
                    "invalid exec-opt ({option}): must be formatted 'opt=value'"
                )));
            }
        }
    }
    Ok(())
}

fn log_driver(name: String) -> Result<String, ConfigError> {
    match name.as_str() {
        "json-file" | "none" => Ok(name),
        _ => Err(ConfigError::Refused {
            name: "log-driver".into(),
            what: format!("log driver {name:?}"),
        }),
    }
}

/// Ours has two names: its own, and the one that everybody's scripts say.
fn runtime_name(name: String) -> Result<String, ConfigError> {
    match name.as_str() {
        "wharf" | "runc" | "io.containerd.runc.v2" => Ok(name),
        _ => Err(ConfigError::Refused {
            name: "default-runtime".into(),
            what: format!("OCI runtime {name:?}"),
        }),
    }
}

fn seccomp(typed: &Typed) -> Result<Option<String>, ConfigError> {
    match typed.text("seccomp-profile").as_deref() {
        None | Some("" | "builtin") => Ok(None),
        Some("unconfined") => Ok(Some("unconfined".into())),
        Some(path) => std::fs::read_to_string(path).map(Some).map_err(|error| {
            ConfigError::Value(format!("opening seccomp profile ({path}) failed: {error}"))
        }),
    }
}

/// `key=value`, or a bare key. The same key with two values is an error.
fn labels(labels: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut kept: Vec<String> = Vec::new();
    for label in labels {
        let (key, value) = label
            .split_once('=')
            .ok_or_else(|| ConfigError::Value(format!("bad attribute format: {label}")))?;
        match seen.insert(key.into(), value.into()) {
            Some(old) if old != value => {
                return Err(ConfigError::Value(format!(
                    "conflict labels for {key}={value} and {key}={old}"
                )));
            }
            Some(_) => {}
            None => kept.push(label),
        }
    }
    Ok(kept)
}

/// From flags (`nofile=1024:2048`) or from the file (`{"nofile": {"Soft": 1024, "Hard": 2048}}`).
fn ulimits(typed: &Typed) -> Result<Vec<Ulimit>, ConfigError> {
    match typed.0.get("default-ulimits") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|text| {
                ulimit(text)
                    .ok_or_else(|| ConfigError::Value(format!("invalid ulimit argument: {text}")))
            })
            .collect(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| {
                let number = |name: &str| value.get(name).and_then(Value::as_i64);
                match (number("Soft"), number("Hard")) {
                    (Some(soft), Some(hard)) => Ok(Ulimit {
                        name: value
                            .get("Name")
                            .and_then(Value::as_str)
                            .unwrap_or(key)
                            .into(),
                        soft,
                        hard,
                    }),
                    _ => Err(ConfigError::Value(format!(
                        "invalid ulimit {key}: it needs Soft and Hard"
                    ))),
                }
            })
            .collect(),
        _ => Ok(Vec::new()),
    }
}

fn ulimit(text: &str) -> Option<Ulimit> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit = Ulimit {
        name: name.into(),
        soft: soft.parse().ok()?,
        hard: hard.parse().ok()?,
    };
    (limit.hard == -1 || limit.soft <= limit.hard).then_some(limit)
}

/// `64m`, `1GiB`, `67108864`: units are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << power)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{file, flags};

    fn of_file(content: &str) -> Result<Settings, String> {
        file::parse(content)
            .and_then(|typed| Settings::read(&typed, Program::Wharf))
            .map_err(|error| error.to_string())
    }

    fn of_flags(line: &str) -> Result<Settings, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        flags::parse(&words)
            .and_then(|typed| Settings::read(&typed, Program::Dockerd))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_given_means_the_defaults_of_the_name_it_runs_under() {
        let wharf = of_file("{}").unwrap();
        assert_eq!(wharf.hosts, ["unix:///run/wharf/wharf.sock"]);
        assert_eq!(wharf.group, Group::Usual("wharf".into()));
        assert!(wharf.engine.live_restore && wharf.tls.is_none());
        let dockerd = of_flags("").unwrap();
        assert_eq!(dockerd.hosts, ["unix:///var/run/docker.sock"]);
        assert_eq!(dockerd.engine.data_root, Path::new("/var/lib/wharf"));
    }

    #[test]
    fn flags_and_file_mean_the_same() {
        let flags = of_flags("--default-ulimit nofile=1:2 --default-shm-size 1g --storage-opt layers=directory --log-opt max-size=1m --label a=b --dns 1.1.1.1").unwrap();
        let file = of_file(r#"{"default-ulimits":{"nofile":{"Name":"nofile","Soft":1,"Hard":2}},"default-shm-size":1073741824,"storage-opts":["layers=directory"],"log-opts":{"max-size":"1m"},"labels":["a=b"],"dns":["1.1.1.1"]}"#).unwrap();
        for settings in [&flags, &file] {
            let engine = &settings.engine;
            assert_eq!(
                engine.default_ulimits[0],
                Ulimit {
                    name: "nofile".into(),
                    soft: 1,
                    hard: 2
                }
            );
            assert_eq!(
                (engine.default_shm_size, engine.layers),
                (1 << 30, LayerForm::Directory)
            );
            assert_eq!(
                engine.default_log_options,
                BTreeMap::from([("max-size".to_owned(), "1m".to_owned())])
            );
            assert_eq!(
                (&engine.labels[..], &engine.dns[..]),
                (&["a=b".to_owned()][..], &["1.1.1.1".to_owned()][..])
            );
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for (line, text) in [
            ("--log-level loud", "invalid logging level: loud"),
            ("--log-format xml", "invalid log format: xml"),
            ("--label a", "bad attribute format: a"),
            ("--label a=b --label a=c", "conflict labels for a=c and a=b"),
            ("--dns x", "x is not an ip address"),
            ("--default-ulimit nofile", "invalid ulimit argument: nofile"),
            (
                "--default-ulimit nofile=3:2",
                "invalid ulimit argument: nofile=3:2",
            ),
            (
                "--default-shm-size big",
                "invalid default-shm-size: \"big\"",
            ),
            ("--data-root x", "data-root must be an absolute path: \"x\""),
            (
                "--storage-opt layers=x",
                "invalid storage option layers=x: use auto, index or directory",
            ),
            (
                "--storage-opt dm.fs=xfs",
                "storage-opts is not supported yet (dm.fs=xfs)",
            ),
            (
                "--log-driver syslog",
                "log-driver is not supported yet (log driver \"syslog\")",
            ),
            (
                "--default-runtime kata",
                "default-runtime is not supported yet (OCI runtime \"kata\")",
            ),
            (
                "--exec-opt x",
                "invalid exec-opt (x): must be formatted 'opt=value'",
            ),
            (
                "--default-ipc-mode host",
                "IPC is \"host\", but it must be \"private\" or \"shareable\" for the default-ipc-mode",
            ),
        ] {
            assert_eq!(of_flags(line).unwrap_err(), text, "{line}");
        }
    }

    #[test]
    fn debug_raises_the_level_and_never_lowers_it() {
        assert_eq!(of_flags("-D").unwrap().level, LevelFilter::DEBUG);
        assert_eq!(of_flags("-D -l error").unwrap().level, LevelFilter::DEBUG);
        assert_eq!(of_flags("-D -l trace").unwrap().level, LevelFilter::TRACE);
    }

    #[test]
    fn verifying_clients_implies_tls_and_needs_an_authority() {
        let tls = of_flags("--tlsverify --tlscert /c --tlskey /k --tlscacert /a")
            .unwrap()
            .tls
            .unwrap();
        assert_eq!(tls.client_authority, Some("/a".into()));
        let tls = of_flags("--tls").unwrap().tls.unwrap();
        assert_eq!(
            (tls.client_authority, tls.key),
            (None, "/root/.docker/key.pem".into())
        );
        assert!(of_flags("--tls=false").unwrap().tls.is_none());
    }

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, size) in [
            ("10", 10),
            ("1k", 1024),
            ("2MB", 2 << 20),
            ("3 GiB", 3 << 30),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        assert_eq!(bytes("1x"), None);
        assert_eq!(bytes("99999999999999g"), None);
    }
}
