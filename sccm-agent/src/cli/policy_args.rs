//! The policy that a command is given: a site's file, or flags in its place.

use crate::catalog::Edition;
use crate::policies::Written;
use crate::policy::{
    Allow, Essential, Ethertype, INTERNET, Outbound, Protected, Rpc, Rule, SitePolicy, prefix,
};
use crate::site::SiteArgs;
use crate::units;
use anyhow::{Result, ensure};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ipnet::IpNet;
use sccm_common::policy::Timeouts;
use sccm_common::question::MAX_AGE;
use std::path::PathBuf;
use std::time::Duration;

/// The groups of all flags that say what passes. clap makes one of each structure, but leaves
/// it empty where other structures are flattened into it.
const FLAGS: [&str; 3] = ["FilterArgs", "TimeoutArgs", "SiteArgs"];

/// The policy: a file, or flags in its place.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// Policy file, in place of --role and all other flags of the policy (docs/policy.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = FLAGS)]
    config: Option<PathBuf>,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    timeouts: TimeoutArgs,

    #[command(flatten)]
    site: SiteArgs,
}

/// Who this host is, and what passes beside the links of its roles.
#[derive(Debug, Clone, Args)]
struct FilterArgs {
    /// Role of this host, as listed by `sccm-agent roles`; repeatable
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "config")]
    roles: Vec<String>,

    /// How to treat connections that protected systems open
    #[arg(long, value_enum, default_value_t)]
    outbound: Outbound,

    /// How to open the ports that the endpoint mapper of RPC hands out
    #[arg(long, value_enum, default_value_t)]
    rpc: Rpc,

    /// Let in a port of this site, such as tcp/22, udp/5000-5010, icmp/echo-request, gre or
    /// ip/89; from one source only, such as tcp/22@192.0.2.0/24; repeatable
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    allow: Vec<Allow>,

    /// With --outbound enforce: let the protected systems open a port, written like --allow, to
    /// anybody or to one destination, such as tcp/53@192.0.2.53; repeatable
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    allow_out: Vec<Allow>,

    /// On a gateway: let in a port of the gateway itself, written like --allow; repeatable
    #[arg(long, value_name = "WHAT[@PREFIX]")]
    manage: Vec<Allow>,

    /// Drop an essential, without which the network may break; repeatable
    #[arg(long, value_name = "ESSENTIAL", value_enum)]
    without_essential: Vec<Essential>,

    /// Pass later fragments whose first fragment was not seen
    #[arg(long)]
    pass_orphan_fragments: bool,

    /// Pass packets with an IPv4 source route, or an IPv6 routing header with segments left
    #[arg(long)]
    pass_source_routes: bool,

    /// Pass ICMP errors whatever they quote
    #[arg(long)]
    pass_unrelated_icmp_errors: bool,

    /// On a gateway: pass no probes, the few packets of each unknown TCP connection that otherwise
    /// pass after a first start, or when the gateway becomes the master of a pair
    #[arg(long)]
    no_probes: bool,

    /// Pass frames that are neither IP nor an essential
    #[arg(long)]
    pass_other_ethertypes: bool,

    /// Pass frames of this ethertype, such as 0x886f; on one side of a gateway only, such as
    /// 0x886f@segment; repeatable
    #[arg(long, value_name = "NUMBER[@SIDE]")]
    pass_ethertype: Vec<Ethertype>,

    /// Pass packets from this prefix on every side, even where their source would be refused as
    /// `spoofed-source`; repeatable
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pass_source: Vec<IpNet>,

    /// On a first start: drop nothing for this time, such as 30s or 5m, and remember the connections
    /// that are open
    #[arg(long, value_name = "TIME", value_parser = units::wait)]
    warm_up: Option<Duration>,

    /// Count dropped packets without recording their flows: `blocked` and the log stay
    /// empty, and each dropped packet costs about 17 ns less
    #[arg(long)]
    count_only: bool,
}

/// How long flows live.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Flow timeouts, in seconds")]
struct TimeoutArgs {
    /// TCP connections that are being opened
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_opening, value_parser = seconds())]
    timeout_tcp_opening: u32,

    /// Open TCP connections
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_established, value_parser = seconds())]
    timeout_tcp_established: u32,

    /// TCP connections that one side has closed
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_half_closed, value_parser = seconds())]
    timeout_tcp_half_closed: u32,

    /// TCP connections that both sides have closed, or one has reset
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.tcp_closing, value_parser = seconds())]
    timeout_tcp_closing: u32,

    /// UDP, ICMP echo and everything else
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.other, value_parser = seconds())]
    timeout_other: u32,

    /// Requests by UDP, ICMP and all else but TCP: how long `--outbound enforce` lets their answers
    /// pass; 120 at most
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Timeouts::DEFAULT.answer,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_AGE)),
    )]
    timeout_answer: u32,

    /// With --rpc tracked: ports that the endpoint mapper has handed out, until somebody connects
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.rpc_unused, value_parser = seconds())]
    timeout_rpc_unused: u32,

    /// With --rpc tracked: the same, after the last packet of a connection
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::DEFAULT.rpc_used, value_parser = seconds())]
    timeout_rpc_used: u32,
}

/// A time that flows live.
fn seconds() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..)
}

impl PolicyArgs {
    /// The policy as the operator wrote it: in the file, or in the flags.
    pub fn written(&self) -> Result<Written> {
        Ok(match &self.config {
            Some(path) => Written::File(path.clone()),
            None => Written::Flags(Box::new(self.of_flags()?)),
        })
    }

    /// The edition that is taken because neither a file nor a flag could name one.
    pub fn default_edition(&self) -> Option<Edition> {
        let named = self.config.is_some() || self.site.edition.is_some();
        (!named).then(Edition::default)
    }

    /// Whether it is a file's.
    pub fn is_file(&self) -> bool {
        self.config.is_some()
    }

    /// Everything behind this machine has these roles, and anybody may be the other
    /// end of their links.
    fn of_flags(&self) -> Result<SitePolicy> {
        let (filter, timeouts) = (&self.filter, &self.timeouts);
        ensure!(
            !filter.roles.iter().any(|role| role == INTERNET),
            "--role {INTERNET}: the Internet cannot be protected: name a role of this host"
        );
        let catalog = self.site.catalog();
        let roles = filter.roles.iter();
        let roles = roles.map(|role| anyhow::Ok(catalog.role(role)?.id.clone()));
        let protected = Protected {
            name: "protected".to_owned(),
            roles: roles.collect::<Result<_>>()?,
            addresses: Vec::new(),
            elsewhere: false,
            rpc: filter.rpc,
        };
        Ok(SitePolicy {
            site: self.site.site(catalog)?,
            outbound: filter.outbound,
            timeouts: Timeouts {
                tcp_opening: timeouts.timeout_tcp_opening,
                tcp_established: timeouts.timeout_tcp_established,
                tcp_half_closed: timeouts.timeout_tcp_half_closed,
                tcp_closing: timeouts.timeout_tcp_closing,
                other: timeouts.timeout_other,
                answer: timeouts.timeout_answer,
                rpc_unused: timeouts.timeout_rpc_unused,
                rpc_used: timeouts.timeout_rpc_used,
            },
            warm_up: filter.warm_up.map_or(0, |time| time.as_secs() as u32),
            without: filter.without_essential.clone(),
            pass_orphan_fragments: filter.pass_orphan_fragments,
            pass_source_routes: filter.pass_source_routes,
            pass_unrelated_icmp_errors: filter.pass_unrelated_icmp_errors,
            no_probes: filter.no_probes,
            pass_other_ethertypes: filter.pass_other_ethertypes,
            pass_ethertypes: filter.pass_ethertype.clone(),
            count_only: filter.count_only,
            pass_sources: filter.pass_source.clone(),
            protect: vec![protected],
            allow: filter.allow.iter().map(Rule::from).collect(),
            outbound_allow: filter.allow_out.iter().map(Allow::outbound).collect(),
            management: filter.manage.iter().map(Rule::from).collect(),
            ..SitePolicy::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;
    use clap::{Arg, CommandFactory as _, Parser};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    /// One of these is a value of any flag.
    const VALUES: [&str; 8] = [
        "2007",
        "1",
        "50000-50001",
        "tcp/22",
        "off",
        "192.0.2.0/24",
        "0x886f",
        "5m",
    ];

    fn long(flag: &Arg) -> String {
        format!(
            "--{}",
            flag.get_long().expect("no flag has a short name only")
        )
    }

    /// What clap says of a flag beside a policy file.
    fn beside_a_file(flag: &Arg) -> ErrorKind {
        let parse = |words: &[&str]| {
            let line = ["sccm-agent", "--config", "policy.toml"]
                .iter()
                .chain(words);
            let error = Line::try_parse_from(line).expect_err("both were taken");
            error.kind()
        };
        if !flag.get_action().takes_values() {
            return parse(&[&long(flag)]);
        }
        let possible = flag.get_possible_values();
        let possible = possible.iter().map(|value| value.get_name());
        let values = possible.take(1).chain(VALUES);
        let mut kinds = values.map(|value| parse(&[&long(flag), value]));
        let is_wrong =
            |kind: &ErrorKind| matches!(kind, ErrorKind::InvalidValue | ErrorKind::ValueValidation);
        kinds
            .find(|kind| !is_wrong(kind))
            .unwrap_or_else(|| panic!("{}: add a value for it to VALUES", long(flag)))
    }

    #[test]
    fn no_flag_of_the_policy_combines_with_a_file() {
        let line = Line::command();
        let flags: Vec<&Arg> = line.get_arguments().collect();
        assert!(flags.len() > 20, "{}", flags.len());
        for flag in flags.into_iter().filter(|flag| flag.get_id() != "config") {
            assert_eq!(
                beside_a_file(flag),
                ErrorKind::ArgumentConflict,
                "{}",
                long(flag)
            );
        }
    }

    #[test]
    fn a_file_or_a_role_is_required() {
        let line = |words: &[&str]| Line::try_parse_from(["sccm-agent"].iter().chain(words));
        assert!(line(&["--config", "policy.toml"]).is_ok());
        assert!(line(&["--role", "client"]).is_ok());
        let error = line(&[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
    }
}
