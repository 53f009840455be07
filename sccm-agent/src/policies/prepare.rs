//! From a policy as it was written to one that can be published, and what speaks against that.

use super::Settings;
use crate::interface::{Netlink, routes_broadcasts, routes_multicast};
use crate::lockout::{self, Cause};
use crate::plan::{self, Plan};
use crate::policy::{self, Compiled, Request, ServiceNames, SitePolicy, Surroundings};
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Checks a policy against the document, and against where the agent stands.
///
/// # Errors
/// An unknown role, an outbound mode with which a role cannot work, or rules for
/// a gateway on a host.
pub fn check_policy(settings: &Settings, policy: &SitePolicy) -> Result<()> {
    ensure!(
        policy.management.is_empty() || settings.is_gateway(),
        "--manage and [management] are for the gateway itself; on a host, --allow and \
         [[allow]] say it all"
    );
    ensure!(
        policy.publish.is_empty() || settings.is_gateway(),
        "[[publish]] is for ports that a gateway sends on to the systems behind it; a host has none \
         behind it"
    );
    policy::check_roles(policy)
}

/// What a policy must know of this machine, whose cards are those of the plan.
///
/// # Errors
/// The kernel does not answer.
pub async fn surroundings(
    settings: &Settings,
    netlink: &Netlink,
    plan: &Plan,
) -> Result<Surroundings> {
    let addresses = netlink.own_addresses().await?;
    let machine = Surroundings {
        is_gateway: settings.is_gateway(),
        own: addresses
            .holders
            .into_iter()
            .filter(|(address, holders)| is_met(plan, *address, holders))
            .map(|(address, _)| address)
            .collect(),
        broadcasts: addresses.broadcasts.into_iter().collect(),
        ..Surroundings::default()
    };
    if !machine.is_gateway {
        // Behind a host is nobody.
        return Ok(machine);
    }
    let present = netlink.interfaces().await?;
    let routes = netlink.routes().await?;
    let uplinks = plan::uplinks(plan, &present);
    Ok(Surroundings {
        is_bridge: plan::is_bridge(plan, &present),
        routes_multicast: routes_multicast(),
        routes_broadcasts: uplinks.iter().all(|name| routes_broadcasts(name)),
        far_broadcasts: plan::far_broadcasts(plan, &present, &routes),
        routes: plan::routed(plan, &present, &routes),
        ..machine
    })
}

/// Whether an address of these interfaces means this machine on judged cards. A link-local one
/// does only on its own link. (Every container of a host comes with one.)
fn is_met(plan: &Plan, address: IpAddr, holders: &BTreeSet<u32>) -> bool {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => !holders.is_disjoint(&plan.reach),
        _ => true,
    }
}

/// Compiles a policy for this machine.
///
/// # Errors
/// More services or prefixes than the tables can tell apart.
pub fn compile(
    settings: &Settings,
    policy: &SitePolicy,
    machine: &Surroundings,
    names: ServiceNames,
) -> Result<Compiled> {
    let request = Request {
        policy,
        machine,
        observe: settings.observe,
    };
    policy::compile(&request, names)
}

/// Refuses a policy that would cut the operator off.
///
/// # Errors
/// An SSH session through an interface of `reach` that would end.
pub async fn check_sessions(
    settings: &Settings,
    compiled: &Compiled,
    netlink: &Netlink,
    plan: &Plan,
    reach: &BTreeSet<u32>,
) -> Result<()> {
    if settings.observe {
        return Ok(());
    }
    let segment = plan::segment(plan, &netlink.interfaces().await?);
    let cut = lockout::sessions_cut(netlink, (reach, &segment), compiled).await?;
    if let Some((session, cause)) = cut.first() {
        if *cause == Cause::Spoofed {
            bail!(
                "this would cut the SSH session {session}: the policy has {} behind this machine, \
                 and it comes from elsewhere, which is dropped as spoofed-source; write \
                 `elsewhere = true` for such systems, let it in with `--pass-source {}` (in a policy \
                 file: `pass-sources`), or say --accept-lockout",
                session.peer.ip(),
                session.peer.ip()
            );
        }
        let flag = if settings.is_gateway() {
            "manage"
        } else {
            "allow"
        };
        bail!(
            "this would cut the SSH session {session}: let it in with \
             `--{flag} tcp/{}@{}`{}, or say --accept-lockout",
            session.local.port(),
            session.peer.ip(),
            settings.written.or_in_the_file()
        );
    }
    Ok(())
}
