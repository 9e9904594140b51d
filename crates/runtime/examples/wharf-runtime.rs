//! The OCI command line as a program of its own, for tests and measurements.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_runtime::cli::main(std::env::args_os())
}
