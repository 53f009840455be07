//! Follows the machine: cards that come back, new names, new addresses.
//!
//! A card that is deleted takes its programs with it, and one of the same name
//! starts unfiltered. So every change that netlink reports makes the agent look
//! whether each port still has its programs, attach again where not, and count
//! the time in between.

use super::hooks;
use super::policies::Policies;
use super::settings::{Port, Settings};
use crate::interface::{Changes, Interface};
use crate::kernel::Attached;
use crate::metrics::Source;
use crate::state::lock;
use anyhow::{Context as _, Result};
use sccm_common::counter::Direction;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a card that could not be attached to again is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A port, and since when it has been without its programs.
struct Watched {
    port: Port,
    slot: u32,
    lost: Option<Instant>,
}

/// Follows changes until the kernel stops reporting them.
///
/// # Errors
/// The kernel reports no changes, or its maps cannot be read.
pub async fn follow(
    settings: Settings,
    source: Arc<Source>,
    policies: Arc<Policies>,
) -> Result<()> {
    let mut changes = Changes::subscribe()?;
    let mut ports = Vec::new();
    for (slot, name) in lock(&source.maps).interfaces()? {
        if let Some(port) = settings.ports.iter().find(|port| port.interface == name) {
            ports.push(Watched {
                port: port.clone(),
                slot,
                lost: None,
            });
        }
    }
    loop {
        let waiting = ports.iter().any(|watched| watched.lost.is_some());
        let change = timeout(if waiting { RETRY } else { Duration::MAX }, changes.next());
        if let Ok(change) = change.await {
            change.context("the kernel stopped reporting changes")?;
        }
        let present = source.netlink.interfaces().await?;
        for watched in &mut ports {
            if let Err(error) = look_after(&settings, &source, watched, &present) {
                tracing::error!("{}: {error:#}", watched.port.interface);
            }
        }
        if let Err(error) = policies.follow_addresses().await {
            tracing::error!("following this gateway's addresses: {error:#}");
        }
    }
}

/// Attaches again where the programs are gone, and follows a new name.
fn look_after(
    settings: &Settings,
    source: &Source,
    watched: &mut Watched,
    present: &[Interface],
) -> Result<()> {
    let ours = Attached::program_id(&settings.pins, watched.slot, Direction::Inbound)?;
    let holder = present
        .iter()
        .find(|card| ours.is_some() && card.xdp.map(|xdp| xdp.id) == ours);
    if let Some(card) = holder {
        if card.name != watched.port.interface {
            tracing::info!("{} is called {} now", watched.port.interface, card.name);
            watched.port.interface.clone_from(&card.name);
            lock(&source.maps).rename(watched.slot, &card.name, card.index)?;
        }
        return Ok(());
    }
    let name = &watched.port.interface;
    if watched.lost.is_none() {
        tracing::warn!("{name} has lost its programs; waiting for its card");
    }
    let since = *watched.lost.get_or_insert_with(Instant::now);
    let Some(card) = present.iter().find(|card| card.name == *name) else {
        return Ok(());
    };
    if card.xdp.is_some() {
        tracing::error!("{name} came back with somebody else's XDP program: not enforced");
        return Ok(());
    }
    let mut programs = hooks::attach_again(settings, watched.slot, watched.port.place, name)?;
    programs.forward_log()?;
    lock(&source.maps).rename(watched.slot, name, card.index)?;
    source.gaps.add(name, since.elapsed());
    watched.lost = None;
    tracing::warn!(
        "{name} came back and is enforced again after {:?}",
        since.elapsed()
    );
    Ok(())
}
