//! What every command has at hand: the environment as it was at start, the global flags, the
//! configuration, where the daemon is, and the three standard streams.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
#[cfg(test)]
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, Endpoint, TlsFiles};
use crate::command::prefer_wharf;
use crate::config::Config;
use crate::context::store::Store;
use crate::failure::Failure;
use crate::flags::{FlagSet, Given, List};
use crate::program::Program;
use crate::terminal;

/// The name of the context that is not stored: `DOCKER_HOST` or the default socket.
pub(crate) const DEFAULT_CONTEXT: &str = "default";

/// The variables of the process at start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    pub(crate) fn of_process() -> Environment {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Environment {
            variables: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment {
            variables: pairs
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        }
    }

    /// The value of a variable, if it is set at all.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The value of a variable that is set to something.
    pub(crate) fn set(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.set(name))
    }

    fn config_directory(&self) -> PathBuf {
        match self.set("DOCKER_CONFIG") {
            Some(directory) => PathBuf::from(directory),
            None => Path::new(self.get("HOME").unwrap_or("/")).join(".docker"),
        }
    }

    fn certificates(&self) -> PathBuf {
        match self.set("DOCKER_CERT_PATH") {
            Some(directory) => PathBuf::from(directory),
            None => self.config_directory(),
        }
    }
}

/// The flags before the command.
pub(crate) struct Globals {
    config: String,
    context: String,
    pub(crate) debug: bool,
    hosts: List,
    log_level: String,
    tls: Given<bool>,
    tls_ca: Given<String>,
    tls_cert: Given<String>,
    tls_key: Given<String>,
    tls_verify: Given<bool>,
    pub(crate) version: bool,
}

impl Globals {
    pub(crate) fn new(environment: &Environment) -> Globals {
        let certificates = environment.certificates();
        let file = |name: &str| Given::or(certificates.join(name).display().to_string());
        Globals {
            config: environment.config_directory().display().to_string(),
            context: String::new(),
            debug: false,
            hosts: List::default(),
            log_level: "info".to_owned(),
            tls: Given::or(environment.set("DOCKER_TLS").is_some()),
            tls_ca: file("ca.pem"),
            tls_cert: file("cert.pem"),
            tls_key: file("key.pem"),
            tls_verify: Given::or(environment.set("DOCKER_TLS_VERIFY").is_some()),
            version: false,
        }
    }

    pub(crate) fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.config,
            "config",
            "Location of client config files",
        );
        set.short(&mut self.context, "context", 'c', "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with \"docker context use\")");
        set.short(&mut self.debug, "debug", 'D', "Enable debug mode");
        set.short(&mut self.hosts, "host", 'H', "Daemon socket to connect to");
        set.short(
            &mut self.log_level,
            "log-level",
            'l',
            "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
        );
        set.long(&mut self.tls, "tls", "Use TLS; implied by --tlsverify");
        set.long(
            &mut self.tls_ca,
            "tlscacert",
            "Trust certs signed only by this CA",
        );
        set.long(
            &mut self.tls_cert,
            "tlscert",
            "Path to TLS certificate file",
        );
        set.long(&mut self.tls_key, "tlskey", "Path to TLS key file");
        set.long(
            &mut self.tls_verify,
            "tlsverify",
            "Use TLS and verify the remote",
        );
        set.short(
            &mut self.version,
            "version",
            'v',
            "Print version information and quit",
        );
    }

    /// Refuses what `--log-level` cannot be.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        const LEVELS: [&str; 8] = [
            "trace", "debug", "info", "warn", "warning", "error", "fatal", "panic",
        ];
        if self.log_level.is_empty() || LEVELS.contains(&self.log_level.to_lowercase().as_str()) {
            return Ok(());
        }
        Err(Failure::Text(format!(
            "Unable to parse logging level: {}",
            self.log_level
        )))
    }

    /// The files TLS uses, when TLS is asked for.
    fn tls_files(&self) -> Option<TlsFiles> {
        let verify = *self.tls_verify;
        if !verify && !*self.tls {
            return None;
        }
        // A file at its default place is used if it is there; a named one must be.
        let file = |given: &Given<String>| {
            let path = PathBuf::from(given.as_str());
            (given.given().is_some() || path.exists()).then_some(path)
        };
        Some(TlsFiles {
            ca: file(&self.tls_ca),
            identity: file(&self.tls_cert).zip(file(&self.tls_key)),
            skip_verify: !verify,
        })
    }
}

/// Where output goes: a stream of the process, or memory in tests.
#[derive(Clone)]
pub(crate) enum Sink {
    Stdout,
    Stderr,
    #[cfg(test)]
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl Sink {
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::Stderr => io::stderr().lock().write_all(bytes),
            #[cfg(test)]
            Sink::Memory(memory) => {
                if let Ok(mut memory) = memory.lock() {
                    memory.extend_from_slice(bytes);
                }
                Ok(())
            }
        }
    }

    /// The same without holding up the other direction of an attached stream.
    pub(crate) async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut out = tokio::io::stdout();
                out.write_all(bytes).await?;
                out.flush().await
            }
            Sink::Stderr => {
                let mut out = tokio::io::stderr();
                out.write_all(bytes).await?;
                out.flush().await
            }
            #[cfg(test)]
            Sink::Memory(_) => self.write(bytes),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Sink::Stdout => terminal::is_terminal(&io::stdout()),
            Sink::Stderr => terminal::is_terminal(&io::stderr()),
            #[cfg(test)]
            Sink::Memory(_) => false,
        }
    }

    pub(crate) fn size(&self) -> Option<terminal::Size> {
        match self {
            Sink::Stdout => terminal::size(&io::stdout()),
            Sink::Stderr => terminal::size(&io::stderr()),
            #[cfg(test)]
            Sink::Memory(_) => None,
        }
    }
}

/// One run of the command line.
pub(crate) struct Session {
    pub(crate) program: Program,
    pub(crate) environment: Environment,
    pub(crate) globals: Globals,
    pub(crate) out: Sink,
    pub(crate) err: Sink,
    config: OnceLock<Config>,
    client: OnceLock<Client>,
}

impl Session {
    pub(crate) fn new(program: Program, environment: Environment, globals: Globals) -> Session {
        Session {
            program,
            environment,
            globals,
            out: Sink::Stdout,
            err: Sink::Stderr,
            config: OnceLock::new(),
            client: OnceLock::new(),
        }
    }

    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.out.write(text.as_bytes())
    }

    /// A line on stderr.
    pub(crate) fn complain(&self, text: &str) {
        // If stderr is gone there is nowhere left to say so.
        let _ = self.err.write(format!("{text}\n").as_bytes());
    }

    pub(crate) fn config(&self) -> &Config {
        self.config.get_or_init(|| {
            let (config, warning) = Config::load(Path::new(&self.globals.config));
            if let Some(warning) = warning {
                self.complain(&warning);
            }
            config
        })
    }

    pub(crate) fn config_directory(&self) -> &Path {
        Path::new(&self.globals.config)
    }

    pub(crate) fn contexts(&self) -> Store {
        Store::new(self.config_directory().join("contexts"))
    }

    /// Which context is in use, and may a stored one be: `--host` and the host variables win.
    pub(crate) fn current_context(&self) -> String {
        if !self.globals.context.is_empty() {
            return self.globals.context.clone();
        }
        if !self.globals.hosts.is_empty()
            || self
                .environment
                .first(self.program.host_variables())
                .is_some()
        {
            return DEFAULT_CONTEXT.to_owned();
        }
        if let Some(name) = self.environment.first(self.program.context_variables()) {
            return name.to_owned();
        }
        match self.config().text("currentContext") {
            "" => DEFAULT_CONTEXT.to_owned(),
            name => name.to_owned(),
        }
    }

    /// The address behind the default context.
    pub(crate) fn default_host(&self) -> String {
        if let Some(host) = self.globals.hosts.first() {
            return host.clone();
        }
        if let Some(host) = self.environment.first(self.program.host_variables()) {
            return host.to_owned();
        }
        let sockets = self.program.default_sockets();
        let present = sockets.iter().find(|path| Path::new(path).exists());
        format!(
            "unix://{}",
            present.or(sockets.first()).copied().unwrap_or_default()
        )
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        if self.globals.hosts.len() > 1 {
            return Err(Failure::Text(
                "Failed to initialize: unable to resolve docker endpoint: Specify only one -H"
                    .to_owned(),
            ));
        }
        if !self.globals.hosts.is_empty() && !self.globals.context.is_empty() {
            return Err(Failure::Text(
                "conflicting options: cannot specify both --host and --context".to_owned(),
            ));
        }
        let name = self.current_context();
        let mut endpoint = if name == DEFAULT_CONTEXT {
            Endpoint::parse(&self.default_host(), self.globals.tls_files())?
        } else {
            self.contexts().endpoint(&name).map_err(|failure| {
                Failure::Text(format!(
                    "Failed to initialize: unable to resolve docker endpoint: {}",
                    failure.message(self.program).unwrap_or_default()
                ))
            })?
        };
        if let Endpoint::Ssh(target) = &mut endpoint {
            prefer_wharf(self.program, target);
        }
        Ok(endpoint)
    }

    /// The daemon, not yet connected to.
    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let pinned = self
            .environment
            .set("DOCKER_API_VERSION")
            .map(|version| version.trim_start_matches('v').to_owned());
        let agent = format!(
            "{}-Client/{} (linux)",
            self.program.title(),
            env!("CARGO_PKG_VERSION")
        );
        let client = Client::new(
            self.endpoint()?,
            pinned,
            self.config().http_headers(),
            agent,
        );
        Ok(self.client.get_or_init(|| client))
    }

    /// Is stdin a terminal?
    pub(crate) fn stdin_is_terminal(&self) -> bool {
        terminal::is_terminal(&io::stdin())
    }

    /// Keys of detaching: the flag, else `detachKeys` of config.json, else the daemon's default.
    pub(crate) fn detach_keys(&self, flag: &str) -> String {
        if flag.is_empty() {
            self.config().text("detachKeys").to_owned()
        } else {
            flag.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(program: Program, variables: &[(&str, &str)], words: &[&str]) -> Session {
        let environment = Environment::of(variables);
        let mut globals = Globals::new(&environment);
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        {
            let mut set = FlagSet::new();
            globals.flags(&mut set);
            set.parse(&words, false).unwrap();
        }
        Session::new(program, environment, globals)
    }

    #[test]
    fn our_own_variable_wins_over_dockers_under_our_name_only() {
        let variables = [
            ("WHARF_HOST", "tcp://w:1"),
            ("DOCKER_HOST", "tcp://d:1"),
            ("HOME", "/nope"),
        ];
        assert_eq!(
            session(Program::Wharf, &variables, &[]).default_host(),
            "tcp://w:1"
        );
        assert_eq!(
            session(Program::Docker, &variables, &[]).default_host(),
            "tcp://d:1"
        );
        let flagged = session(Program::Wharf, &variables, &["-H", "tcp://f:1"]);
        assert_eq!(
            flagged.client().unwrap().endpoint().to_string(),
            "tcp://f:1"
        );
    }

    #[test]
    fn a_context_flag_wins_over_the_host_variable_and_the_variable_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().display().to_string();
        std::fs::write(
            home.path().join("config.json"),
            r#"{"currentContext":"filed"}"#,
        )
        .unwrap();
        let config = ("DOCKER_CONFIG", path.as_str());
        assert_eq!(
            session(Program::Docker, &[config], &[]).current_context(),
            "filed"
        );
        let host = ("DOCKER_HOST", "tcp://h:1");
        assert_eq!(
            session(Program::Docker, &[config, host], &[]).current_context(),
            "default"
        );
        let named = session(Program::Docker, &[config, host], &["-c", "named"]);
        assert_eq!(named.current_context(), "named");
        let context = ("DOCKER_CONTEXT", "varied");
        assert_eq!(
            session(Program::Docker, &[config, context], &[]).current_context(),
            "varied"
        );
    }

    #[test]
    fn host_and_context_flags_conflict() {
        let both = session(
            Program::Docker,
            &[("HOME", "/nope")],
            &["-H", "tcp://a:1", "-c", "b"],
        );
        assert!(matches!(both.client(), Err(Failure::Text(text)) if text.contains("both --host")));
    }
}
