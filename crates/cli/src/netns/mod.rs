//! `wharf netns`: network namespaces, for people who live in them.
//!
//! Local, like `ip netns`: it reads the pins under `/run/netns` and the kernel's own links under
//! `/proc`, and asks the daemon (of this host, if one answers) only for the names and pids of
//! running containers. A namespace is its inode; whatever leads to the same inode is one line.
//!
//! A program run by `exec` gets the namespace and nothing else: unlike `ip netns exec` it keeps
//! the caller's mounts, so `/sys/class/net` and `/etc/resolv.conf` stay the caller's.

mod exec;
mod identify;
mod ls;
mod places;

use crate::command::{Command, Heading};

pub(crate) const GROUP: Command = Command::group(
    "netns",
    "Look into network namespaces",
    &[exec::COMMAND, identify::COMMAND, ls::COMMAND],
)
.under(Heading::Wharf);
