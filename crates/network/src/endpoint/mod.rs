//! Endpoints: the link that a container has in a network, and all that is on it.
//!
//! ```text
//!  attach   namespace's socket -> make the link where it belongs -> its parameters
//!           -> up, addresses, routes in one call -> queues             any failure: link deleted
//!  detach   host's end, or the link inside; what is gone is detached
//! ```
//!
//! A veth pair is made by one request: the host's end up and in its bridge, the container's end in
//! its namespace under its name. So there is never a link in the host's namespace that later moves
//! (which costs a wait for all processors), and nothing but one name to delete to undo it all.
//!
//! What this does not know: networks, names of containers, which address is free.

mod announce;
mod configure;
mod inside;
mod macvlan;
pub mod parent;
mod spec;
mod veth;

pub use inside::{add_to, set_default_routes, take_from};
pub use macvlan::{IpvlanFlag, IpvlanMode, MacvlanMode};
pub use spec::{Attached, EndpointSpec, InterfaceName, Isolation, Kind, Route};

use rustix::io::Errno;

use crate::host;
use crate::link_error::{LinkError, Result};
use crate::namespace::Netns;
use crate::netlink::kernel::{IFLA_IFNAME, RTM_DELLINK};
use crate::netlink::{Socket, link_message};

/// Make an endpoint in `target`, its other side in the calling thread's namespace. All of it, or
/// nothing.
pub fn attach(spec: &EndpointSpec, target: &Netns) -> Result<Attached> {
    spec.check()?;
    let mut here = Socket::open()?;
    let isolation = match spec.kind {
        Kind::Veth { isolation, .. } => isolation,
        Kind::Macvlan { .. } | Kind::Ipvlan { .. } => Isolation::Open,
    };
    let port = veth::Port::here(isolation);
    let made = target.run(|| attach_inside(spec, &mut here, &port, target))??;
    if let Kind::Veth { bridge, .. } = &spec.kind {
        announce_on(&mut here, bridge, &made, spec);
    }
    Ok(made)
}

/// By the bridge, to the bridge's other ports; and to the host itself. The endpoint works without.
fn announce_on(here: &mut Socket, bridge: &str, made: &Attached, spec: &EndpointSpec) {
    let forgotten = host::existing(here, bridge).and_then(|bridge| {
        announce::announce(bridge.index, made.mac, &spec.addresses);
        announce::forget(here, bridge.index, &spec.addresses)
    });
    if let Err(error) = forgotten {
        tracing::debug!(bridge, %error, "the host may know an older owner of an address");
    }
}

fn attach_inside(
    spec: &EndpointSpec,
    here: &mut Socket,
    port: &veth::Port,
    target: &Netns,
) -> Result<Attached> {
    let mut there = Socket::open()?;
    let made = match &spec.kind {
        Kind::Veth { bridge, .. } => veth::make(here, &mut there, spec, bridge, port, target)?,
        Kind::Macvlan { parent, mode } => {
            let mode = macvlan::Mode::Macvlan(*mode);
            macvlan::make(here, &mut there, spec, parent, mode, target)?
        }
        Kind::Ipvlan { parent, mode, flag } => {
            let mode = macvlan::Mode::Ipvlan(*mode, *flag);
            macvlan::make(here, &mut there, spec, parent, mode, target)?
        }
    };
    let configured = configure::configure(&mut there, spec, &made)
        .and_then(|()| configure::shape(here, &mut there, spec, &made));
    if let Err(error) = configured {
        if let Err(left) = delete(&mut there, &made.name) {
            tracing::warn!(link = made.name, %left, "half-made endpoint left behind");
        }
        return Err(error);
    }
    if !matches!(spec.kind, Kind::Veth { .. }) {
        announce::announce(made.index, made.mac, &spec.addresses);
    }
    Ok(made)
}

/// Take an endpoint down: by its host's end, which is in the calling thread's namespace, or by its
/// name in its own. Both are tried; what is not there is down.
///
/// The kernel takes some 10 to 30 ms for this, whoever asks: it waits until no processor still
/// looks at the link. A namespace that ends takes its links along without anybody waiting.
pub fn detach(host_name: Option<&str>, ns: Option<&Netns>, name: Option<&str>) -> Result<()> {
    let mut errors = Vec::new();
    if let Some(host_name) = host_name {
        errors.extend(
            Socket::open()
                .and_then(|mut here| delete_end(&mut here, host_name))
                .err(),
        );
    }
    if let (Some(ns), Some(name)) = (ns, name) {
        // With the host's end the other one went too.
        let deleted = ns.run(|| Socket::open().and_then(|mut there| delete_end(&mut there, name)));
        errors.extend(deleted.and_then(|deleted| deleted).err());
    }
    match errors.len() {
        0 => Ok(()),
        1 => errors.pop().map_or(Ok(()), Err),
        _ => Err(LinkError::Several(errors)),
    }
}

/// Delete one of our links; a name that has come to mean hardware, or a bridge, is not ours.
fn delete_end(socket: &mut Socket, name: &str) -> Result<()> {
    let Some(link) = host::link_by(socket, name)? else {
        return Ok(());
    };
    if !matches!(link.kind.as_str(), "veth" | "macvlan" | "ipvlan") {
        return Err(LinkError::WrongKind {
            link: link.name,
            found: if link.kind.is_empty() {
                "hardware".to_owned()
            } else {
                link.kind
            },
            expected: "container's",
        });
    }
    delete(socket, name)
}

fn delete(socket: &mut Socket, name: &str) -> Result<()> {
    match socket.ask(&link_message(RTM_DELLINK, 0, 0, 0).text(IFLA_IFNAME, name))? {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.is(Errno::NODEV) => Ok(()),
        Err(refusal) => Err(refusal.while_doing("removing", name)),
    }
}
