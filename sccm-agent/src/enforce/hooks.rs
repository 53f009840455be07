//! Puts a compiled policy and the programs where they belong, all or nothing.

use super::settings::{Settings, XdpMode};
use crate::interface::Interface;
use crate::kernel::{Attached, Found, Maps, Mode, PinDir, Programs};
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use sccm_common::Place;

/// Publishes the policy and attaches to every port. Without a policy, the one that
/// is in the maps stays.
///
/// # Errors
/// The kernel or a driver refuses; hooks and policy are then as before.
pub fn attach_all(
    settings: &Settings,
    found: Found,
    interfaces: &[Interface],
    compiled: Option<&Compiled>,
) -> Result<(Maps, Vec<Programs>)> {
    let pins = &settings.pins;
    if found == Found::Nothing {
        // What an agent left that died before it finished.
        pins.clear()?;
        Programs::create_maps(pins, settings.flow_capacity)?;
    }
    let before = pins.slots();
    let mut maps = Maps::open(pins)?;
    let known = maps.interfaces()?;
    let mut programs = Vec::new();
    let mut slots = Vec::new();
    for (port, interface) in settings.ports.iter().zip(interfaces) {
        let slot = maps.claim_slot(&interface.name, interface.index)?;
        programs.push(Programs::load(pins, slot, port.place)?);
        slots.push(slot);
    }
    if let Some(compiled) = compiled {
        maps.publish(compiled)?;
    }
    if let Err(error) = hook_all(settings, interfaces, &slots, &mut programs) {
        if compiled.is_some() {
            maps.unpublish().context("taking the policy back")?;
        }
        for slot in slots.iter().filter(|slot| !before.contains(slot)) {
            Attached::detach(pins, *slot)?;
        }
        let is_known = |slot: &u32| known.iter().any(|(known, _)| known == slot);
        for slot in slots.into_iter().filter(|slot| !is_known(slot)) {
            maps.release_slot(slot)?;
        }
        return Err(error);
    }
    maps.finish()?;
    // Interfaces that an earlier agent enforced and this one was not asked to.
    for slot in before.iter().filter(|slot| !slots.contains(slot)) {
        Attached::detach(pins, *slot)?;
    }
    Ok((maps, programs))
}

/// Attaches to one interface again, after its card has come back.
///
/// # Errors
/// The kernel or the driver refuses.
pub fn attach_again(
    settings: &Settings,
    slot: u32,
    place: Place,
    interface: &str,
) -> Result<Programs> {
    Attached::detach(&settings.pins, slot)?;
    let mut programs = Programs::load(&settings.pins, slot, place)?;
    hook(
        settings.xdp_mode,
        &settings.pins,
        slot,
        interface,
        &mut programs,
    )?
    .pin()?;
    Ok(programs)
}

fn hook_all(
    settings: &Settings,
    interfaces: &[Interface],
    slots: &[u32],
    programs: &mut [Programs],
) -> Result<()> {
    let mut attached = Vec::new();
    for ((interface, slot), programs) in interfaces.iter().zip(slots).zip(programs) {
        attached.push(hook(
            settings.xdp_mode,
            &settings.pins,
            *slot,
            &interface.name,
            programs,
        )?);
    }
    // Until here, a failure lets go of all of them.
    for attached in attached {
        attached.pin()?;
    }
    Ok(())
}

fn hook(
    mode: XdpMode,
    pins: &PinDir,
    slot: u32,
    interface: &str,
    programs: &mut Programs,
) -> Result<Attached> {
    let mut attach = |mode| Attached::attach(programs, pins, slot, interface, mode);
    match mode {
        XdpMode::Native => attach(Mode::Native),
        XdpMode::Generic => attach(Mode::Generic),
        XdpMode::Auto => attach(Mode::Native).or_else(|error| {
            tracing::warn!("{error:#}");
            tracing::warn!("{interface} runs in generic mode, about four times slower");
            attach(Mode::Generic)
        }),
    }
}
