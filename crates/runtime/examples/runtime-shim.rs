//! The shim's role alone, for the tests of this crate.

fn main() -> std::process::ExitCode {
    wharf_runtime::shim::main()
}
