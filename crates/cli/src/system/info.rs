//! `docker info`

use std::fmt::Write as _;

use crate::client::Call;
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::inspect::FORMAT_HELP;
use crate::json::Json;
use crate::session::Session;
use crate::system::version;
use crate::template::{Functions, Missing, Parsed};
use crate::units;

pub(crate) const COMMAND: Command = Command::verb(
    "info",
    "[OPTIONS]",
    "Display system-wide information",
    Arity::None,
    || Box::new(Info::default()),
)
.paths(&["system info", "info"]);

#[derive(Default)]
struct Info {
    format: String,
}

impl Verb for Info {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let asked = async {
                Ok::<Json, Failure>(
                    session
                        .client()?
                        .send(Call::get("/info"))
                        .await?
                        .json()
                        .await?,
                )
            };
            if self.format.is_empty() {
                let mut text = client_text(session);
                text.push_str("\nServer:\n");
                session.print(&text)?;
                return match asked.await {
                    Ok(server) => {
                        session.print(&server_text(&server, session.globals.debug))?;
                        for warning in server.texts("Warnings") {
                            session.complain(warning);
                        }
                        Ok(())
                    }
                    Err(failure) => Err(failure),
                };
            }
            let template = match self.format.as_str() {
                "json" => "{{json .}}",
                template => template,
            };
            let parsed = Parsed::new("", template, Functions::Data)
                .map_err(|error| Failure::Status(64, format!("template parsing error: {error}")))?;
            let (server, failure) = match asked.await {
                Ok(server) => (server, None),
                Err(failure) => (Json::Object(Vec::new()), Some(failure)),
            };
            let data = with_client(session, server, failure.as_ref());
            let text = match (parsed.render(&data, Missing::Error), failure) {
                (Ok(text), None) => text,
                // What the client knows is shown; the reason why it is not more, said.
                (Ok(text), Some(failure)) => {
                    session.print(&format!("{text}\n"))?;
                    return Err(failure);
                }
                (Err(_), Some(failure)) => return Err(failure),
                (Err(error), None) => return Err(error.into()),
            };
            session.print(&format!("{text}\n"))?;
            Ok(())
        })
    }
}

/// The daemon's object with what this program adds to it.
fn with_client(session: &Session, server: Json, failure: Option<&Failure>) -> Json {
    let mut entries = match server {
        Json::Object(entries) => entries,
        _ => Vec::new(),
    };
    if let Some(message) = failure.and_then(|failure| failure.message(session.program)) {
        entries.push(("ServerErrors".to_owned(), Json::List(vec![message.into()])));
    }
    let mut client = vec![("Debug".to_owned(), Json::Bool(session.globals.debug))];
    if let Json::Object(version) = version::client(session, None) {
        client.extend(version);
    }
    client.push(("Plugins".to_owned(), Json::List(Vec::new())));
    client.push(("Warnings".to_owned(), Json::Null));
    entries.push(("ClientInfo".to_owned(), Json::Object(client)));
    Json::Object(entries)
}

fn client_text(session: &Session) -> String {
    format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}\n",
        env!("CARGO_PKG_VERSION"),
        session.current_context(),
        session.globals.debug
    )
}

/// The text of the server's part, line by line.
struct Lines<'s> {
    out: String,
    server: &'s Json,
}

impl Lines<'_> {
    fn line(&mut self, label: &str, value: &str) {
        let _ = writeln!(self.out, "{label} {value}");
    }

    fn text(&mut self, label: &str, key: &str) {
        let value = self.server.text(key).to_owned();
        self.line(label, &value);
    }

    /// A line that is left out when there is nothing to say.
    fn text_if_any(&mut self, label: &str, key: &str) {
        if !self.server.text(key).is_empty() {
            self.text(label, key);
        }
    }

    fn number(&mut self, label: &str, key: &str) {
        let value = self.server.int(key).to_string();
        self.line(label, &value);
    }

    fn switch(&mut self, label: &str, key: &str) {
        let value = self.server.bool(key).to_string();
        self.line(label, &value);
    }

    fn list(&mut self, heading: &str, items: &[&str]) {
        if items.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "{heading}");
        for item in items {
            let _ = writeln!(self.out, "  {item}");
        }
    }
}

fn server_text(server: &Json, debug: bool) -> String {
    let mut lines = Lines {
        out: String::new(),
        server,
    };
    lines.number(" Containers:", "Containers");
    lines.number("  Running:", "ContainersRunning");
    lines.number("  Paused:", "ContainersPaused");
    lines.number("  Stopped:", "ContainersStopped");
    lines.number(" Images:", "Images");
    lines.text_if_any(" Server Version:", "ServerVersion");
    lines.text_if_any(" Storage Driver:", "Driver");
    for pair in server.list("DriverStatus") {
        if let Json::List(pair) = pair {
            let word = |at: usize| pair.get(at).and_then(Json::as_text).unwrap_or_default();
            let _ = writeln!(lines.out, "  {}: {}", word(0), word(1));
        }
    }
    lines.text_if_any(" Logging Driver:", "LoggingDriver");
    lines.text_if_any(" Cgroup Driver:", "CgroupDriver");
    lines.text_if_any(" Cgroup Version:", "CgroupVersion");
    plugins(&mut lines);
    let cdi = server.texts("CDISpecDirs");
    lines.list(" CDI spec directories:", &cdi);
    let swarm = server
        .get("Swarm")
        .map_or("", |swarm| swarm.text("LocalNodeState"));
    lines.line(" Swarm:", swarm);
    let runtimes: Vec<&str> = server
        .entries("Runtimes")
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    if !runtimes.is_empty() {
        lines.line(" Runtimes:", &runtimes.join(" "));
        lines.text(" Default Runtime:", "DefaultRuntime");
    }
    if server.text("OSType") == "linux" {
        linux(&mut lines);
    }
    lines.text_if_any(" Kernel Version:", "KernelVersion");
    lines.text_if_any(" Operating System:", "OperatingSystem");
    lines.text_if_any(" OSType:", "OSType");
    lines.text_if_any(" Architecture:", "Architecture");
    lines.number(" CPUs:", "NCPU");
    lines.line(
        " Total Memory:",
        &units::bytes_size(server.int("MemTotal") as f64),
    );
    lines.text_if_any(" Name:", "Name");
    lines.text_if_any(" ID:", "ID");
    lines.text(" Docker Root Dir:", "DockerRootDir");
    lines.switch(" Debug Mode:", "Debug");
    if debug || server.bool("Debug") {
        lines.number("  File Descriptors:", "NFd");
        lines.number("  Goroutines:", "NGoroutines");
        lines.text("  System Time:", "SystemTime");
        lines.number("  EventsListeners:", "NEventsListener");
    }
    lines.text_if_any(" HTTP Proxy:", "HttpProxy");
    lines.text_if_any(" HTTPS Proxy:", "HttpsProxy");
    lines.text_if_any(" No Proxy:", "NoProxy");
    let labels = server.texts("Labels");
    lines.list(" Labels:", &labels);
    lines.switch(" Experimental:", "ExperimentalBuild");
    registries(&mut lines);
    lines.switch(" Live Restore Enabled:", "LiveRestoreEnabled");
    lines.text_if_any(" Product License:", "ProductLicense");
    let pools = server.list("DefaultAddressPools");
    if !pools.is_empty() {
        lines.out.push_str(" Default Address Pools:\n");
        for pool in pools {
            let _ = writeln!(
                lines.out,
                "   Base: {}, Size: {}",
                pool.text("Base"),
                pool.int("Size")
            );
        }
    }
    lines.out.push('\n');
    lines.out
}

fn plugins(lines: &mut Lines<'_>) {
    lines.out.push_str(" Plugins:\n");
    let plugins = lines.server.get("Plugins").unwrap_or(&Json::Null);
    let names = |kind: &str| plugins.texts(kind).join(" ");
    let (volume, network) = (names("Volume"), names("Network"));
    let (authorization, log) = (names("Authorization"), names("Log"));
    lines.line("  Volume:", &volume);
    lines.line("  Network:", &network);
    if !authorization.is_empty() {
        lines.line("  Authorization:", &authorization);
    }
    lines.line("  Log:", &log);
}

fn linux(lines: &mut Lines<'_>) {
    let server = lines.server;
    let commit = |key: &str| {
        server
            .get(key)
            .map_or("", |commit| commit.text("ID"))
            .to_owned()
    };
    lines.text(" Init Binary:", "InitBinary");
    lines.line(" containerd version:", &commit("ContainerdCommit"));
    lines.line(" runc version:", &commit("RuncCommit"));
    lines.line(" init version:", &commit("InitCommit"));
    let options = server.texts("SecurityOptions");
    if options.is_empty() {
        return;
    }
    lines.out.push_str(" Security Options:\n");
    for option in options {
        // `name=seccomp,profile=builtin`; before 17.x a bare name.
        let fields: Vec<(&str, &str)> = option
            .split(',')
            .map(|field| field.split_once('=').unwrap_or(("name", field)))
            .collect();
        for (key, value) in &fields {
            match *key {
                "name" => {
                    let _ = writeln!(lines.out, "  {value}");
                }
                "profile" => {
                    let _ = writeln!(lines.out, "   Profile: {value}");
                }
                _ => {}
            }
        }
    }
}

fn registries(lines: &mut Lines<'_>) {
    let Some(config) = lines.server.get("RegistryConfig") else {
        return;
    };
    let insecure: Vec<&str> = config
        .entries("IndexConfigs")
        .iter()
        .filter(|(_, index)| !index.bool("Secure"))
        .map(|(_, index)| index.text("Name"))
        .chain(config.texts("InsecureRegistryCIDRs"))
        .collect();
    lines.list(" Insecure Registries:", &insecure);
    let mirrors = config.texts("Mirrors");
    lines.list(" Registry Mirrors:", &mirrors);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_part_is_dockers_layout() {
        let server = Json::parse(br#"{"ID":"x","Containers":3,"ContainersRunning":1,"ContainersPaused":0,"ContainersStopped":2,"Images":4,"Driver":"overlay","DriverStatus":[["Backing","ext4"]],"Plugins":{"Volume":["local"],"Network":["host","none"],"Authorization":null,"Log":["json-file"]},"Swarm":{"LocalNodeState":"inactive"},"OSType":"linux","SecurityOptions":["name=seccomp,profile=builtin"],"NCPU":2,"MemTotal":1073741824,"DockerRootDir":"/d","RegistryConfig":{"InsecureRegistryCIDRs":["127.0.0.0/8"],"IndexConfigs":{"docker.io":{"Name":"docker.io","Secure":true}}}}"#).unwrap();
        let text = server_text(&server, false);
        for part in [
            " Containers: 3\n  Running: 1\n  Paused: 0\n  Stopped: 2\n Images: 4\n Storage Driver: overlay\n  Backing: ext4\n",
            " Plugins:\n  Volume: local\n  Network: host none\n  Log: json-file\n Swarm: inactive\n",
            " Security Options:\n  seccomp\n   Profile: builtin\n",
            " CPUs: 2\n Total Memory: 1GiB\n ID: x\n Docker Root Dir: /d\n Debug Mode: false\n Experimental: false\n Insecure Registries:\n  127.0.0.0/8\n Live Restore Enabled: false\n\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}
