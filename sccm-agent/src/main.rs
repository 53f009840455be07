//! The `sccm-agent` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sccm_agent::cli::run()
}
