//! The binary: a name on argv picks the role.
//!
//! ```text
//!  wharf-shim            holds one container
//!  docker-init           is the first process of a container that asked for one
//!  dockerd, wharf daemon the daemon
//!  wharf runtime ...     an OCI runtime
//!  wharf fsck, wharf gc  check the store, free what nothing names
//!  docker, wharf ...     the command line
//! ```
//! No logic: each role is a library's, or the wiring of the daemon in [`daemon`].

mod config;
mod daemon;
mod fsck;
mod gc;
mod role;

use std::process::ExitCode;

use role::Role;

fn main() -> ExitCode {
    // First, and before anything allocates: there is one of these per container, and what this
    // process touches before it knows its role, every one of them holds.
    match role::of_container() {
        Some(role::OfContainer::Shim) => return wharf_runtime::shim::main(),
        Some(role::OfContainer::Init) => {
            return wharf_runtime::container_init::main(std::env::args_os());
        }
        None => {}
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    match Role::of(&name, &words) {
        Role::Daemon(program, at) => daemon::main(&words[at..], program),
        Role::Fsck => fsck::main(&words[1..]),
        Role::Gc => gc::main(&words[1..]),
        // Its first word stands where a program's name stands.
        Role::Runtime => wharf_runtime::cli::main(words),
        Role::Client(program) => wharf_cli::main(words.into_iter(), program),
    }
}
