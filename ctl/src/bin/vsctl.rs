//! `vsctl`: networks, ports and tables of the vswitchd on this host. All of it is in [`ctl::cli`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ctl::cli::main()
}
