//! The policy that would be, and everything that can speak against it.

use super::settings::{Port, Settings, XdpMode};
use crate::catalog::Catalog;
use crate::interface::{Interface, Netlink};
use crate::kernel::{Attached, PinDir, describe_program};
use crate::lockout;
use crate::policy::{self, Compiled, Outbound, Request, ServiceNames, SitePolicy};
use anyhow::{Result, bail, ensure};
use sccm_common::counter::Direction;
use std::net::IpAddr;

/// Services whose answers come from ports that only tracking knows.
const TRACKED: [&str; 2] = ["tftp", "pptp"];

/// Checks a policy against the document, and against where the agent stands.
///
/// # Errors
/// An unknown role, an outbound mode with which a role cannot work, or rules for
/// a gateway on a host.
pub fn check_policy(settings: &Settings, policy: &SitePolicy) -> Result<()> {
    ensure!(
        policy.management.is_empty() || settings.is_gateway(),
        "--manage is for the gateway itself; on a host, --allow says it all"
    );
    let catalog = Catalog::edition_2007()?;
    for id in policy.roles() {
        let role = catalog.role(id.as_str())?;
        let mut services = catalog.links_into(role, &policy.site);
        let tracked = services.find(|(_, _, row)| TRACKED.contains(&row.service.as_str()));
        if let Some((link, _, row)) = tracked {
            ensure!(
                policy.outbound != Outbound::Off,
                "role {} offers {} (link {}), which needs outbound track or enforce",
                role.id,
                row.service,
                link.id
            );
        }
    }
    Ok(())
}

/// The interfaces of the ports, in their order.
///
/// # Errors
/// One that does not exist, is down, or is a member of another that is given.
pub async fn interfaces(netlink: &Netlink, ports: &[Port]) -> Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for port in ports {
        let name = &port.interface;
        let interface = netlink.interface(name).await?;
        ensure!(
            interface.up,
            "interface {name} is down: bring it up with `ip link set {name} up`"
        );
        interfaces.push(interface);
    }
    for member in &interfaces {
        let controller = interfaces
            .iter()
            .find(|other| member.controller == Some(other.index));
        if let Some(controller) = controller {
            bail!(
                "{} is a member of {}, which is given too: give only one of them",
                member.name,
                controller.name
            );
        }
    }
    Ok(interfaces)
}

/// The addresses that a policy tells from those of the protected systems.
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
    let catalog = Catalog::edition_2007()?;
    let request = Request {
        catalog: &catalog,
        policy,
        own,
        observe: settings.observe,
    };
    policy::compile(&request, names)
}

/// Refuses interfaces on which the programs cannot be, or not so.
///
/// # Errors
/// A foreign program on an interface, or ours in another mode.
pub fn check_interfaces(settings: &Settings, interfaces: &[Interface]) -> Result<()> {
    let ours = our_programs(&settings.pins)?;
    refuse_foreign_programs(&ours, interfaces)?;
    refuse_another_mode(settings.xdp_mode, interfaces)
}

/// Refuses a policy that would cut the operator off.
///
/// # Errors
/// An SSH session through one of the interfaces that would end.
pub async fn check_sessions(
    settings: &Settings,
    compiled: &Compiled,
    netlink: &Netlink,
    interfaces: &[Interface],
) -> Result<()> {
    if settings.observe {
        return Ok(());
    }
    let cut = lockout::sessions_cut(netlink, interfaces, compiled).await?;
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
            settings.source.in_its_words()
        );
    }
    Ok(())
}

/// The interfaces that our programs are on now.
///
/// # Errors
/// The kernel does not answer.
pub async fn enforced_interfaces(pins: &PinDir, netlink: &Netlink) -> Result<Vec<Interface>> {
    let ours = our_programs(pins)?;
    let mut interfaces = netlink.interfaces().await?;
    interfaces.retain(|card| card.xdp.is_some_and(|program| ours.contains(&program.id)));
    Ok(interfaces)
}

/// A hook that is taken over keeps its mode: there is no changing it without a
/// moment without any.
fn refuse_another_mode(asked: XdpMode, interfaces: &[Interface]) -> Result<()> {
    for interface in interfaces {
        let Some(program) = interface.xdp else {
            continue;
        };
        let mode = match (asked, program.generic) {
            (XdpMode::Native, true) => "generic",
            (XdpMode::Generic, false) => "native",
            _ => continue,
        };
        bail!(
            "{} is enforced in {mode} mode: say --xdp-mode {mode}, or run `sccm-agent detach` first",
            interface.name
        );
    }
    Ok(())
}

fn our_programs(pins: &PinDir) -> Result<Vec<u32>> {
    let mut ours = Vec::new();
    for slot in pins.slots() {
        ours.extend(Attached::program_id(pins, slot, Direction::Inbound)?);
    }
    Ok(ours)
}

fn refuse_foreign_programs(ours: &[u32], interfaces: &[Interface]) -> Result<()> {
    for interface in interfaces {
        if let Some(program) = interface.xdp.filter(|program| !ours.contains(&program.id)) {
            bail!(
                "{} already has an XDP {}: sccm-agent replaces nothing that is not its own; \
                 stop its owner, or remove it with `ip link set {} xdp off`",
                interface.name,
                describe_program(program.id),
                interface.name
            );
        }
    }
    Ok(())
}
