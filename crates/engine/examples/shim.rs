//! The shim as a program of its own, for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_runtime::shim::main()
}
