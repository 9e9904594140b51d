//! Attaching, and undoing it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cache::{Cache, Record};
use super::conflist::{Conflist, kind};
use super::error::{CniError, Result};
use super::names;
use super::plugin::{self, Run};
use super::result::Attached;
use super::version::Version;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Directories of plugins; the first that has one counts.
    pub plugins: Vec<PathBuf>,
    /// Directory of the records of attachments. Made when it is needed.
    pub records: PathBuf,
}

/// What is asked for a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's identifier.
    pub container: String,
    /// What its link is to be called inside.
    pub interface: String,
    /// `CNI_ARGS`: keys and values for every plugin.
    pub arguments: Vec<(String, String)>,
    /// Values for the plugins that say they take them (`portMappings`, `ips`, `mac`, `bandwidth`,
    /// `dns`, `aliases` …).
    pub capabilities: Map<String, Value>,
}

impl Attachment {
    /// A plain one.
    #[must_use]
    pub fn new(container: &str, interface: &str) -> Attachment {
        Attachment {
            container: container.to_owned(),
            interface: interface.to_owned(),
            arguments: Vec::new(),
            capabilities: Map::new(),
        }
    }
}

/// Runs plugins. Every call blocks until they have ended.
#[derive(Debug, Clone)]
pub struct Driver {
    plugins: Vec<PathBuf>,
    cache: Cache,
    limit: Duration,
}

/// What plugins are told of a container.
struct Told<'a> {
    attachment: &'a Attachment,
    namespace: Option<&'a Path>,
}

impl Driver {
    /// One whose plugins have `limit` each.
    #[must_use]
    pub fn new(paths: Paths, limit: Duration) -> Driver {
        Driver {
            plugins: paths.plugins,
            cache: Cache(paths.records),
            limit,
        }
    }

    /// Attaches the container in a namespace to a network. If a plugin fails, all are told to undo.
    pub fn add(
        &self,
        network: &Conflist,
        attachment: &Attachment,
        namespace: &Path,
    ) -> Result<Attached> {
        check_names(attachment)?;
        self.all_there(network)?;
        match self.cache.get(network.name(), attachment)? {
            Some(record) if record.result.is_some() => {
                return Err(CniError::Attached {
                    container: attachment.container.clone(),
                    network: network.name().to_owned(),
                    interface: attachment.interface.clone(),
                });
            }
            // A crash amidst an attempt: its rests go first.
            Some(record) => self.undo(&record, None)?,
            None => {}
        }
        let mut record = Record {
            attachment: attachment.clone(),
            network: network.name().to_owned(),
            config: network.as_json().clone(),
            result: None,
        };
        self.cache.put(&record)?;
        let told = Told {
            attachment,
            namespace: Some(namespace),
        };
        let added = self.add_each(network, &told).and_then(|attached| {
            record.result = Some(attached.raw.clone());
            self.cache.put(&record)?;
            Ok(attached)
        });
        added.map_err(|error| match self.undo(&record, Some(namespace)) {
            Ok(()) => error,
            Err(CniError::Several(mut errors)) => {
                errors.insert(0, error);
                CniError::Several(errors)
            }
            Err(other) => CniError::Several(vec![error, other]),
        })
    }

    fn add_each(&self, network: &Conflist, told: &Told<'_>) -> Result<Attached> {
        let mut previous: Option<Attached> = None;
        for plugin in network.configurations() {
            let given = previous.as_ref().map(|previous| &previous.raw);
            let output = self.run("ADD", network, plugin, Some(told), given, None)?;
            previous = Some(read(&output, plugin, network.version())?);
        }
        previous.ok_or_else(|| CniError::Conflist {
            path: network.name().into(),
            reason: "no plugins in list".to_owned(),
        })
    }

    /// Undoes an attachment, with what it was made with. One that is not recorded is no error. The
    /// namespace may be gone; its plugins then undo what is outside of it.
    pub fn delete(
        &self,
        network: &str,
        container: &str,
        interface: &str,
        namespace: Option<&Path>,
    ) -> Result<()> {
        let attachment = Attachment::new(container, interface);
        names::network(network)?;
        check_names(&attachment)?;
        match self.cache.get(network, &attachment)? {
            Some(record) => self.undo(&record, namespace),
            None => Ok(()),
        }
    }

    /// Goes on after a failure; the record goes if there was none.
    fn undo(&self, record: &Record, namespace: Option<&Path>) -> Result<()> {
        let network = Conflist::of(record.config.clone(), Path::new(&record.network))?;
        let told = Told {
            attachment: &record.attachment,
            namespace,
        };
        let result = record.result.as_ref();
        let previous = result.filter(|_| network.version() >= Version::V0_4_0);
        let mut errors = Vec::new();
        for plugin in network.configurations().iter().rev() {
            if let Err(error) = self.run("DEL", &network, plugin, Some(&told), previous, None) {
                errors.push(error);
            }
        }
        if errors.is_empty() {
            self.cache.remove(&record.network, &record.attachment)?;
        }
        CniError::all(errors)
    }

    /// Whether an attachment still is as its plugins made it. A network of a version without this
    /// command, or that does not want it, always is.
    pub fn check(
        &self,
        network: &str,
        container: &str,
        interface: &str,
        namespace: &Path,
    ) -> Result<()> {
        let attachment = Attachment::new(container, interface);
        names::network(network)?;
        check_names(&attachment)?;
        let record = self.cache.get(network, &attachment)?;
        let Some((record, result)) = record.and_then(|record| {
            let result = record.result.clone()?;
            Some((record, result))
        }) else {
            return Err(CniError::NotAttached {
                container: container.to_owned(),
                network: network.to_owned(),
                interface: interface.to_owned(),
            });
        };
        let network = Conflist::of(record.config, Path::new(network))?;
        if !network.is_checked() {
            return Ok(());
        }
        let told = Told {
            attachment: &record.attachment,
            namespace: Some(namespace),
        };
        for plugin in network.configurations() {
            self.run("CHECK", &network, plugin, Some(&told), Some(&result), None)?;
        }
        Ok(())
    }

    /// What an attachment consists of, if its plugins have made it.
    pub fn attached(
        &self,
        network: &str,
        container: &str,
        interface: &str,
    ) -> Result<Option<Attached>> {
        let attachment = Attachment::new(container, interface);
        names::network(network)?;
        check_names(&attachment)?;
        let record = self.cache.get(network, &attachment)?;
        Ok(record
            .and_then(|record| record.result)
            .and_then(|result| Attached::of(result).ok()))
    }

    /// Whether containers can be attached now: the plugins are there, and, where the version has
    /// the command, say that they are ready.
    pub fn status(&self, network: &Conflist) -> Result<()> {
        self.all_there(network)?;
        if network.version() < Version::V1_1_0 {
            return Ok(());
        }
        for plugin in network.configurations() {
            self.run("STATUS", network, plugin, None, None, None)?;
        }
        Ok(())
    }

    /// Whether every plugin of a network is there and speaks its version.
    pub fn validate(&self, network: &Conflist) -> Result<()> {
        self.all_there(network)?;
        let wanted = network.version().as_str();
        for plugin in network.configurations() {
            let output = self.run("VERSION", network, plugin, None, None, None)?;
            let answer: Value = serde_json::from_slice(&output).map_err(|error| {
                let reason = error.to_string();
                nonsense("VERSION", plugin, reason)
            })?;
            let listed = answer.get("supportedVersions").and_then(Value::as_array);
            let has: Vec<String> = listed
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .take(64)
                .map(str::to_owned)
                .collect();
            if !has.iter().any(|has| has == wanted) {
                let plugin = kind(plugin).to_owned();
                return Err(CniError::Version {
                    plugin,
                    wanted,
                    has,
                });
            }
        }
        Ok(())
    }

    /// Undoes the attachments of a network that are not among these (containers and interfaces),
    /// and tells its plugins, where the version has the command, so that they find what no record
    /// knows. Goes on after a failure.
    pub fn collect(&self, network: &Conflist, valid: &[(String, String)]) -> Result<()> {
        let mut errors = Vec::new();
        for record in self.cache.of(network.name())? {
            let Attachment {
                container,
                interface,
                ..
            } = &record.attachment;
            if !valid
                .iter()
                .any(|known| (&known.0, &known.1) == (container, interface))
            {
                errors.extend(self.undo(&record, None).err());
            }
        }
        if network.is_collected() {
            let valid: Vec<Value> = valid
                .iter()
                .map(
                    |(container, interface)| json!({"containerID": container, "ifname": interface}),
                )
                .collect();
            for plugin in network.configurations() {
                let run = self.run("GC", network, plugin, None, None, Some(&valid));
                errors.extend(run.err());
            }
        }
        CniError::all(errors)
    }

    /// All are looked for before any runs.
    fn all_there(&self, network: &Conflist) -> Result<()> {
        for plugin in network.plugins() {
            plugin::find(plugin, &self.plugins)?;
        }
        Ok(())
    }

    fn run(
        &self,
        command: &'static str,
        network: &Conflist,
        plugin: &Map<String, Value>,
        told: Option<&Told<'_>>,
        previous: Option<&Value>,
        valid: Option<&[Value]>,
    ) -> Result<Vec<u8>> {
        let program = plugin::find(kind(plugin), &self.plugins)?;
        let mut input = plugin.clone();
        input.insert("cniVersion".to_owned(), network.version().as_str().into());
        input.insert("name".to_owned(), network.name().into());
        let taken = input.remove("capabilities");
        if let Some(told) = told {
            let offered = &told.attachment.capabilities;
            let wanted = |key: &String| {
                taken.as_ref().and_then(|taken| taken.get(key)) == Some(&Value::Bool(true))
            };
            let runtime: Map<String, Value> = offered
                .iter()
                .filter(|(key, _)| wanted(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if !runtime.is_empty() {
                input.insert("runtimeConfig".to_owned(), runtime.into());
            }
        }
        if let Some(previous) = previous {
            input.insert("prevResult".to_owned(), previous.clone());
        }
        if let Some(valid) = valid {
            input.insert("cni.dev/valid-attachments".to_owned(), valid.into());
        }
        let input = Value::Object(input).to_string();
        Run {
            plugin: kind(plugin),
            command,
            program: &program,
            environment: &self.environment(command, told),
            input: input.as_bytes(),
            limit: self.limit,
        }
        .output()
    }

    fn environment(&self, command: &str, told: Option<&Told<'_>>) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let path: Vec<String> = self.plugins.iter().map(|path| text(path)).collect();
        let mut environment = vec![
            ("CNI_COMMAND", command.to_owned()),
            ("CNI_PATH", path.join(":")),
        ];
        if let Some(Told {
            attachment,
            namespace,
        }) = told
        {
            let arguments: Vec<String> = attachment
                .arguments
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            environment.extend([
                ("CNI_CONTAINERID", attachment.container.clone()),
                ("CNI_IFNAME", attachment.interface.clone()),
                ("CNI_NETNS", namespace.map(text).unwrap_or_default()),
                ("CNI_ARGS", arguments.join(";")),
            ]);
        }
        environment
    }
}

fn check_names(attachment: &Attachment) -> Result<()> {
    names::container(&attachment.container)?;
    names::interface(&attachment.interface)?;
    attachment
        .arguments
        .iter()
        .try_for_each(|(key, value)| names::argument(key, value))
}

/// The next plugin, and the record, get it in the version that the network is written in.
fn read(output: &[u8], plugin: &Map<String, Value>, version: Version) -> Result<Attached> {
    let mut attached = Attached::parse(output).map_err(|reason| nonsense("ADD", plugin, reason))?;
    if let Value::Object(raw) = &mut attached.raw {
        let said = raw
            .entry("cniVersion")
            .or_insert_with(|| version.as_str().into());
        if said.as_str().and_then(Version::parse) != Some(version) {
            let reason = format!("a result of version {said}, not {:?}", version.as_str());
            return Err(nonsense("ADD", plugin, reason));
        }
    }
    Ok(attached)
}

fn nonsense(command: &'static str, plugin: &Map<String, Value>, reason: String) -> CniError {
    CniError::Answer {
        plugin: kind(plugin).to_owned(),
        command,
        reason,
    }
}
