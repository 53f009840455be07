//! `sccm-agent enforce`: the program's main job.

use super::PinArgs;
use crate::enforce::{Enforcement, OnExit, Port, Settings, XdpMode};
use crate::http::HttpArgs;
use crate::policy::{Allow, Essential, Outbound, Protected, Rule, SitePolicy};
use crate::site::SiteArgs;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sccm_common::Place;
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_common::policy::Timeouts;
use std::process::ExitCode;

/// More flows than this would be more than 2 GiB of the kernel's memory.
const MAX_FLOWS: i64 = 16 * 1024 * 1024;

/// Let through what the roles of this host need, and drop the rest at the card
#[derive(Debug, Clone, Args)]
pub struct EnforceArgs {
    /// A role of this host, as listed by `sccm-agent roles`; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,

    /// An interface of this host to enforce; may be given several times
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,

    /// On a gateway: an interface at the side of the peers; may be given several times
    #[arg(long = "uplink", value_name = "IF", conflicts_with = "interfaces")]
    uplinks: Vec<String>,

    /// On a gateway: an interface at the side of the protected systems; may be given several times
    #[arg(long = "segment", value_name = "IF", conflicts_with = "interfaces")]
    segments: Vec<String>,

    /// What happens to what the protected systems open themselves
    #[arg(long, value_enum, default_value_t)]
    outbound: Outbound,

    /// Count what would be dropped, and drop nothing
    #[arg(long)]
    observe: bool,

    /// A port of this site, as tcp/22, udp/5000-5010, icmp/echo-request, gre or
    /// ip/89; from one source as tcp/22@192.0.2.0/24; may be given several times
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    allow: Vec<Allow>,

    /// On a gateway: a port of the gateway itself, written like --allow; may be
    /// given several times
    #[arg(long, value_name = "WHAT[@PREFIX]", conflicts_with = "interfaces")]
    manage: Vec<Allow>,

    /// How many flows are remembered
    #[arg(long, value_name = "FLOWS", default_value_t = DEFAULT_CAPACITY,
          value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    flow_capacity: u32,

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

    /// Pass later fragments whose first fragment was not seen
    #[arg(long)]
    pass_orphan_fragments: bool,

    /// Pass frames that are neither IP nor an essential
    #[arg(long)]
    pass_other_ethertypes: bool,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    timeouts: TimeoutArgs,

    #[command(flatten)]
    http: HttpArgs,

    #[command(flatten)]
    site: SiteArgs,
}

/// How long flows live.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Timeouts of flows, in seconds")]
pub struct TimeoutArgs {
    /// TCP, until the protected system has gone on after its SYN
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_opening)]
    timeout_tcp_opening: u32,

    /// TCP, once it is open
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_established)]
    timeout_tcp_established: u32,

    /// TCP, after a FIN or RST
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_closing)]
    timeout_tcp_closing: u32,

    /// UDP, ICMP echo and everything else
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.other)]
    timeout_other: u32,
}

impl EnforceArgs {
    /// The ports, in the order of their places.
    fn ports(&self) -> Result<Vec<Port>> {
        let zones = [
            (&self.interfaces, Place::Host),
            (&self.uplinks, Place::Uplink),
            (&self.segments, Place::Segment),
        ];
        let ports: Vec<Port> = zones
            .into_iter()
            .flat_map(|(names, place)| {
                names.iter().map(move |name| Port {
                    interface: name.clone(),
                    place,
                })
            })
            .collect();
        let lacks = |names: &[String], others: &[String]| names.is_empty() && !others.is_empty();
        ensure!(
            !ports.is_empty(),
            "nothing to enforce: give --interface IF on a host, or --uplink IF and --segment IF \
             on a gateway"
        );
        ensure!(
            !lacks(&self.uplinks, &self.segments),
            "a gateway needs an --uplink too: the interface at the side of the peers"
        );
        ensure!(
            !lacks(&self.segments, &self.uplinks),
            "a gateway needs a --segment too: the interface at the side of the protected systems"
        );
        Ok(ports)
    }

    /// The policy that the flags describe: everything behind this machine has
    /// these roles, and anybody may be the other end of their links.
    fn policy(&self) -> Result<SitePolicy> {
        let protected = Protected {
            name: "protected".to_owned(),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            addresses: Vec::new(),
        };
        Ok(SitePolicy {
            site: self.site.site()?,
            outbound: self.outbound,
            timeouts: Timeouts {
                tcp_opening: self.timeouts.timeout_tcp_opening,
                tcp_established: self.timeouts.timeout_tcp_established,
                tcp_closing: self.timeouts.timeout_tcp_closing,
                other: self.timeouts.timeout_other,
            },
            without: self.without_essential.clone(),
            pass_orphan_fragments: self.pass_orphan_fragments,
            pass_other_ethertypes: self.pass_other_ethertypes,
            protect: vec![protected],
            allow: self.allow.iter().map(Rule::from).collect(),
            management: self.manage.iter().map(Rule::from).collect(),
            ..SitePolicy::default()
        })
    }
}

/// Enforces until a signal ends it.
///
/// # Errors
/// The settings or the machine do not allow it; nothing has changed then.
pub fn run(args: &EnforceArgs) -> Result<ExitCode> {
    let settings = Settings {
        policy: args.policy()?,
        ports: args.ports()?,
        flow_capacity: args.flow_capacity,
        observe: args.observe,
        xdp_mode: args.xdp_mode,
        http: args.http.clone(),
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
