//! The policy that would be, and everything that can speak against it.

use super::settings::{Port, Settings, XdpMode};
use crate::catalog::Catalog;
use crate::interface::{Interface, Netlink};
use crate::kernel::{Attached, PinDir, describe_program};
use crate::lockout;
pub use crate::policy::check_roles;
use crate::policy::{self, Compiled, Request, ServiceNames};
use anyhow::{Result, bail, ensure};
use sccm_common::counter::Direction;

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

/// Compiles the policy for this machine as it is now.
///
/// # Errors
/// More services or prefixes than the tables can tell apart.
pub async fn compile(
    settings: &Settings,
    names: ServiceNames,
    netlink: &Netlink,
) -> Result<Compiled> {
    let catalog = Catalog::edition_2007()?;
    let own = match settings.is_gateway() {
        true => netlink.own_addresses().await?,
        // Whatever reaches a host's card is for the host.
        false => Vec::new(),
    };
    let request = Request {
        catalog: &catalog,
        policy: &settings.policy,
        own: &own,
        observe: settings.observe,
    };
    policy::compile(&request, names)
}

/// Refuses a policy that cannot go where it should, or would cut the operator off.
///
/// # Errors
/// A foreign program on an interface, or an SSH session that would end.
pub async fn check(
    settings: &Settings,
    compiled: &Compiled,
    netlink: &Netlink,
    interfaces: &[Interface],
) -> Result<()> {
    refuse_foreign_programs(&settings.pins, interfaces)?;
    refuse_another_mode(settings.xdp_mode, interfaces)?;
    if settings.observe || settings.accept_lockout {
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
             `--{flag} tcp/{}@{}`, or say --accept-lockout",
            session.local.port(),
            session.peer.ip()
        );
    }
    Ok(())
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

fn refuse_foreign_programs(pins: &PinDir, interfaces: &[Interface]) -> Result<()> {
    let mut ours = Vec::new();
    for slot in pins.slots() {
        ours.extend(Attached::program_id(pins, slot, Direction::Inbound)?);
    }
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
