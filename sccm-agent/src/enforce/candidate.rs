//! The policy that would be, and everything that can speak against it.

use super::offload;
use super::plan::{self, Plan};
use super::settings::{Port, Settings, XdpMode};
use crate::interface::{Interface, Netlink};
use crate::kernel::{Attached, PinDir, describe_program};
use crate::lockout;
use crate::policy::{self, Compiled, Request, ServiceNames, SitePolicy};
use anyhow::{Result, bail, ensure};
use sccm_common::counter::Direction;
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

/// The plan for the ports, on this machine as it is now.
///
/// # Errors
/// An interface that does not exist, is down, has no members or hides VLAN tags; two
/// that mean the same frames.
pub fn plan(ports: &[Port], present: &[Interface]) -> Result<Plan> {
    for port in ports {
        let name = &port.interface;
        let (device, _) = plan::device(name, present)?;
        let device_name = &device.name;
        ensure!(
            device.up,
            "interface {device_name} is down: bring it up with `ip link set {device_name} up`"
        );
        ensure!(
            !plan::resolve(name, present)?.is_empty(),
            "{name} has no members: give it one with `ip link set dev CARD master {device_name}`"
        );
    }
    let plan = plan::of(ports, present)?;
    for card in plan.cards.iter().filter(|card| card.is_trunk()) {
        if let Some(doubt) = offload::check(card, present)? {
            tracing::warn!("{doubt}");
        }
    }
    Ok(plan)
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

/// Refuses cards on which the programs cannot be, or not so.
///
/// # Errors
/// A foreign program on one, or ours in another mode.
pub fn check_cards(settings: &Settings, plan: &Plan, present: &[Interface]) -> Result<()> {
    let is_hooked = |one: &&Interface| plan.cards.iter().any(|card| card.index == one.index);
    let cards: Vec<&Interface> = present.iter().filter(is_hooked).collect();
    let ours = our_programs(&settings.pins)?;
    refuse_foreign_programs(&ours, &cards)?;
    refuse_another_mode(settings.xdp_mode, &cards)
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
            settings.source.in_its_words()
        );
    }
    Ok(())
}

/// The interfaces over which a session may be judged, on this machine as it is now.
///
/// # Errors
/// The kernel does not answer.
pub async fn reach(settings: &Settings, netlink: &Netlink) -> Result<BTreeSet<u32>> {
    let present = netlink.interfaces().await?;
    let is_there = |port: &&Port| plan::resolve(&port.interface, &present).is_ok();
    let ports: Vec<Port> = settings.ports.iter().filter(is_there).cloned().collect();
    let mut reach = plan::of(&ports, &present)?.reach;
    // A card may have got another name since the agent began.
    let ours = our_programs(&settings.pins)?;
    let is_ours = |card: &&Interface| card.xdp.is_some_and(|xdp| ours.contains(&xdp.id));
    reach.extend(present.iter().filter(is_ours).map(|card| card.index));
    Ok(reach)
}

/// A hook that is taken over keeps its mode: there is no changing it without a
/// moment without any.
fn refuse_another_mode(asked: XdpMode, interfaces: &[&Interface]) -> Result<()> {
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

fn refuse_foreign_programs(ours: &[u32], interfaces: &[&Interface]) -> Result<()> {
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
