//! The shim and the init of `--init` as a program of their own, for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    let init = std::path::Path::new(&name)
        .file_name()
        .is_some_and(|name| name == wharf_runtime::container_init::NAME);
    if init {
        return wharf_runtime::container_init::main(std::env::args_os());
    }
    wharf_runtime::shim::main()
}
