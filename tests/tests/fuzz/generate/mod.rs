//! What happens under a policy: conversations between addresses that it names, told to the cards
//! that would see them, in turns, some of it spoiled.
//!
//! Few ends and few ports, so that packets meet what others left: an answer its flow, a late
//! fragment its first, an error what it quotes. The frames are made here byte by byte, because
//! the oracle's parser must not also be their writer.

mod frame;
mod link;
mod mutate;
mod places;
mod talk;
mod talk_more;
mod talk_rpc;

use fastrand::Rng;
use ipnet::IpNet;
use sccm_agent::policy::Surroundings;
use sccm_tests::reading::Document;

use crate::case::{Setting, Step};
use places::Places;

/// Conversations that go on at the same time.
const AT_ONCE: usize = 8;

/// One step in so many is time that passes.
const WAITS: usize = 400;

/// One frame in so many is spoiled.
const SPOILED: u8 = 6;

/// A policy with the settings beside its file.
pub fn setting(random: &mut Rng) -> Setting {
    Setting {
        document: Document::random(random),
        machine: machine(random),
        observe: random.u8(..8) == 0,
        probing: random.u8(..4) == 0,
    }
}

/// A host, of which nothing is known or its addresses are, or a gateway.
fn machine(random: &mut Rng) -> Surroundings {
    let is_gateway = random.bool();
    if !is_gateway && random.bool() {
        return Surroundings::default();
    }
    let address = |text: &&str| text.parse().expect("an address");
    let prefixes: Vec<IpNet> = Document::prefixes().collect();
    let routes = match is_gateway && random.bool() {
        true => random.choose_multiple(prefixes, 6),
        false => Vec::new(),
    };
    Surroundings {
        is_bridge: is_gateway && random.u8(..4) == 0,
        routes_multicast: is_gateway && random.u8(..4) == 0,
        routes_broadcasts: is_gateway && random.u8(..4) == 0,
        routes: routes
            .into_iter()
            .map(|prefix| (prefix, random.bool()))
            .collect(),
        is_gateway,
        own: places::OWN.iter().map(address).collect(),
        far_broadcasts: match random.bool() {
            true => vec!["10.1.2.255".parse().expect("an address")],
            false => Vec::new(),
        },
        broadcasts: vec![places::BROADCAST.parse().expect("an address")],
    }
}

/// `count` steps under a policy.
pub fn steps(random: &mut Rng, setting: &Setting, count: usize) -> Vec<Step> {
    let places = Places::random(random, setting);
    let mut talks: Vec<Vec<talk::Said>> = Vec::new();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut steps = Vec::with_capacity(count);
    while steps.len() < count {
        if random.usize(..WAITS) == 0 {
            steps.push(Step::Waits(if random.u8(..4) == 0 { 2_000 } else { 25 }));
            continue;
        }
        if talks.len() < AT_ONCE {
            let mut talk = talk::random(random, &places, &seen);
            talk.reverse();
            talks.push(talk);
        }
        let chosen = random.usize(..talks.len());
        let Some(said) = talks[chosen].pop() else {
            talks.swap_remove(chosen);
            continue;
        };
        let mut frame = said.frame;
        match seen.len() {
            ..16 => seen.push(frame.clone()),
            _ => seen[random.usize(..16)].clone_from(&frame),
        }
        // What is broken may put headers of a long frame beyond its first buffer.
        if frame.len() < 3_000 && random.u8(..SPOILED) == 0 {
            mutate::spoil(random, &mut frame);
        }
        steps.push(places.step(random, said.outward, frame));
    }
    steps
}
