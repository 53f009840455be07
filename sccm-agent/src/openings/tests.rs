//! What opens a port, what does not, and why.

mod answers;
mod questions;
mod random;
mod reader;
mod streams;
mod talk;

use super::{Bounds, Learned, Learner};
use sccm_common::rpc::Refusal;
use sccm_tests::packet::rpc as wire;
use talk::Talk;

const HOST: [u8; 4] = [192, 0, 2, 20];

const NONE: [u16; 0] = [];

fn learn(frames: &[Vec<u8>]) -> Learned {
    let mut learner = Learner::new(Bounds {
        ranges: vec![(49152, 65535)],
        known: vec![(50123, 50123)],
    });
    for (number, frame) in frames.iter().enumerate() {
        learner.see(number as u64 + 1, frame);
    }
    learner.finish()
}

fn ports(learned: &Learned) -> Vec<u16> {
    learned
        .openings
        .iter()
        .map(|opening| opening.port)
        .collect()
}

fn reasons(learned: &Learned) -> Vec<(Option<u16>, Refusal)> {
    let refused = learned.refused.iter();
    refused.map(|one| (one.port, one.reason)).collect()
}

/// An answer of `ept_map` that names this port.
fn map(port: u16) -> Vec<u8> {
    wire::towers(false, false, &[wire::tower(7, port, HOST)], 0)
}

/// What is learned of one answer of `ept_map`.
fn of_map(stub: &[u8]) -> Learned {
    let mut talk = Talk::bound();
    talk.call(2, 0, 3, stub);
    learn(&talk.frames)
}

#[track_caller]
fn refuses(learned: &Learned, reason: Refusal) {
    assert_eq!(ports(learned), NONE, "{learned:?}");
    assert_eq!(reasons(learned), [(None, reason)]);
}

#[test]
fn the_document_names_every_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rpc.md");
    let document = std::fs::read_to_string(path).unwrap();
    for reason in Refusal::ALL {
        let row = format!("| `{}` | {} |", reason.label(), reason.text());
        assert!(document.contains(&row), "docs/rpc.md lacks: {row}");
    }
}
