//! Links, addresses, routes, the packet filter, names and addresses' bookkeeping: what the kernel
//! and the wire offer a network of containers.
//!
//! # What this crate is not
//! It knows nothing of Docker, of containers' lives or of where facts are kept: it is given plain
//! data (a namespace as a descriptor, a list of addresses, a set of ports) and makes the kernel
//! agree with it. Which network exists and who is on it is the engine's to say.
//!
//! # Invariants
//! - No program is spawned (`ip`, `nft`, `iptables`, `sysctl`, `modprobe`), except the CNI plugins
//!   that somebody names.
//! - What fails half-way is undone before the error is returned.
//! - In the packet filter only our own table is touched.

#![forbid(unsafe_code)]

pub mod bridge;
mod checksum;
pub mod cni;
mod conntrack;
pub mod dhcp;
pub mod dns;
pub mod endpoint;
pub mod firewall;
pub mod host;
pub mod ipam;
mod link_error;
mod mac;
mod namespace;
pub mod netlink;
pub mod ports;
pub mod shaping;
pub mod sysctl;

pub use link_error::{LinkError, Result as LinkResult};
pub use mac::{Mac, MacError};
pub use namespace::Netns;
