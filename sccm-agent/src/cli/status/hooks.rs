//! Where each card is judged, and why there.

use crate::hooks::{self, Chosen};
use crate::interface::Interface;
use crate::kernel::{Ingress, Maps, PinDir};
use crate::policy::{HookChoice, Hooks};
use anyhow::Result;
use serde::Serialize;

/// Where a card is judged.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct CardHook {
    /// The card.
    pub interface: String,
    /// `xdp`, `tc` or `xdp-generic`.
    pub hook: &'static str,
    /// What the policy's file asks; null: it does not name the card, and the flag `--hook` decides.
    pub policy: Option<HookChoice>,
    /// What `auto` would choose now: `xdp` or `tc`.
    pub auto: &'static str,
    /// Why it would.
    pub auto_because: String,
}

/// Reads where the cards are judged.
///
/// # Errors
/// Pins or maps that cannot be read.
pub(super) fn read(pins: &PinDir, maps: &Maps, present: &[Interface]) -> Result<Vec<CardHook>> {
    let known = maps.interfaces()?;
    let mut all = Vec::new();
    for one in known.iter().filter(|one| one.slot == one.hook) {
        let Some(card) = present.iter().find(|card| card.name == one.name) else {
            continue;
        };
        if let Some(ingress) = hooks::ingress_of(pins, one.hook, card)? {
            let is_trunk = known
                .iter()
                .any(|vlan| vlan.hook == one.slot && vlan.slot != one.slot);
            all.push(CardHook::new(
                &one.name,
                ingress,
                hooks::suits(card, is_trunk),
            ));
        }
    }
    Ok(all)
}

impl CardHook {
    fn new(name: &str, ingress: Ingress, auto: Chosen) -> Self {
        Self {
            interface: name.to_owned(),
            hook: ingress.flag(),
            policy: None,
            auto: auto.ingress.flag(),
            auto_because: auto.why.to_string(),
        }
    }

    fn why(&self) -> String {
        match self.policy {
            Some(hook) if hook.label() == self.hook => "[hooks] of the policy says so".to_owned(),
            _ if self.auto == self.hook => self.auto_because.clone(),
            _ => format!("auto would choose {}: {}", self.auto, self.auto_because),
        }
    }
}

/// Adds what the policy's file asks. Returns the names that no card has.
pub(super) fn add_policy(cards: &mut [CardHook], asked: &Hooks) -> Vec<String> {
    for card in cards.iter_mut() {
        card.policy = asked.get(&card.interface).copied();
    }
    let is_card = |name: &&String| cards.iter().any(|card| card.interface == **name);
    asked
        .keys()
        .filter(|name| !is_card(name))
        .cloned()
        .collect()
}

/// A line for each card, and one for names that no card has.
pub(super) fn text(cards: &[CardHook], awaited: &[String]) -> String {
    let line = |card: &CardHook| {
        format!(
            "Hook:   {} at {} ({})\n",
            card.interface,
            card.hook,
            card.why()
        )
    };
    let mut text: String = cards.iter().map(line).collect();
    if !awaited.is_empty() {
        text += &format!(
            "Hook:   no card is called {}, which the policy names\n",
            awaited.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Why;

    #[test]
    fn each_card_says_where_it_is_judged_and_why() {
        let auto = || Chosen {
            ingress: Ingress::Tc,
            why: Why::Found("veth: a reason".to_owned()),
        };
        let card = |name, ingress| CardHook::new(name, ingress, auto());
        let mut cards = [
            card("eth0", Ingress::Tc),
            card("eth1", Ingress::Native),
            card("eth2", Ingress::Generic),
            card("eth3", Ingress::Tc),
        ];
        let asked = [
            ("eth1", HookChoice::Xdp),
            ("eth3", HookChoice::Auto),
            ("eth9", HookChoice::Tc),
        ];
        let asked = Hooks::from(asked.map(|(name, hook)| (name.to_owned(), hook)));
        let awaited = add_policy(&mut cards, &asked);
        assert_eq!(
            text(&cards, &awaited),
            "Hook:   eth0 at tc (veth: a reason)\n\
             Hook:   eth1 at xdp ([hooks] of the policy says so)\n\
             Hook:   eth2 at xdp-generic (auto would choose tc: veth: a reason)\n\
             Hook:   eth3 at tc (veth: a reason)\n\
             Hook:   no card is called eth9, which the policy names\n"
        );
    }
}
