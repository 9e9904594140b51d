//! The OCI command line as a program of its own, for tests and measurements; called as
//! `docker-init` it is a container's first process.

use std::process::ExitCode;

use wharf_runtime::container_init;

fn main() -> ExitCode {
    let own_name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&own_name).ends_with(container_init::NAME) {
        return container_init::main(std::env::args_os());
    }
    wharf_runtime::cli::main(std::env::args_os())
}
