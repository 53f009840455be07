//! Each card, and the interfaces that were named.

use super::{Finding, Wish, live};
use crate::agent::cards;
use crate::hooks::{self, Chosen, How, ONE_BUFFER, Why, choose, fit, offload};
use crate::interface::{self, BondMode, Interface, Kind, XdpFeatures};
use crate::kernel::{CardFacts, Ingress, PinDir, describe_program, tc_programs};
use crate::plan::{self, Card, Lane, NamedInterface, Plan};
use sccm_common::{Hook, Place};
use std::collections::BTreeMap;
use std::fs;

pub(super) fn examine((wish, how): (&Wish, &How), present: &[Interface]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for named in &wish.interfaces {
        findings.extend(named_interface(how, named, present));
    }
    let there = plan::those_that_exist(&wish.interfaces, present);
    let cards: Vec<Card> = match plan::of(&there, present) {
        Ok(plan) if !there.is_empty() => {
            findings.extend(forwarding(wish, &plan, present));
            findings.extend(unmatched(how, &plan));
            plan.cards
        }
        Ok(_) if wish.interfaces.is_empty() => present.iter().filter_map(candidate).collect(),
        Ok(_) => Vec::new(),
        Err(error) => {
            findings.push(Finding::blocker("interfaces", format!("{error:#}")));
            Vec::new()
        }
    };
    let features = interface::xdp_features().unwrap_or_default();
    for card in &cards {
        let one = present.iter().find(|one| one.index == card.index);
        if let Some(one) = one {
            findings.extend(card_findings((wish, how), card, one, present, &features));
        }
    }
    findings
}

/// By which cards a gateway would forward that nobody named. With `--live`, the kernel's maps say.
fn forwarding(wish: &Wish, plan: &Plan, present: &[Interface]) -> Vec<Finding> {
    if wish.live || !plan::is_gateway(&wish.interfaces) {
        return Vec::new();
    }
    let entrances = plan.entrances.keys().copied().collect();
    let others = plan::not_enforced(&entrances, present, interface::routes);
    others.iter().map(|name| live::forwards(name)).collect()
}

/// A card that somebody might want to enforce.
fn candidate(one: &Interface) -> Option<Card> {
    let is_card = matches!(one.kind, Kind::Card | Kind::Veth { .. }) && one.name != "lo";
    (one.up && is_card).then(|| Card {
        name: one.name.clone(),
        index: one.index,
        lanes: vec![Lane {
            name: one.name.clone(),
            place: Place::Host,
            vlan: None,
        }],
        given: true,
        ethernet: true,
    })
}

/// Whether what the operator named is there, is up, and stands for cards.
fn named_interface(how: &How, named: &NamedInterface, present: &[Interface]) -> Option<Finding> {
    let one = std::slice::from_ref(named);
    let checked = cards::plan(one, present, false).and_then(|plan| {
        let mut cards = plan.cards.iter();
        cards.try_for_each(|card| fit::check_frames(how, card, present).map(drop))
    });
    let error = checked.err()?;
    Some(Finding::blocker("interface", format!("{error:#}")).on(&named.name))
}

/// Names of `[hooks]` that mean nothing here yet.
fn unmatched(how: &How, plan: &Plan) -> Vec<Finding> {
    let names = hooks::unmatched(&how.by_card, plan);
    let finding = |name: &String| {
        let text =
            "the policy names a hook for it, and no card that is to be enforced is called so";
        Finding::warning("hooks", text).on(name)
    };
    names.iter().map(finding).collect()
}

fn card_findings(
    (wish, how): (&Wish, &How),
    card: &Card,
    one: &Interface,
    present: &[Interface],
    features: &BTreeMap<u32, XdpFeatures>,
) -> Vec<Finding> {
    let name = &card.name;
    let mut findings = Vec::new();
    let facts = CardFacts::of(name).unwrap_or_default();
    let chosen = choose(how, card);
    findings.push(driver(&facts, features.get(&card.index).copied(), &chosen));
    if card.is_trunk() && chosen.ingress != Ingress::Tc {
        findings.push(match offload::check(card, present) {
            Ok(None) => Finding::fine("vlan-offload", "tags stay in the frames"),
            Ok(Some(doubt)) => Finding::warning("vlan-offload", doubt),
            Err(error) => Finding::blocker("vlan-offload", format!("{error:#}")),
        });
    }
    findings.extend(joining(name, &facts, chosen.ingress));
    findings.extend(membership(one, present));
    findings.push(xdp(&wish.pins, one));
    findings.extend(tc(one, Hook::Ingress));
    findings.extend(tc(one, Hook::Egress));
    findings.extend(reverse_path(name));
    findings
        .into_iter()
        .map(|finding| finding.on(name))
        .collect()
}

/// What joins packets before they are judged. At TC, the kernel does so itself.
pub(super) fn joining(name: &str, facts: &CardFacts, ingress: Ingress) -> Vec<Finding> {
    if ingress == Ingress::Tc {
        return Vec::new();
    }
    let kinds = [
        (facts.receives_large, "large-receive-offload", "most", "lro"),
        (facts.receives_joined, "hardware-gro", "some", "rx-gro-hw"),
    ];
    let there = kinds.into_iter().filter(|(joins, ..)| *joins);
    let finding = |(_, topic, drivers, feature)| {
        let text = format!(
            "the card joins packets before the program sees them; native XDP is refused by {drivers} drivers then"
        );
        Finding::warning(topic, text).mend(format!("ethtool -K {name} {feature} off"))
    };
    there.map(finding).collect()
}

pub(super) fn driver(facts: &CardFacts, features: Option<XdpFeatures>, chosen: &Chosen) -> Finding {
    const TOPIC: &str = "driver";
    let driver = match facts.driver.as_str() {
        "" => "its driver does not tell its name",
        driver => driver,
    };
    let queues = match facts.queues {
        0 => String::new(),
        1 => ", 1 queue".to_owned(),
        queues => format!(", {queues} queues"),
    };
    let about = format!("{driver}{queues}, MTU {}", facts.mtu);
    let (flag, why) = (chosen.ingress.flag(), &chosen.why);
    let about = format!("{about}: judged at {flag} ({why})");
    let tc = match why {
        Why::Found(_) => return Finding::fine(TOPIC, about),
        Why::Flag => "give --hook tc",
        Why::Policy => "give it the hook tc in the policy",
    };
    if chosen.ingress != Ingress::Native {
        return Finding::fine(TOPIC, format!("{about}, which works with every driver"));
    }
    let refused =
        |why: &str, remedy: &str| Finding::blocker(TOPIC, format!("{about}: {why}")).mend(remedy);
    match features {
        // Kernels before 6.3 do not tell.
        None => Finding::fine(
            TOPIC,
            format!("{about}: the kernel does not tell whether it takes XDP programs"),
        ),
        Some(features) if !features.native => {
            refused("it takes no XDP programs as it is set up now", tc)
        }
        Some(features) if !features.several_buffers && facts.mtu > ONE_BUFFER => refused(
            "it takes XDP programs for frames of one buffer only, and frames may be longer",
            &format!("lower the MTU to {ONE_BUFFER}, or {tc}"),
        ),
        Some(_) => Finding::fine(TOPIC, format!("{about}: it takes XDP programs")),
    }
}

fn membership(one: &Interface, present: &[Interface]) -> Option<Finding> {
    let group = present
        .iter()
        .find(|other| one.controller == Some(other.index))?;
    let mode = match group.kind {
        Kind::Group { bond } => bond,
        _ => None,
    };
    Some(member(&group.name, mode))
}

/// A card of a group, and the group's mode if it is a bond.
pub(super) fn member(group: &str, mode: Option<BondMode>) -> Finding {
    const TOPIC: &str = "membership";
    const TRIED: BondMode = BondMode::ActiveBackup;
    match mode {
        None => Finding::fine(TOPIC, format!("a member of {group}")),
        Some(TRIED) => Finding::fine(TOPIC, format!("a member of {group}, a bond ({TRIED})")),
        Some(mode) => Finding::warning(
            TOPIC,
            format!("a member of {group}, a bond in the mode {mode}: only {TRIED} was tried with traffic"),
        )
        .mend("sccm-agent enforce --observe, and see `sccm-agent blocked`"),
    }
}

fn xdp(pins: &PinDir, one: &Interface) -> Finding {
    let Some(program) = one.xdp else {
        return Finding::fine("xdp", "no program is there");
    };
    let is_ours = hooks::our_programs(pins).is_ok_and(|ours| ours.contains(&program.id));
    match is_ours {
        true => Finding::fine("xdp", "our program is there"),
        false => Finding::blocker(
            "xdp",
            format!(
                "another one is there: {}; sccm-agent replaces nothing that is not its own",
                describe_program(program.id)
            ),
        )
        .mend(format!(
            "stop its owner, or ip link set {} xdp off",
            one.name
        )),
    }
}

/// Programs at TC. Ours stand before them, unless they cannot.
fn tc(one: &Interface, hook: Hook) -> Option<Finding> {
    match tc_programs(one.index, hook) {
        Ok(programs) if programs.is_empty() => None,
        Ok(programs) => Some(Finding::fine(
            "tc",
            format!("at the {} hook: {}", hook.label(), programs.join(", ")),
        )),
        Err(error) => Some(Finding::warning("tc", format!("{error:#}"))),
    }
}

/// The kernel drops by its own routes what comes in by the wrong card.
fn reverse_path(name: &str) -> Option<Finding> {
    let setting = |of: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{of}/rp_filter");
        let value = fs::read_to_string(path).ok()?;
        value.trim().parse::<u8>().ok()
    };
    // The kernel takes the larger of the two (ip-sysctl).
    let strict = setting("all").max(setting(name)) == Some(1);
    strict.then(|| {
        Finding::fine(
            "reverse-path-filter",
            "strict: the kernel also drops IPv4 packets that come in by another card than answers would leave by",
        )
    })
}
