//! The command line on its own, for trying it out: `cargo run -p wharf-cli --example wharf-cli`.
//! Called as `docker` (a symlink) it is that program.

use std::process::ExitCode;

use wharf_cli::Program;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let program = match std::path::Path::new(&name).file_name() {
        Some(name) if name == "docker" => Program::Docker,
        _ => Program::Wharf,
    };
    wharf_cli::main(args, program)
}
