//! `docker volume create`

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::Call;
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::{FlagSet, List, Map};
use crate::json::Json;
use crate::session::Session;
use crate::spec::checks;
use crate::spec::files;
use crate::spec::size::Bytes;

pub(crate) const COMMAND: Command = Command::verb(
    "create",
    "[OPTIONS] [VOLUME]",
    "Create a volume",
    Arity::AtMost(1),
    || Box::new(Create::default()),
);

/// The cluster volumes of swarms: the flags are known so that they can be refused by name.
struct Cluster {
    availability: String,
    group: String,
    limit_bytes: Bytes,
    required_bytes: Bytes,
    scope: String,
    secrets: Map,
    sharing: String,
    topology_preferred: List,
    topology_required: List,
    access_type: String,
}

struct Create {
    name: String,
    driver: String,
    labels: List,
    options: Map,
    cluster: Cluster,
}

impl Default for Create {
    fn default() -> Create {
        Create {
            name: String::new(),
            driver: "local".to_owned(),
            labels: List::checked(checks::label),
            options: Map::default(),
            cluster: Cluster {
                availability: "active".to_owned(),
                group: String::new(),
                limit_bytes: Bytes::default(),
                required_bytes: Bytes::default(),
                scope: "single".to_owned(),
                secrets: Map::default(),
                sharing: "none".to_owned(),
                topology_preferred: List::default(),
                topology_required: List::default(),
                access_type: "block".to_owned(),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'r> {
    driver: &'r str,
    driver_opts: &'r BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'r str,
}

impl Verb for Create {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        let cluster = &mut self.cluster;
        set.short(
            &mut self.driver,
            "driver",
            'd',
            "Specify volume driver name",
        );
        set.long(&mut self.name, "name", "Specify volume name")
            .hide();
        set.short(&mut self.options, "opt", 'o', "Set driver specific options");
        set.long(&mut self.labels, "label", "Set metadata for a volume");
        set.long(
            &mut cluster.group,
            "group",
            "Cluster Volume group (cluster volumes)",
        );
        set.long(
            &mut cluster.scope,
            "scope",
            "Cluster Volume access scope (\"single\", \"multi\")",
        );
        set.long(
            &mut cluster.sharing,
            "sharing",
            "Cluster Volume access sharing (\"none\", \"readonly\", \"onewriter\", \"all\")",
        );
        set.long(
            &mut cluster.availability,
            "availability",
            "Cluster Volume availability (\"active\", \"pause\", \"drain\")",
        );
        set.long(
            &mut cluster.access_type,
            "type",
            "Cluster Volume access type (\"mount\", \"block\")",
        );
        set.long(&mut cluster.secrets, "secret", "Cluster Volume secrets");
        set.long(
            &mut cluster.limit_bytes,
            "limit-bytes",
            "Minimum size of the Cluster Volume in bytes",
        );
        set.long(
            &mut cluster.required_bytes,
            "required-bytes",
            "Maximum size of the Cluster Volume in bytes",
        );
        set.long(
            &mut cluster.topology_required,
            "topology-required",
            "A topology that the Cluster Volume must be accessible from",
        );
        set.long(
            &mut cluster.topology_preferred,
            "topology-preferred",
            "A topology that the Cluster Volume would be preferred in",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let name = match (args.first(), self.name.as_str()) {
                (Some(_), flag) if !flag.is_empty() => {
                    return Err("conflicting options: cannot specify a volume-name through both --name and as a positional arg".into());
                }
                (Some(name), _) => name.as_str(),
                (None, flag) => flag,
            };
            self.cluster.refuse()?;
            let request = Request {
                driver: &self.driver,
                driver_opts: &self.options.entries,
                labels: files::labels(&[], &self.labels)?,
                name,
            };
            let call = Call::post("/volumes/create").json(&request)?;
            let made: Json = session.client()?.send(call).await?.json().await?;
            session.print(&format!("{}\n", made.text("Name")))?;
            Ok(())
        })
    }
}

impl Cluster {
    fn refuse(&self) -> Result<(), Failure> {
        let asked = self.availability != "active"
            || !self.group.is_empty()
            || self.limit_bytes.0 != 0
            || self.required_bytes.0 != 0
            || self.scope != "single"
            || !self.secrets.entries.is_empty()
            || self.sharing != "none"
            || !self.topology_preferred.is_empty()
            || !self.topology_required.is_empty()
            || self.access_type != "block";
        if asked {
            return Err(Failure::Missing(
                "Wharf has no cluster volumes: it manages the containers of one host".to_owned(),
            ));
        }
        Ok(())
    }
}
