//! The policy, as commands are told it: a site's file, or flags in its place.

use crate::catalog::{Catalog, Edition};
use crate::policies::Written;
use crate::policy::{Allow, Essential, Outbound, Protected, Rule, SitePolicy};
use crate::site::SiteArgs;
use anyhow::Result;
use clap::Args;
use sccm_common::policy::Timeouts;
use std::path::PathBuf;

/// What a policy file says in their place.
const POLICY_FLAGS: [&str; 10] = [
    "roles",
    "outbound",
    "allow",
    "manage",
    "without_essential",
    "pass_orphan_fragments",
    "pass_other_ethertypes",
    "count_only",
    "TimeoutArgs",
    "SiteArgs",
];

/// The flags that say what passes.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// The site's policy file, in place of --role and every other flag that says
    /// what passes; docs/policy.md describes it
    #[arg(long, value_name = "FILE", conflicts_with_all = POLICY_FLAGS)]
    config: Option<PathBuf>,

    /// A role of this host, as listed by `sccm-agent roles`; may be given several times
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "config")]
    roles: Vec<String>,

    /// What happens to what the protected systems open themselves
    #[arg(long, value_enum, default_value_t)]
    outbound: Outbound,

    /// A port of this site, as tcp/22, udp/5000-5010, icmp/echo-request, gre or
    /// ip/89; from one source as tcp/22@192.0.2.0/24; may be given several times
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    allow: Vec<Allow>,

    /// On a gateway: a port of the gateway itself, written like --allow; may be
    /// given several times
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    manage: Vec<Allow>,

    /// Drop an essential, without which the network may break; may be given several times
    #[arg(long, value_name = "ESSENTIAL", value_enum)]
    without_essential: Vec<Essential>,

    /// Pass later fragments whose first fragment was not seen
    #[arg(long)]
    pass_orphan_fragments: bool,

    /// Pass frames that are neither IP nor an essential
    #[arg(long)]
    pass_other_ethertypes: bool,

    /// Count what is refused, and note none of its flows: nothing for `blocked` and
    /// the log, and some 17 ns less for each packet
    #[arg(long)]
    count_only: bool,

    #[command(flatten)]
    timeouts: TimeoutArgs,

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

impl PolicyArgs {
    /// The policy as the operator wrote it: in the file, or in the flags.
    ///
    /// # Errors
    /// Whatever is wrong with the site's settings.
    pub fn written(&self) -> Result<Written> {
        Ok(match &self.config {
            Some(path) => Written::File(path.clone()),
            None => Written::Flags(Box::new(self.of_flags()?)),
        })
    }

    /// Everything behind this machine has these roles, and anybody may be the other
    /// end of their links.
    fn of_flags(&self) -> Result<SitePolicy> {
        let protected = Protected {
            name: "protected".to_owned(),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            addresses: Vec::new(),
        };
        Ok(SitePolicy {
            site: self.site.site(Catalog::of(Edition::default()))?,
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
            count_only: self.count_only,
            protect: vec![protected],
            allow: self.allow.iter().map(Rule::from).collect(),
            management: self.manage.iter().map(Rule::from).collect(),
            ..SitePolicy::default()
        })
    }
}
