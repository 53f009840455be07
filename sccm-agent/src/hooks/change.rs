//! Other hooks for cards that are enforced, because another policy asks for them.
//!
//! The new programs hang beside the old ones before the policy is published, so that a driver which
//! refuses changes nothing. Then the old ones go: no packet passes unjudged.

use super::attachments::Attachments;
use super::{How, choose, fit, hook, ingress_of, is_first, load};
use crate::heap;
use crate::interface::Interface;
use crate::kernel::{self, Loader, Maps, Programs, TcOrder};
use crate::plan::{Card, Plan};
use crate::policy::Hooks;
use anyhow::{Context as _, Result};

/// New hooks beside those that make way. Dropped, the new ones go again.
#[must_use]
pub struct Change {
    how: How,
    cards: Vec<Moved>,
}

struct Moved {
    slot: u32,
    name: String,
    attached: kernel::Attached,
    programs: Programs,
}

/// The names in the policy's `[hooks]` that no card of the plan has.
#[must_use]
pub fn unmatched(hooks: &Hooks, plan: &Plan) -> Vec<String> {
    let is_card = |name: &String| plan.cards.iter().any(|card| card.name == *name);
    let unmatched = hooks.keys().filter(|name| !is_card(name));
    unmatched.cloned().collect()
}

/// Says which of them there are: a card of that name may come later, and a bridge is none.
pub fn tell_unmatched(hooks: &Hooks, plan: &Plan) {
    let unmatched = unmatched(hooks, plan);
    if !unmatched.is_empty() {
        let cards: Vec<&str> = plan.cards.iter().map(|card| card.name.as_str()).collect();
        tracing::warn!(
            "[hooks] of the policy names {}, and no card that is enforced is called so; the cards are {}",
            unmatched.join(", "),
            cards.join(", ")
        );
    }
}

impl Attachments {
    /// Attaches what these hooks ask, beside what is there. Cards without programs get theirs when
    /// they are looked after.
    ///
    /// # Errors
    /// A card cannot have the hook, or the kernel or a driver refuses; everything is as before.
    pub fn begin(
        &self,
        hooks: &Hooks,
        maps: &Maps,
        (plan, present): (&Plan, &[Interface]),
    ) -> Result<Change> {
        let how = self.how.with(hooks);
        if *hooks == self.how.by_card {
            let cards = Vec::new();
            return Ok(Change { how, cards });
        }
        let mut cards = Vec::new();
        tell_unmatched(hooks, plan);
        for (slot, name) in self.asked_otherwise(&how, maps)? {
            let Some(one) = present.iter().find(|one| one.name == name) else {
                continue;
            };
            let card = plan.cards.iter().find(|card| card.index == one.index);
            if let Some(card) = card.filter(|_| !self.late.contains(&slot))
                && ingress_of(&self.pins, slot, one)?.is_some()
            {
                let name = one.name.clone();
                cards.push((
                    slot,
                    Card {
                        name,
                        ..card.clone()
                    },
                ));
            }
        }
        fit::check(
            &self.pins,
            &how,
            cards.iter().map(|(_, card)| card),
            present,
        )?;
        let mut loader = Loader::new(&self.pins);
        let mut loaded = Vec::new();
        for (slot, card) in &cards {
            let chosen = choose(&how, card);
            let programs = load(&mut loader, *slot, card, &chosen)?;
            loaded.push((*slot, card, chosen, programs));
        }
        let mut moved = Vec::new();
        for (slot, card, chosen, mut programs) in loaded {
            let name = &card.name;
            let attached = hook(&how, &self.pins, slot, (name, &chosen), &mut programs)
                .with_context(|| format!("{name} keeps its hook, and the policy stays"))?;
            if how.tc_order == TcOrder::First {
                is_first(&attached, name)?;
            }
            moved.push(Moved {
                slot,
                name: name.clone(),
                attached,
                programs,
            });
        }
        Ok(Change { how, cards: moved })
    }

    /// Lets go of the hooks that make way. A card at which that fails keeps what it had, and gets
    /// its hook when it is looked after.
    pub fn finish(&mut self, change: Change) {
        if !change.cards.is_empty() {
            self.changes += 1;
        }
        self.how = change.how;
        for moved in change.cards {
            let Moved {
                slot,
                name,
                attached,
                mut programs,
            } = moved;
            let held = attached.pin(&mut programs).and_then(|()| programs.hold());
            match held {
                Ok(held) => {
                    self.programs.insert(slot, held);
                }
                Err(error) => {
                    tracing::error!("{name} does not have its hook yet: {error:#}");
                    self.late.insert(slot);
                }
            }
        }
        heap::give_back();
    }

    /// Asks for these hooks from now on: cards get them when they are looked after.
    ///
    /// # Errors
    /// The kernel does not tell which cards there are.
    pub fn ask_later(&mut self, hooks: &Hooks, maps: &Maps) -> Result<()> {
        let how = self.how.with(hooks);
        let slots = self.asked_otherwise(&how, maps)?;
        self.late.extend(slots.into_iter().map(|(slot, _)| slot));
        self.how = how;
        Ok(())
    }

    /// The cards of which `how` asks something else than what was asked until now, by their slots.
    fn asked_otherwise(&self, how: &How, maps: &Maps) -> Result<Vec<(u32, String)>> {
        let cards = maps.interfaces()?.into_iter();
        let cards =
            cards.filter(|one| one.slot == one.hook && how.of(&one.name) != self.how.of(&one.name));
        Ok(cards.map(|one| (one.slot, one.name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::HookChoice;

    #[test]
    fn a_bridge_and_a_card_that_is_not_there_are_no_cards() {
        let card = |name: &str| Card {
            name: name.to_owned(),
            index: 1,
            lanes: Vec::new(),
            given: true,
            ethernet: true,
        };
        let plan = Plan {
            cards: vec![card("eth0"), card("eth1")],
            ..Plan::default()
        };
        let hooks = ["br0", "eth0", "eth7"].map(|name| (name.to_owned(), HookChoice::Tc));
        assert_eq!(unmatched(&Hooks::from(hooks), &plan), ["br0", "eth7"]);
        assert!(unmatched(&Hooks::new(), &plan).is_empty());
    }
}
