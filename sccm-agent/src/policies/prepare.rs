//! From a policy as it was written to one that can be published, and what speaks against that.

use super::Settings;
use crate::interface::Netlink;
use crate::lockout;
use crate::policy::{self, Compiled, Request, ServiceNames, SitePolicy};
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
    policy::check_roles(policy)
}

/// The addresses that a policy tells from those of the protected systems, sorted.
///
/// # Errors
/// The kernel does not answer.
pub async fn own_addresses(settings: &Settings, netlink: &Netlink) -> Result<Vec<IpAddr>> {
    match settings.is_gateway() {
        true => netlink.own_addresses().await,
        // Whatever reaches a host's card is for the host.
        false => Ok(Vec::new()),
    }
}

/// Compiles a policy for this machine with these addresses of its own.
///
/// # Errors
/// More services or prefixes than the tables can tell apart.
pub fn compile(
    settings: &Settings,
    policy: &SitePolicy,
    own: &[IpAddr],
    names: ServiceNames,
) -> Result<Compiled> {
    let request = Request {
        policy,
        own,
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
    reach: &BTreeSet<u32>,
) -> Result<()> {
    if settings.observe {
        return Ok(());
    }
    let cut = lockout::sessions_cut(netlink, reach, compiled).await?;
    if let Some(session) = cut.first() {
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
