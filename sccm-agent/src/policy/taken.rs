//! Ports that belong to services of their own, so that no endpoint mapper may hand them out.

use super::{Rule, SitePolicy, Target};
use crate::catalog::PortSpec;
use crate::site::Site;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The TCP ports of the site's table, without the rows of dynamic RPC.
#[must_use]
pub fn of_site(site: &Site) -> BTreeSet<(u16, u16)> {
    let services = site.catalog.all_links().flat_map(|link| &link.services);
    let fixed = services.filter(|service| !service.ports.contains(&PortSpec::Dynamic));
    tcp(fixed.flat_map(|service| Target::of_service(service, site))).collect()
}

/// The same with the policy's own rules. One that covers the whole dynamic range is about RPC.
#[must_use]
pub fn of_policy(policy: &SitePolicy) -> BTreeSet<(u16, u16)> {
    let dynamic = RangeInclusive::from(policy.site.rpc_range);
    let rules = [&policy.allow, &policy.outbound_allow, &policy.management];
    let targets = |rule: &Rule| rule.targets.clone();
    let rules = rules.into_iter().flatten().flat_map(targets);
    let published = policy.publish.iter().flat_map(|one| one.targets.clone());
    let own = tcp(rules.chain(published));
    let own = own.filter(|(low, high)| low > dynamic.start() || high < dynamic.end());
    let behind = policy.publish.iter().filter_map(|one| one.to_port);
    let behind = behind.map(|port| (port, port));
    of_site(&policy.site)
        .into_iter()
        .chain(own)
        .chain(behind)
        .collect()
}

fn tcp(targets: impl Iterator<Item = Target>) -> impl Iterator<Item = (u16, u16)> {
    targets.filter_map(|target| match target {
        Target::Tcp(ports) => Some(ports.into_inner()),
        _ => None,
    })
}
