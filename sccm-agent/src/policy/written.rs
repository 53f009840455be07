//! A policy as it is hashed and kept: as JSON, in the order below.
//!
//! Whatever is in it is the operator's word, lists of addresses read in; nothing of the machine is.

use super::{
    Ends, Essential, Expectation, Hooks, Must, Outbound, Protected, Publish, Rpc, Rule, SitePolicy,
    parse_target,
};
use crate::catalog::{Catalog, Edition, PortSetting, RoleId};
use crate::site::{HttpPorts, Site, WsusPorts};
use clap::ValueEnum as _;
use ipnet::IpNet;
use sccm_common::policy::Timeouts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::{Not, RangeInclusive};

/// The layout. Raised when it changes, so that no two layouts meet by chance.
const LAYOUT: u32 = 1;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenPolicy {
    layout: u32,
    edition: Edition,
    http: [NonZeroU16; 2],
    wsus: Option<[NonZeroU16; 2]>,
    sql: NonZeroU16,
    wake_on_lan: NonZeroU16,
    amt_provisioning: NonZeroU16,
    ranges: [RangeInclusive<u16>; 2],
    site_server_initiated_only: bool,
    rpc_dynamic_with_mapper: bool,
    features: BTreeSet<String>,
    /// Left out where the site has moved none: every policy without them keeps its hash.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    moved: BTreeMap<PortSetting, NonZeroU16>,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cmg_instances: Option<NonZeroU16>,
    outbound: String,
    timeouts: [u32; 6],
    /// Left out where they are the usual ones: every policy without them keeps its hash.
    #[serde(default = "usual_of_rpc", skip_serializing_if = "are_usual_of_rpc")]
    rpc_timeouts: [u32; 2],
    warm_up: u32,
    without: Vec<String>,
    passes: [bool; 4],
    /// Left out where it is not set: every policy without it keeps its hash.
    #[serde(default, skip_serializing_if = "Not::not")]
    no_probes: bool,
    pass_ethertypes: Vec<String>,
    count_only: bool,
    pass_sources: Vec<IpNet>,
    internal: Vec<IpNet>,
    peers: Option<BTreeMap<RoleId, Vec<IpNet>>>,
    protect: Vec<WrittenEntry>,
    allow: Vec<WrittenRule>,
    management: Vec<WrittenRule>,
    publish: Vec<WrittenPort>,
    /// Left out where there are none, as are the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outbound_allow: Vec<WrittenRule>,
    /// The names of the rules whose peers include the Internet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    internet: BTreeSet<String>,
    /// The hooks of cards that have one of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hooks: Hooks,
    /// Names of addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    names: BTreeMap<String, Vec<IpNet>>,
    /// What is expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expect: Vec<WrittenExpectation>,
    /// The names of the entries that are tracked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tracked: BTreeSet<String>,
    /// The names of the rules that are, where they are of such an entry.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tracked_rules: BTreeSet<String>,
}

type WrittenExpectation = (String, Must, Vec<String>, Ends, Ends);
type WrittenEntry = (String, Vec<RoleId>, Vec<IpNet>, bool);
type WrittenRule = (String, Vec<String>, Vec<IpNet>, Vec<IpNet>, String);
type WrittenPort = (String, Vec<String>, IpAddr, Option<u16>, String);

impl WrittenPolicy {
    /// Takes it down.
    #[must_use]
    pub fn of(policy: &SitePolicy) -> Self {
        let internet = policy.rules().filter(|rule| rule.internet);
        let internet = internet.map(|rule| rule.name.clone()).collect();
        let tracked = policy.protect.iter();
        let tracked = tracked.filter(|entry| entry.rpc == Rpc::Tracked);
        let tracked = tracked.map(|entry| entry.name.clone()).collect();
        let tracked_rules = policy.rules().filter(|rule| rule.tracked);
        let tracked_rules = tracked_rules.map(|rule| rule.name.clone()).collect();
        // Every field by name: a new one cannot be forgotten.
        let SitePolicy {
            site,
            outbound,
            timeouts,
            warm_up,
            without,
            pass_orphan_fragments,
            pass_source_routes,
            pass_unrelated_icmp_errors,
            no_probes,
            pass_other_ethertypes,
            pass_ethertypes,
            count_only,
            pass_sources,
            internal,
            peers,
            protect,
            allow,
            outbound_allow,
            management,
            publish,
            hooks,
            names,
            expect,
        } = policy.clone();
        let Site {
            catalog,
            http,
            wsus,
            sql,
            wake_on_lan,
            amt_provisioning,
            rpc_range,
            multicast_range,
            moved,
            cmg_instances,
            site_server_initiated_only,
            rpc_dynamic_with_mapper,
            features,
        } = site;
        let Timeouts {
            tcp_opening,
            tcp_established,
            tcp_half_closed,
            tcp_closing,
            other,
            answer,
            rpc_unused,
            rpc_used,
        } = timeouts;
        Self {
            layout: LAYOUT,
            edition: catalog.edition,
            http: [http.http(), http.https()],
            wsus: wsus.map(|wsus| [wsus.http(), wsus.https()]),
            sql,
            wake_on_lan,
            amt_provisioning,
            ranges: [rpc_range.into(), multicast_range.into()],
            site_server_initiated_only,
            rpc_dynamic_with_mapper,
            features,
            moved,
            cmg_instances,
            outbound: match outbound {
                Outbound::Track => "track",
                Outbound::Enforce => "enforce",
                Outbound::Off => "off",
            }
            .to_owned(),
            timeouts: [
                tcp_opening,
                tcp_established,
                tcp_half_closed,
                tcp_closing,
                other,
                answer,
            ],
            rpc_timeouts: [rpc_unused, rpc_used],
            warm_up,
            without: without
                .iter()
                .map(|essential| essential.0.label().to_owned())
                .collect(),
            passes: [
                pass_orphan_fragments,
                pass_source_routes,
                pass_unrelated_icmp_errors,
                pass_other_ethertypes,
            ],
            no_probes,
            pass_ethertypes: texts(&pass_ethertypes),
            count_only,
            pass_sources,
            internal,
            peers,
            protect: protect.into_iter().map(written_entry).collect(),
            allow: allow.into_iter().map(written_rule).collect(),
            management: management.into_iter().map(written_rule).collect(),
            publish: publish.into_iter().map(written_port).collect(),
            outbound_allow: outbound_allow.into_iter().map(written_rule).collect(),
            internet,
            hooks,
            names,
            expect: expect.into_iter().map(written_expectation).collect(),
            tracked,
            tracked_rules,
        }
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Another layout, or what no policy has.
    pub fn policy(self) -> Result<SitePolicy, String> {
        if self.layout != LAYOUT {
            return Err(format!(
                "a policy has layout {}, this sccm-agent reads {LAYOUT}",
                self.layout
            ));
        }
        let [http, https] = self.http;
        let wsus = self.wsus.map(|[http, https]| WsusPorts::new(http, https));
        let [rpc, multicast] = self
            .ranges
            .map(|range| format!("{}-{}", range.start(), range.end()).parse());
        let [
            tcp_opening,
            tcp_established,
            tcp_half_closed,
            tcp_closing,
            other,
            answer,
        ] = self.timeouts;
        let [rpc_unused, rpc_used] = self.rpc_timeouts;
        let [orphans, source_routes, icmp_errors, ethertypes] = self.passes;
        let ethertype = |text: String| text.parse();
        let rule = |written: WrittenRule| {
            let internet = self.internet.contains(&written.0);
            let tracked = self.tracked_rules.contains(&written.0);
            rule(written, internet, tracked)
        };
        let entry = |written: WrittenEntry| {
            let rpc = match self.tracked.contains(&written.0) {
                true => Rpc::Tracked,
                false => Rpc::Static,
            };
            entry(written, rpc)
        };
        let essential = |label: String| Essential::from_str(&label, false);
        Ok(SitePolicy {
            site: Site {
                catalog: Catalog::of(self.edition),
                http: HttpPorts::new(http, https)?,
                wsus: wsus.transpose()?,
                sql: self.sql,
                wake_on_lan: self.wake_on_lan,
                amt_provisioning: self.amt_provisioning,
                rpc_range: rpc?,
                multicast_range: multicast?,
                moved: self.moved,
                cmg_instances: self.cmg_instances,
                site_server_initiated_only: self.site_server_initiated_only,
                rpc_dynamic_with_mapper: self.rpc_dynamic_with_mapper,
                features: self.features,
            },
            outbound: Outbound::from_str(&self.outbound, false)?,
            timeouts: Timeouts {
                tcp_opening,
                tcp_established,
                tcp_half_closed,
                tcp_closing,
                other,
                answer,
                rpc_unused,
                rpc_used,
            },
            warm_up: self.warm_up,
            without: all(self.without, essential)?,
            pass_orphan_fragments: orphans,
            pass_source_routes: source_routes,
            pass_unrelated_icmp_errors: icmp_errors,
            no_probes: self.no_probes,
            pass_other_ethertypes: ethertypes,
            pass_ethertypes: all(self.pass_ethertypes, ethertype)?,
            count_only: self.count_only,
            pass_sources: self.pass_sources,
            internal: self.internal,
            peers: self.peers,
            protect: self.protect.into_iter().map(entry).collect(),
            allow: all(self.allow, rule)?,
            outbound_allow: all(self.outbound_allow, rule)?,
            management: all(self.management, rule)?,
            publish: all(self.publish, port)?,
            hooks: self.hooks,
            names: self.names,
            expect: all(self.expect, expectation)?,
        })
    }
}

fn usual_of_rpc() -> [u32; 2] {
    [Timeouts::DEFAULT.rpc_unused, Timeouts::DEFAULT.rpc_used]
}

fn are_usual_of_rpc(timeouts: &[u32; 2]) -> bool {
    *timeouts == usual_of_rpc()
}

fn written_expectation(expectation: Expectation) -> WrittenExpectation {
    let Expectation {
        name,
        must,
        targets,
        from,
        to,
    } = expectation;
    (name, must, texts(&targets), from, to)
}

fn expectation(written: WrittenExpectation) -> Result<Expectation, String> {
    let (name, must, targets, from, to) = written;
    Ok(Expectation {
        name,
        must,
        targets: all(targets, |text| parse_target(&text))?,
        from,
        to,
    })
}

fn written_entry(entry: Protected) -> WrittenEntry {
    let Protected {
        name,
        roles,
        addresses,
        elsewhere,
        // The policy lists the names of those that are tracked.
        rpc: _,
    } = entry;
    (name, roles, addresses, elsewhere)
}

fn entry((name, roles, addresses, elsewhere): WrittenEntry, rpc: Rpc) -> Protected {
    Protected {
        name,
        roles,
        addresses,
        elsewhere,
        rpc,
    }
}

fn written_rule(rule: Rule) -> WrittenRule {
    let Rule {
        name,
        targets,
        from,
        to,
        // The policy lists their names.
        internet: _,
        reason,
        tracked: _,
    } = rule;
    (name, texts(&targets), from, to, reason)
}

fn rule(written: WrittenRule, internet: bool, tracked: bool) -> Result<Rule, String> {
    let (name, targets, from, to, reason) = written;
    Ok(Rule {
        name,
        targets: all(targets, |text| parse_target(&text))?,
        from,
        to,
        internet,
        reason,
        tracked,
    })
}

fn written_port(published: Publish) -> WrittenPort {
    let Publish {
        name,
        targets,
        to,
        to_port,
        reason,
    } = published;
    (name, texts(&targets), to, to_port, reason)
}

fn port((name, targets, to, to_port, reason): WrittenPort) -> Result<Publish, String> {
    Ok(Publish {
        name,
        targets: all(targets, |text| parse_target(&text))?,
        to,
        to_port,
        reason,
    })
}

fn texts<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Reads every one.
fn all<T, U>(written: Vec<T>, read: impl Fn(T) -> Result<U, String>) -> Result<Vec<U>, String> {
    written.into_iter().map(read).collect()
}
