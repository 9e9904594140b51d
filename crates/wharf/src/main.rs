//! The binary: a name on argv picks the role.
//!
//! ```text
//!  wharf-shim            holds one container
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
    // First, and before anything allocates: there is one shim per container, and what this process
    // touches before it knows its role, every one of them holds.
    if role::is_shim() {
        return wharf_runtime::shim::main();
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
