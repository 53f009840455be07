//! The command line.
//!
//! Exit codes: 0 done; 1 something failed, and something may have changed; 2 wrong input, or a
//! machine that cannot do it, and nothing was changed. `status` has more of its own.

#![expect(
    clippy::print_stderr,
    reason = "what a command says beside its result goes to standard error"
)]

pub mod blocked;
pub mod capture;
pub mod catalog;
pub mod check;
pub mod control;
pub mod coverage;
pub mod detach;
pub mod diff;
pub mod doctor;
pub mod enforce;
#[cfg(test)]
mod exit;
pub mod explain;
pub mod export;
pub mod flows;
#[cfg(test)]
mod golden;
pub mod import;
mod interface_args;
#[cfg(test)]
mod json;
pub mod learn;
pub mod openings;
mod policy_args;
pub mod replay;
pub mod roles;
pub mod status;
pub mod support_bundle;
pub mod test;
pub mod unused;
pub mod version;
pub mod watch;

pub use policy_args::PolicyArgs;

use crate::changed::Changed;
use crate::kernel::{DEFAULT_PIN_DIR, PinDir};
use crate::log::{self, LogFormat};
use crate::output;
use crate::visible::visible;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde::Serialize;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Wrong input, or a machine that cannot do what was asked; nothing was changed.
pub const BAD_INPUT: u8 = 2;

/// Pass only the traffic that a host's Configuration Manager roles need, and drop the rest at
/// the network card
#[derive(Debug, Parser)]
#[command(name = "sccm-agent", version)]
struct Cli {
    /// Format and destination of log lines
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Enforce(Box<enforce::EnforceArgs>),
    Check(check::CheckArgs),
    Reload(control::ReloadArgs),
    Promote(control::PromoteArgs),
    Confirm(control::ConfirmArgs),
    Rollback(control::RollbackArgs),
    Doctor(doctor::DoctorArgs),
    SupportBundle(support_bundle::SupportBundleArgs),
    Status(status::StatusArgs),
    Detach(detach::DetachArgs),
    Blocked(blocked::BlockedArgs),
    Unused(unused::UnusedArgs),
    Watch(watch::WatchArgs),
    Capture(capture::CaptureArgs),
    Explain(Box<explain::ExplainArgs>),
    Test(test::TestArgs),
    Coverage(Box<coverage::CoverageArgs>),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Replay(Box<replay::ReplayArgs>),
    Learn(Box<learn::LearnArgs>),
    Roles(roles::RolesArgs),
    Catalog(catalog::CatalogArgs),
    Import(import::ImportArgs),
    Flows(flows::FlowsArgs),
    Openings(openings::OpeningsArgs),
    Version(version::VersionArgs),
}

/// The flag of every command that works with pins.
#[derive(Debug, Clone, Args)]
pub struct PinArgs {
    /// Directory of pinned programs and maps; one for each network namespace with an agent
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PIN_DIR)]
    pin_dir: PathBuf,
}

impl PinArgs {
    fn pins(&self) -> PinDir {
        PinDir::new(self.pin_dir.clone())
    }
}

/// What is said to somebody who gives no command.
const WHAT_NEXT: &str = "\
sccm-agent passes what Configuration Manager needs, and drops the rest at the network card.
Nothing is enforced by installing it. What comes next:

  sccm-agent roles                              which roles there are; which does this host have?
  sccm-agent check /etc/sccm-agent/policy.toml  what your policy lets through, before it does
  sccm-agent enforce --observe --config /etc/sccm-agent/policy.toml --interface eth0
                                                count what would be dropped; drop nothing
  systemctl enable --now sccm-agent             enforce, now and at every boot; the interfaces are
                                                in /etc/default/sccm-agent
  sccm-agent status                             what is enforced, and where
  sccm-agent detach                             end it, once the agent has stopped

`sccm-agent help` lists all commands.";

/// The whole command line, for manual pages and completions.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    if std::env::args_os().len() == 1 {
        let _ = writeln!(io::stderr(), "{WHAT_NEXT}");
        return ExitCode::from(BAD_INPUT);
    }
    let wants_json = output::wants_json(std::env::args_os().skip(1));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if wants_json && error.use_stderr() {
                let text = error.render().to_string();
                let lines = text.lines().take_while(|line| !line.is_empty());
                let said = lines.map(str::trim).collect::<Vec<_>>().join(" ");
                print_failure(said.trim_start_matches("error: "), BAD_INPUT);
            }
            error.exit()
        }
    };
    if let Err(error) = log::init(cli.log_format) {
        return failed(&error, wants_json);
    }
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Command::Enforce(args) => enforce::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Reload(args) => control::reload(&args),
        Command::Promote(args) => control::promote(&args),
        Command::Confirm(args) => control::confirm(&args),
        Command::Rollback(args) => control::rollback(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::SupportBundle(args) => support_bundle::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Detach(args) => detach::run(&args).map(done),
        Command::Blocked(args) => blocked::run(&args).map(done),
        Command::Unused(args) => unused::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Watch(args) => watch::run(&args).map(done),
        Command::Explain(args) => explain::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Learn(args) => learn::run(&args),
        Command::Roles(args) => roles::run(&args).map(done),
        Command::Catalog(args) => catalog::run(&args).map(done),
        Command::Import(args) => import::run(&args),
        Command::Flows(args) => flows::run(&args).map(done),
        Command::Openings(args) => openings::run(&args).map(done),
        Command::Version(args) => version::run(&args).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => failed(&error, wants_json),
    }
}

fn failed(error: &anyhow::Error, wants_json: bool) -> ExitCode {
    let text = format!("{error:#}");
    // Nobody may read it any more.
    let _ = writeln!(io::stderr(), "error: {}", visible(&text));
    let code = match error.downcast_ref::<Changed>() {
        Some(Changed) => 1,
        None => BAD_INPUT,
    };
    if wants_json {
        print_failure(&text, code);
    }
    ExitCode::from(code)
}

/// What `-o json` prints of a command that fails.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Failure<'a> {
    /// What is wrong, and what to do about it.
    error: &'a str,
    /// The exit code.
    code: u8,
}

fn print_failure(error: &str, code: u8) {
    // Where standard output cannot be written, the error is on standard error all the same.
    let _ = output::print_json(&Failure { error, code });
}
