//! `sccm-agent enforce`: the program's main job.

use super::control::SocketArgs;
use super::interface_args::InterfaceArgs;
use super::{PinArgs, PolicyArgs};
use crate::agent::{Agent, OnExit, Settings};
use crate::decisions::DEFAULT_STATE_DIR;
use crate::files;
use crate::heap;
use crate::hooks::How;
use crate::http::HttpArgs;
use crate::kernel::TcOrder;
use crate::policies;
use crate::policy::{HookChoice, Hooks};
use crate::privileges;
use crate::units;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use sccm_common::flow::DEFAULT_CAPACITY;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::Duration;
use std::{panic, thread};

/// More flows than this would be more than 2 GiB of the kernel's memory.
pub(super) const MAX_FLOWS: i64 = 16 * 1024 * 1024;

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Pass what this host's roles need, and drop the rest at the network card
#[derive(Debug, Clone, Args)]
pub struct EnforceArgs {
    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    interfaces: InterfaceArgs,

    /// Start even if interfaces are missing, and enforce each as soon as it appears
    #[arg(long)]
    wait_for_interfaces: bool,

    /// Count what would be dropped, but drop nothing
    #[arg(long)]
    observe: bool,

    /// Maximum number of remembered flows
    #[arg(long, value_name = "FLOWS", default_value_t = DEFAULT_CAPACITY,
          value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    flow_capacity: u32,

    /// Where to judge packets that come in, at cards that [hooks] of the policy does not name
    #[arg(long, value_enum, default_value_t, alias = "xdp-mode")]
    hook: HookChoice,

    /// Run after the TC programs that a card has already, instead of before them, although they may
    /// hide packets
    #[arg(long)]
    behind_tc_programs: bool,

    /// What to do at SIGTERM and Ctrl-C
    #[arg(long, value_enum, default_value_t)]
    on_exit: OnExit,

    /// Enforce even if this cuts an established SSH session to this host
    #[arg(long)]
    accept_lockout: bool,

    /// Detach, or return to the last confirmed policy, unless `sccm-agent confirm` runs within
    /// this time, such as 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = units::wait)]
    confirm_within: Option<Duration>,

    /// Policy file that `sccm-agent reload --shadow` reads [default: beside the policy file,
    /// policy.candidate.toml for policy.toml]
    #[arg(long, value_name = "FILE")]
    shadow_config: Option<PathBuf>,

    /// Log each newly blocked flow, at most 20 lines a second
    #[arg(long, value_name = "on|off", value_enum, default_value_t = Switch::On)]
    log_blocked: Switch,

    /// Export the N most blocked flows as metrics, with their addresses
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    metrics_top_flows: u32,

    /// Directory where the agent saves which policies were confirmed, are on trial, or were rolled back
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    socket: SocketArgs,

    #[command(flatten)]
    http: HttpArgs,
}

/// Enforces until a signal ends it.
///
/// # Errors
/// The settings or the machine do not allow it; nothing has changed then.
pub fn run(args: &EnforceArgs) -> Result<ExitCode> {
    let written = args.policy.written()?;
    if let Some(edition) = args.policy.default_edition() {
        tracing::info!(
            "the port table is that of Configuration Manager {edition}: --edition names another"
        );
    }
    let shadow_config = args.shadow_config.clone();
    let settings = Settings {
        policies: policies::Settings {
            candidate: shadow_config.or_else(|| written.candidate_file()),
            written,
            interfaces: args.interfaces.named()?,
            observe: args.observe,
        },
        wait_for_interfaces: args.wait_for_interfaces,
        flow_capacity: args.flow_capacity,
        how: How {
            hook: args.hook,
            by_card: Hooks::new(),
            tc_order: match args.behind_tc_programs {
                true => TcOrder::Last,
                false => TcOrder::First,
            },
        },
        http: args.http.clone(),
        pins: args.pins.pins(),
        state_dir: args.state_dir.clone(),
        on_exit: args.on_exit,
        accept_lockout: args.accept_lockout,
        confirm_within: args.confirm_within,
        control_socket: args.socket.path(&args.pins),
        log_blocked: args.log_blocked == Switch::On,
        metrics_top_flows: args.metrics_top_flows,
    };
    heap::share();
    privileges::lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| tell(privileges::lower()))
        .build()
        .context("starting the runtime")?;
    let agent = runtime.block_on(Agent::start(settings))?;
    tell(privileges::lower());
    tell(privileges::filter());
    end_at_panics();
    Ok(match runtime.block_on(agent.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Logs that the agent could not give up rights; enforcement goes on.
fn tell(kept: Result<()>) {
    if let Err(error) = kept {
        tracing::error!("{error:#}");
    }
}

/// Ends the process at a panic, whichever thread it is in, instead of going on without a part of it.
/// Programs and pins stay as they are. Reading a file is no such part.
fn end_at_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if thread::current().name() != Some(files::THREAD) {
            process::exit(1);
        }
    }));
}
