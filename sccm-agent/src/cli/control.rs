//! `sccm-agent reload`, `promote`, `confirm` and `rollback`: commands to a running agent.

use super::PinArgs;
use crate::changed::Changed;
use crate::control::client::Connection;
use crate::control::{Answer, Request, default_socket};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policies::Reload;
use crate::units;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The flag of every command that speaks or listens on the control socket.
#[derive(Debug, Clone, Args)]
pub struct SocketArgs {
    /// Socket on which the agent takes commands [default: below /run/sccm-agent, one for
    /// each pin directory]
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,
}

impl SocketArgs {
    /// The socket of the agent with these pins.
    #[must_use]
    pub fn path(&self, pins: &PinArgs) -> PathBuf {
        let given = self.control_socket.clone();
        given.unwrap_or_else(|| default_socket(&pins.pin_dir))
    }
}

/// How a command reaches its agent, and prints what came of it.
#[derive(Debug, Clone, Args)]
struct AgentArgs {
    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    socket: SocketArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Make the running agent read its policy file again
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// Return to the previous policy unless `sccm-agent confirm` runs within this time, such as
    /// 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = units::wait)]
    confirm_within: Option<Duration>,

    /// Reload even if this cuts an established SSH session to this host
    #[arg(long)]
    accept_lockout: bool,

    /// Read the candidate file (see `enforce --shadow-config`) as a shadow instead: count what
    /// it would decide differently, and change nothing
    #[arg(long, conflicts_with_all = ["confirm_within", "accept_lockout"])]
    shadow: bool,

    /// End the shadow
    #[arg(long, conflicts_with_all = ["confirm_within", "accept_lockout", "shadow"])]
    no_shadow: bool,

    #[command(flatten)]
    agent: AgentArgs,
}

/// Make the candidate of the shadow the active policy
#[derive(Debug, Clone, Args)]
pub struct PromoteArgs {
    /// Return to the previous policy unless `sccm-agent confirm` runs within this time, such as
    /// 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = units::wait)]
    confirm_within: Option<Duration>,

    /// Promote even if this cuts an established SSH session to this host
    #[arg(long)]
    accept_lockout: bool,

    #[command(flatten)]
    agent: AgentArgs,
}

/// Keep the policy that waits to be confirmed
#[derive(Debug, Clone, Args)]
pub struct ConfirmArgs {
    #[command(flatten)]
    agent: AgentArgs,
}

/// Return to the previous policy
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// Return even if this cuts an established SSH session to this host; a policy that is
    /// not confirmed is always rolled back
    #[arg(long)]
    accept_lockout: bool,

    #[command(flatten)]
    agent: AgentArgs,
}

/// Asks the agent to reload.
///
/// # Errors
/// There is no agent, or it refuses; nothing has changed then. [`Changed`] if the agent does not
/// answer, or its answer cannot be printed.
pub fn reload(args: &ReloadArgs) -> Result<ExitCode> {
    let order = Reload {
        confirm_within: args.confirm_within.map(|wait| wait.as_secs()),
        accept_lockout: args.accept_lockout,
    };
    args.agent.ask(&match (args.shadow, args.no_shadow) {
        (true, _) => Request::Shadow {},
        (_, true) => Request::EndShadow {},
        (false, false) => Request::Reload(order),
    })
}

/// Asks the agent to make its candidate the active policy.
pub fn promote(args: &PromoteArgs) -> Result<ExitCode> {
    args.agent.ask(&Request::Promote(Reload {
        confirm_within: args.confirm_within.map(|wait| wait.as_secs()),
        accept_lockout: args.accept_lockout,
    }))
}

/// Tells the agent that its policy is to stay.
pub fn confirm(args: &ConfirmArgs) -> Result<ExitCode> {
    args.agent.ask(&Request::Confirm {})
}

/// Asks the agent to return to the previous policy.
pub fn rollback(args: &RollbackArgs) -> Result<ExitCode> {
    args.agent.ask(&Request::Rollback {
        accept_lockout: args.accept_lockout,
    })
}

impl AgentArgs {
    fn ask(&self, request: &Request) -> Result<ExitCode> {
        let connection = Connection::open(&self.socket.path(&self.pins))?;
        let outcome = match connection.ask(request) {
            Ok(Answer::Done(outcome)) => outcome,
            Ok(Answer::Refused { error }) => bail!(error),
            // Whether the agent has done it, nobody knows.
            Err(unknown) => return Err(anyhow!(unknown).context(Changed)),
        };
        let printed = match self.output.output {
            OutputFormat::Json => output::print_json(&outcome),
            OutputFormat::Table => output::print(&outcome),
        };
        printed.context(Changed)?;
        Ok(ExitCode::SUCCESS)
    }
}
