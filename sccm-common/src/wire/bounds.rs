//! Every length of a frame, with every value of the bytes that say where the next header is:
//! the parser reads within the frame, in steps that the kernel's cursor can take.
//!
//! A cursor that checks takes the place of the kernel's, which masks what it is told to skip:
//! a longer step than [`MAX_SKIP`] would read the wrong bytes there, and nobody would notice.

use super::{fast, parse, vlan};
use crate::Packet;
use crate::cursor::{Cursor, MAX_SKIP};
use crate::reason::Reason;
use core::ops::ControlFlow::Continue;
use std::vec::Vec;

/// Longer than the headers of every frame here.
const LONGEST: usize = 130;

struct Checking<'a> {
    frame: &'a [u8],
    position: usize,
}

impl Cursor for Checking<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.frame.get(self.position..)?.first_chunk()?;
        self.position += N;
        Some(*bytes)
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        assert!(count <= MAX_SKIP, "a step of {count}");
        let end = self.position + count as usize;
        (end <= self.frame.len()).then(|| self.position = end)
    }

    fn holds(&mut self, count: u32) -> bool {
        self.position + count as usize <= self.frame.len()
    }

    fn left(&mut self) -> u32 {
        (self.frame.len() - self.position) as u32
    }

    fn position(&self) -> u32 {
        self.position as u32
    }
}

/// Ends as it must, whatever is cut off. How many of these frames parsed.
fn every_length(frame: &[u8]) -> usize {
    let mut parsed = 0;
    // Under miri a frame takes milliseconds.
    let step = if cfg!(miri) { 37 } else { 1 };
    for length in (0..=frame.len()).step_by(step) {
        let frame = &frame[..length];
        let mut cursor = Checking { frame, position: 0 };
        let said = parse(&mut cursor);
        assert!(cursor.position <= length);
        if let Continue(Packet { payload_offset, .. }) = said {
            assert!(payload_offset as usize <= length);
            parsed += 1;
        }
        if let Some(packet) = fast::parse(frame) {
            assert_eq!(Continue(packet), said);
        }
        let mut cursor = Checking { frame, position: 0 };
        if vlan::id(&mut cursor).is_none() {
            let broken = [
                Reason::EthernetTruncated,
                Reason::VlanTruncated,
                Reason::VlanDepth,
            ];
            let reason = said.break_value();
            assert!(reason.is_some_and(|reason| broken.contains(&reason)));
        }
    }
    parsed
}

/// A frame of [`LONGEST`] bytes with up to three tags and then `kind`, whose packet begins with
/// `start`, and repeats `rest`.
fn frame(tags: usize, kind: u16, start: &[u8], rest: u8) -> Vec<u8> {
    let mut frame = std::vec![2; 12];
    for _ in 0..tags {
        frame.extend([0x81, 0, 0, 20]);
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(start);
    frame.resize(LONGEST, rest);
    frame
}

/// Bytes that the packet claims: nothing, too little, some, all, too much.
const CLAIMS: [u16; 8] = [0, 19, 28, 40, 60, 90, 112, u16::MAX];

#[test]
fn ipv4_of_every_header_length() {
    let mut parsed = 0;
    for first in 0..=255 {
        for claim in CLAIMS {
            let [high, low] = claim.to_be_bytes();
            for protocol in [1, 2, 6, 17, 47] {
                let start = [first, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
                parsed += every_length(&frame(0, 0x0800, &start, 0x50));
            }
        }
    }
    // Behind 20 bytes, these are no options, so only headers without any parse.
    assert!(cfg!(miri) || parsed > 900, "{parsed}");
}

#[test]
fn ipv6_of_every_chain() {
    let mut parsed = 0;
    for next in 0..=255 {
        for following in [0, 6, 17, 43, 44, 58, 59, 60, 135] {
            for length in [0, 1, 2, 7, 255] {
                let mut start = [0; 60];
                start[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 60, next, 64]);
                start[40..44].copy_from_slice(&[following, length, 0, 1]);
                start[48..52].copy_from_slice(&[following, length, 1, 0]);
                parsed += every_length(&frame(0, 0x86dd, &start, length));
            }
        }
    }
    assert!(cfg!(miri) || parsed > 1_000, "{parsed}");
}

#[test]
fn transport_headers_of_every_length() {
    let mut parsed = 0;
    for offset in 0..=255 {
        for claim in CLAIMS {
            for (protocol, more) in [(6, 0), (6, 0x20), (17, 0), (17, 0x20)] {
                let mut start = [0; 40];
                let [high, low] = claim.to_be_bytes();
                start[..4].copy_from_slice(&[0x45, 0, 0, 100]);
                start[6] = more;
                start[9] = protocol;
                start[24..26].copy_from_slice(&[high, low]);
                start[32] = offset;
                parsed += every_length(&frame(1, 0x0800, &start, 0));
            }
        }
    }
    assert!(cfg!(miri) || parsed > 1_000, "{parsed}");
}

#[test]
fn every_ethertype_behind_every_depth_of_tags() {
    for tags in 0..=3 {
        for kind in (0..=u16::MAX).step_by(if cfg!(miri) { 997 } else { 1 }) {
            let frame = frame(tags, kind, &[], 0x42);
            // What matters here lies within these.
            every_length(&frame[..40]);
        }
    }
}
