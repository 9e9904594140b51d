//! The command line: docker's command tree over the Engine API.
//!
//! ```text
//! argv -> Globals (what was typed before the command)
//!      -> tree::find -> Command (name, help, arity) -> Verb (its flags, what it does)
//!      -> Session (config, environment, where the daemon is, terminals) -> Client -> daemon
//!      -> table | template | json -> stdout
//! ```
//!
//! One definition of a command (its [`command::Command`] and the flags its `Verb` binds) gives
//! parsing, help, errors and completion. What was typed (`spec`, flag types) is parsed without
//! knowing the daemon; what it means is decided in the command's `run`.
//!
//! It knows the Engine API over HTTP and nothing below it: no crate of the engine is linked.
//! The environment is read once, in [`main`], and never written.

mod attach;
mod client;
mod command;
mod complete;
mod config;
mod container;
mod context;
mod dns;
mod failure;
mod flags;
mod go;
mod help;
mod image;
mod inspect;
mod json;
mod missing;
mod netns;
mod network;
mod program;
mod progress;
mod prompt;
mod session;
mod spec;
mod system;
mod table;
mod tabwriter;
mod template;
mod terminal;
mod time;
mod tree;
mod units;
mod volume;

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(test)]
mod tests;

pub use program::Program;

/// Runs the command line; `args` are the words after the program's name.
pub fn main(args: impl Iterator<Item = OsString>, program: Program) -> ExitCode {
    let words: Vec<String> = args
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let environment = session::Environment::of_process();
    // One thread: a command waits for one daemon, and starting a pool costs more than most
    // commands take.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{}: cannot start: {error}\n", program.name()).as_bytes(),
            );
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(command::run(program, &words, environment));
    // A read of a terminal that nobody types at would otherwise hold the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}
