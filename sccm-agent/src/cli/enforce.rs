//! `sccm-agent enforce`: the program's main job.

use super::PinArgs;
use crate::enforce::{Enforcement, OnExit, Settings, XdpMode};
use crate::policy::{Allow, Essential};
use crate::site::SiteArgs;
use anyhow::{Context as _, Result};
use clap::Args;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Where metrics are served. 9100 to 9999 are all allocated to other exporters.
const DEFAULT_METRICS: &str = "127.0.0.1:19470";

/// Let through what the roles of this host need, and drop the rest at the card
#[derive(Debug, Clone, Args)]
pub struct EnforceArgs {
    /// A role of this host, as listed by `sccm-agent roles`; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,

    /// An interface to enforce; may be given several times
    #[arg(long = "interface", value_name = "IF", required = true)]
    interfaces: Vec<String>,

    /// Count what would be dropped, and drop nothing
    #[arg(long)]
    observe: bool,

    /// A port of this site, as tcp/22, udp/5000-5010, icmp/echo-request, gre or
    /// ip/89; from one source as tcp/22@192.0.2.0/24; may be given several times
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    allow: Vec<Allow>,

    /// Where metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_METRICS)]
    metrics_listen: SocketAddr,

    /// How the program may hang on the card
    #[arg(long, value_enum, default_value_t)]
    xdp_mode: XdpMode,

    /// What happens at SIGTERM and Ctrl-C
    #[arg(long, value_enum, default_value_t)]
    on_exit: OnExit,

    /// Enforce even if it cuts an established SSH session to this host
    #[arg(long)]
    accept_lockout: bool,

    /// Drop an essential, without which the network may break; may be given several times
    #[arg(long, value_name = "ESSENTIAL", value_enum)]
    without_essential: Vec<Essential>,

    /// Drop later fragments, which carry no ports to judge them by
    #[arg(long)]
    refuse_later_fragments: bool,

    /// Pass frames that are neither IP nor an essential
    #[arg(long)]
    pass_other_ethertypes: bool,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    site: SiteArgs,
}

/// Enforces until a signal ends it.
///
/// # Errors
/// The settings or the machine do not allow it; nothing has changed then.
pub fn run(args: &EnforceArgs) -> Result<ExitCode> {
    let settings = Settings {
        roles: args.roles.clone(),
        interfaces: args.interfaces.clone(),
        site: args.site.site()?,
        allow: args.allow.clone(),
        without: args.without_essential.clone(),
        observe: args.observe,
        refuse_later_fragments: args.refuse_later_fragments,
        pass_other_ethertypes: args.pass_other_ethertypes,
        xdp_mode: args.xdp_mode,
        metrics_listen: args.metrics_listen,
        pins: args.pins.pins(),
        on_exit: args.on_exit,
        accept_lockout: args.accept_lockout,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let enforcement = runtime.block_on(Enforcement::start(settings))?;
    Ok(match runtime.block_on(enforcement.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    })
}
