//! Follows the machine: cards that come back, new names, members, new addresses.
//!
//! A card that is deleted takes its programs with it, one of the same name starts
//! unfiltered, and anybody with the privilege can take a program off a card in silence.
//! So whenever netlink reports a change, and every few seconds besides, the agent makes
//! its plan anew, and compares it with what really hangs on the cards.

mod renamed;

use crate::hooks::{self, Attachments, SharedAttachments, offload, slots};
use crate::interface::{self, Changes, Interface, Translation};
use crate::kernel::{Attached, Ingress, PinDir};
use crate::plan::{self, Card, NamedInterface, Plan};
use crate::policies::Policies;
use crate::policy;
use crate::record::{Gaps, Part, Record};
use crate::state::{self, Machine};
use crate::units;
use anyhow::{Error, Result, bail};
use renamed::InterfaceNames;
use sccm_common::abi::AWAITED;
use sccm_common::counter::Direction;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long hooks that nobody reports on are left unlooked at.
const LOOK: Duration = Duration::from_secs(5);

/// The least time between two looks, and how many times as long as a look it is: the machine may have
/// thousands of cards, and change them all the time.
const LEAST: Duration = Duration::from_millis(20);
const REST: u32 = 4;

/// How long a card that could not be attached to is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A card that has its programs, or should have.
struct Watched {
    card: Card,
    slot: u32,
    /// When it was last seen with all its programs.
    whole: Instant,
    /// What was said about it last, so that it is not said again at every look.
    trouble: Option<String>,
    /// The TC programs that run before ours.
    before: Vec<String>,
    /// Its programs are of another shape than the plan asks.
    outdated: bool,
    /// Why it does not have the hook yet that is asked.
    refused: Option<String>,
}

/// What the watcher is told when the agent starts.
pub struct Settings {
    pub pins: PinDir,
    /// Its cards' programs.
    pub attachments: Arc<SharedAttachments>,
    /// By the names that they have now.
    pub interfaces: Vec<NamedInterface>,
}

/// What is enforced, and what is known of the machine.
pub struct Watcher {
    settings: Settings,
    machine: Arc<Machine>,
    record: Arc<Record>,
    policies: Arc<Policies>,
    names: InterfaceNames,
    plan: Plan,
    cards: Vec<Watched>,
    /// The cards that had their programs when this was last looked at, by their numbers.
    attached: BTreeSet<u32>,
    trouble: Option<String>,
    /// The interfaces by which the machine forwards, and that are not enforced.
    not_enforced: Vec<String>,
    translation: Translation,
    /// What does not fit together in the machine's translation and the policy.
    misfit: Option<String>,
    /// With which policy the translation was compared last, by [`Policies::changes`].
    compared: Option<u64>,
}

impl Watcher {
    /// A watcher of what has just been attached: the cards of the plan, at these slots.
    #[must_use]
    pub fn new(
        settings: Settings,
        (machine, record, policies): (Arc<Machine>, Arc<Record>, Arc<Policies>),
        (plan, slots): (Plan, Vec<u32>),
        present: &[Interface],
    ) -> Self {
        let cards = plan.cards.iter().zip(slots);
        let cards = cards.map(|(card, slot)| Watched::new(card, slot)).collect();
        Self {
            settings,
            machine,
            record,
            policies,
            names: InterfaceNames::of(present),
            attached: plan.cards.iter().map(|card| card.index).collect(),
            cards,
            plan,
            trouble: None,
            not_enforced: Vec::new(),
            translation: Translation::default(),
            misfit: None,
            compared: None,
        }
    }

    /// Follows changes until the process ends. The first look is at once: the machine may have
    /// changed since the plan was made. A look that fails changes nothing, and is taken again.
    pub async fn follow(mut self, mut changes: Changes) -> Infallible {
        loop {
            let begun = Instant::now();
            let looked = self.look().await;
            if let Err(error) = &looked {
                self.failed(error);
            }
            let is_lost = |watched: &Watched| watched.trouble.is_some();
            let waiting = looked.is_err() || self.cards.iter().any(is_lost);
            let pause = if waiting { RETRY } else { LOOK };
            let rest = sleep((REST * begun.elapsed()).clamp(LEAST, RETRY));
            if let Ok(Err(error)) = timeout(pause, changes.next()).await {
                self.failed(&error);
                sleep(RETRY).await;
            }
            rest.await;
            changes.drain();
        }
    }

    fn failed(&self, error: &Error) {
        self.record.errors.count(Part::Watcher);
        tracing::error!("reading the machine's interfaces: {error:#}");
    }

    async fn look(&mut self) -> Result<()> {
        let attachments = Arc::clone(&self.settings.attachments);
        loop {
            let changes = attachments.lock().changes();
            let present = self.machine.netlink.interfaces().await?;
            self.look_at_machine(&present).await?;
            let mut attachments = attachments.lock();
            // Of hooks that were exchanged meanwhile, `present` does not know.
            if attachments.changes() == changes {
                self.look_at_cards(&mut attachments, &present)?;
                drop(attachments);
                self.look_who_else_forwards(&present)?;
                break;
            }
        }
        // The machine's own addresses are part of its policy, and so is who is behind it.
        self.policies.follow_machine(&self.plan).await
    }

    async fn look_at_machine(&mut self, present: &[Interface]) -> Result<()> {
        self.follow_names(present)?;
        // What was known before holds, and cards are looked after all the same.
        if let Err(error) = self.follow_translation().await {
            tracing::error!("reading this machine's NAT rules: {error:#}");
        }
        Ok(())
    }

    fn look_at_cards(
        &mut self,
        attachments: &mut Attachments,
        present: &[Interface],
    ) -> Result<()> {
        let trouble = match self.follow_plan(attachments, present) {
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(trouble) = trouble.as_ref().filter(|_| self.trouble != trouble) {
            tracing::error!("{trouble}: enforcement stays as it was");
        }
        self.trouble = trouble;
        for watched in &mut self.cards {
            let (pins, gaps) = (&self.settings.pins, &self.record.gaps);
            if watched.look_after(attachments, (pins, gaps), present) {
                let mut maps = self.machine.maps.lock();
                slots::attached(&mut maps, &watched.card, watched.slot)?;
            }
        }
        let attached = self.cards.iter().filter(|one| one.trouble.is_none());
        let attached = attached.map(|one| one.card.index).collect();
        if self.attached != attached {
            let mut maps = self.machine.maps.lock();
            slots::list_entrances(&mut maps, &self.plan, &attached)?;
            drop(maps);
            self.attached = attached;
        }
        Ok(())
    }

    /// Says once by which interfaces the machine forwards without judging what comes in.
    fn look_who_else_forwards(&mut self, present: &[Interface]) -> Result<()> {
        let names = state::not_enforced(&self.machine.maps.lock(), present)?;
        if self.not_enforced != names && !names.is_empty() {
            tracing::warn!(
                "this machine also forwards what comes in at {}, which is not enforced: it is judged \
                 only where it leaves into the segment; name it with --uplink or --segment",
                names.join(", ")
            );
        }
        self.not_enforced = names;
        Ok(())
    }

    /// Rules of netfilter come and go without a word from the kernel to us.
    async fn follow_translation(&mut self) -> Result<()> {
        if !plan::is_gateway(&self.settings.interfaces) {
            return Ok(());
        }
        let translation = interface::translation()?;
        let changes = self.policies.changes();
        if self.compared == Some(changes) && translation == self.translation {
            return Ok(());
        }
        if translation.is_any() != self.translation.is_any() {
            let now = match translation.is_any() {
                true => "translates addresses (NAT): answers to translated connections pass, too",
                false => "no longer translates addresses (NAT)",
            };
            tracing::info!("this machine {now}");
        }
        self.translation = translation;
        let (policy, _) = self.policies.running().await?;
        let destinations = &self.translation.destinations;
        let misfit = policy.and_then(|policy| policy::misfit(&policy, destinations));
        if let Some(misfit) = misfit.as_ref().filter(|_| self.misfit != misfit) {
            tracing::warn!("{misfit}");
        }
        self.misfit = misfit;
        self.compared = Some(changes);
        Ok(())
    }

    /// A card that has another name keeps its hooks and its slot.
    fn follow_names(&mut self, present: &[Interface]) -> Result<()> {
        let renames = self.names.changed(present);
        if !renames.is_empty() {
            let mut maps = self.machine.maps.lock();
            let mut known = maps.interfaces()?;
            let names = known.iter_mut().map(|one| &mut one.name);
            let changed = renames.follow(&mut names.collect::<Vec<_>>(), present);
            for (known, _) in known.iter().zip(changed).filter(|(_, changed)| *changed) {
                tracing::info!(
                    "an interface was renamed: it is counted as {} now",
                    known.name
                );
                let index = if known.awaited { AWAITED } else { 0 };
                maps.write_interface(known.slot, &known.name, index, known.hook)?;
            }
            drop(maps);
            let named = self.settings.interfaces.iter_mut().map(|one| &mut one.name);
            renames.follow(&mut named.collect::<Vec<_>>(), present);
            let cards = self.cards.iter_mut().map(|one| &mut one.card.name);
            renames.follow(&mut cards.collect::<Vec<_>>(), present);
        }
        self.names = InterfaceNames::of(present);
        Ok(())
    }

    /// Hooks that are to be, let go of those that are not, and VLANs as they are now.
    fn follow_plan(&mut self, attachments: &mut Attachments, present: &[Interface]) -> Result<()> {
        let named = plan::those_that_exist(&self.settings.interfaces, present);
        let mut plan = plan::of(&named, present)?;
        plan.translates = self.translation.is_any();
        // A card that was named is waited for, with all that it was.
        let is_awaited = |watched: &&Watched| {
            let card = &watched.card;
            let has = |other: &Card| other.name == card.name;
            card.given
                && !plan.cards.iter().any(has)
                && !present.iter().any(|one| one.name == card.name)
        };
        let awaited = self.cards.iter().filter(is_awaited);
        let awaited: Vec<Card> = awaited.map(|watched| watched.card.clone()).collect();
        plan.cards.extend(awaited);
        let has_lane = |name: &String| {
            let mut lanes = plan.cards.iter().flat_map(|card| &card.lanes);
            lanes.any(|lane| lane.name == *name)
        };
        let mut missing = plan::missing(&self.settings.interfaces, present);
        missing.retain(|name| !has_lane(name));
        plan.awaited = missing;
        if plan == self.plan {
            return Ok(());
        }
        let mut maps = self.machine.maps.lock();
        let slots = slots::assign(&mut maps, &self.settings.pins, &plan)?;
        drop(maps);
        for (card, slot) in plan.cards.iter().zip(&slots) {
            match self.cards.iter_mut().find(|known| known.slot == *slot) {
                Some(watched) => watched.becomes(card),
                None => {
                    tracing::info!("{} is new: enforcing it, too", card.name);
                    self.cards.push(Watched::new(card, *slot));
                }
            }
        }
        self.plan = plan;
        for gone in self
            .cards
            .extract_if(.., |known| !slots.contains(&known.slot))
        {
            tracing::info!("{} left: not enforcing it any more", gone.card.name);
            Attached::detach(&self.settings.pins, gone.slot)?;
            attachments.forget(gone.slot);
        }
        Ok(())
    }
}

impl Watched {
    fn new(card: &Card, slot: u32) -> Self {
        Self {
            card: card.clone(),
            slot,
            whole: Instant::now(),
            trouble: None,
            before: Vec::new(),
            outdated: false,
            refused: None,
        }
    }

    fn becomes(&mut self, card: &Card) {
        let shape = |card: &Card| match card.is_trunk() {
            true => None,
            false => card.lanes.first().map(|lane| lane.place),
        };
        self.outdated |= shape(card) != shape(&self.card);
        self.card = card.clone();
    }

    /// Attaches where something is missing, counts for how long it was, and says whether it was.
    fn look_after(
        &mut self,
        attachments: &mut Attachments,
        (pins, gaps): (&PinDir, &Gaps),
        present: &[Interface],
    ) -> bool {
        let before = self.trouble.take();
        let name = self.card.name.clone();
        let mended = self.mend(attachments, pins, present);
        let was_missing = matches!(mended, Ok(true));
        match mended {
            Ok(mended) => {
                if mended {
                    let gap = self.whole.elapsed();
                    gaps.add(&name, gap);
                    let gap = units::brief(gap);
                    tracing::warn!("{name} is enforced again, after at most {gap} without");
                }
                self.whole = Instant::now();
                if let Err(error) = self.look_who_is_first(pins) {
                    tracing::error!("reading the order of the TC programs of {name}: {error:#}");
                }
            }
            Err(error) => {
                let trouble = format!("{error:#}");
                if before.as_ref() != Some(&trouble) {
                    tracing::error!("{name} is not enforced: {trouble}");
                }
                self.trouble = Some(trouble);
            }
        }
        was_missing
    }

    /// Says once who has come to stand before our TC programs. To go before them in turn would
    /// have two agents chase each other for ever.
    fn look_who_is_first(&mut self, pins: &PinDir) -> Result<()> {
        let (name, before) = (&self.card.name, mem::take(&mut self.before));
        self.before = Attached::before_pinned(pins, self.slot, self.card.index)?;
        if self.before == before {
            return Ok(());
        }
        if self.before.is_empty() {
            tracing::info!("the agent's TC programs run first on {name} again");
        } else {
            tracing::warn!(
                "{} runs before the agent's TC program on {name}: packets that it lets through are \
                 not judged, and may get no answers; stop its owner, or restart the agent",
                self.before.join(", ")
            );
        }
        Ok(())
    }

    /// Whether anything was missing and is there now.
    fn mend(
        &mut self,
        attachments: &mut Attachments,
        pins: &PinDir,
        present: &[Interface],
    ) -> Result<bool> {
        let same = present.iter().find(|one| one.index == self.card.index);
        let anew = || present.iter().find(|one| one.name == self.card.name);
        let Some(interface) = same.or_else(anew) else {
            bail!("waiting for it to come back");
        };
        let card = Card {
            name: interface.name.clone(),
            index: interface.index,
            ..self.card.clone()
        };
        let ingress = hooks::ingress_of(pins, self.slot, interface)?;
        let at_tc = match ingress {
            Some(ingress) => ingress == Ingress::Tc,
            None => hooks::choose(attachments.how(), &card).ingress == Ingress::Tc,
        };
        if self.card.is_trunk() && !at_tc {
            offload::check(&self.card, present)?;
        }
        let arrives = ingress.is_some();
        if interface.xdp.is_some() && !arrives && !at_tc {
            bail!("somebody else's XDP program is on it");
        }
        let leaves = Attached::hangs_on(pins, self.slot, Direction::Outbound, interface.index)?;
        if arrives && leaves && !self.outdated {
            self.change_hook(attachments, &card);
            return Ok(false);
        }
        attachments.attach(self.slot, &card)?;
        let was_only_outdated = arrives && leaves;
        self.outdated = false;
        Ok(!was_only_outdated)
    }

    /// Gives the card the hook that is asked, if it does not have it yet. It is enforced meanwhile.
    fn change_hook(&mut self, attachments: &mut Attachments, card: &Card) {
        if !attachments.is_late(self.slot) {
            self.refused = None;
            return;
        }
        let refused = match attachments.attach(self.slot, card) {
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(refused) = refused.as_ref().filter(|_| self.refused != refused) {
            tracing::error!("{} keeps the hook that it has: {refused}", card.name);
        }
        self.refused = refused;
    }
}
