//! `docker network connect` and `disconnect`

use serde::Serialize;

use crate::client::{Call, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::perform;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;
use crate::spec::checks;

pub(crate) const CONNECT: Command = Command::verb(
    "connect",
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    Arity::Exactly(2),
    || Box::new(Connect::default()),
)
.names(Names::Networks);

pub(crate) const DISCONNECT: Command = Command::verb(
    "disconnect",
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    Arity::Exactly(2),
    || Box::new(Disconnect::default()),
)
.names(Names::Networks);

struct Connect {
    aliases: List,
    driver_opts: List,
    gateway_priority: i64,
    ipv4: String,
    ipv6: String,
    links: List,
    link_local: List,
}

impl Default for Connect {
    fn default() -> Connect {
        Connect {
            aliases: List::comma_separated(),
            driver_opts: List::comma_separated(),
            gateway_priority: 0,
            ipv4: String::new(),
            ipv6: String::new(),
            links: List::checked(checks::link),
            link_local: List::comma_separated(),
        }
    }
}

impl Verb for Connect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.ipv4,
            "ip",
            "IPv4 address (e.g., \"172.30.100.104\")",
        );
        set.long(
            &mut self.ipv6,
            "ip6",
            "IPv6 address (e.g., \"2001:db8::33\")",
        );
        set.long(&mut self.links, "link", "Add link to another container");
        set.long(
            &mut self.aliases,
            "alias",
            "Add network-scoped alias for the container",
        );
        set.long(
            &mut self.link_local,
            "link-local-ip",
            "Add a link-local address for the container",
        );
        set.long(
            &mut self.driver_opts,
            "driver-opt",
            "driver options for the network",
        );
        set.long(&mut self.gateway_priority, "gw-priority", "Highest gw-priority provides the default gateway. Accepts positive and negative values.");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let mut options = Vec::new();
            for option in self.driver_opts.iter() {
                let Some((key, value)) = option.split_once('=') else {
                    return Err("invalid key/value pair format in driver options".into());
                };
                options.push((key.to_owned(), value.into()));
            }
            let texts = |list: &List| Json::List(list.iter().map(|t| t.as_str().into()).collect());
            let mut endpoint: Vec<(String, Json)> = Vec::new();
            if !self.ipv4.is_empty() || !self.ipv6.is_empty() || !self.link_local.is_empty() {
                endpoint.push((
                    "IPAMConfig".to_owned(),
                    Json::Object(vec![
                        ("IPv4Address".to_owned(), self.ipv4.as_str().into()),
                        ("IPv6Address".to_owned(), self.ipv6.as_str().into()),
                        ("LinkLocalIPs".to_owned(), texts(&self.link_local)),
                    ]),
                ));
            }
            endpoint.push(("Links".to_owned(), texts(&self.links)));
            endpoint.push(("Aliases".to_owned(), texts(&self.aliases)));
            endpoint.push(("DriverOpts".to_owned(), Json::Object(options)));
            endpoint.push(("GwPriority".to_owned(), Json::Int(self.gateway_priority)));
            let request = Json::Object(vec![
                ("Container".to_owned(), args[1].as_str().into()),
                ("EndpointConfig".to_owned(), Json::Object(endpoint)),
            ]);
            let call =
                Call::post(format!("/networks/{}/connect", escape(&args[0]))).json(&request)?;
            perform(session.client()?, call).await
        })
    }
}

#[derive(Default)]
struct Disconnect {
    force: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DisconnectRequest<'r> {
    container: &'r str,
    force: bool,
}

impl Verb for Disconnect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.force,
            "force",
            'f',
            "Force the container to disconnect from a network",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let request = DisconnectRequest {
                container: &args[1],
                force: self.force,
            };
            let call =
                Call::post(format!("/networks/{}/disconnect", escape(&args[0]))).json(&request)?;
            perform(session.client()?, call).await
        })
    }
}
