//! Probes: what tells a gateway that has just begun, or has just become the master of a pair, which
//! streams are under way.
//!
//! It knows no flow then. Where the protected system speaks, its packets write the flow. Where only
//! the peer does, a few of its packets pass, and the answer says what they belong to: an
//! acknowledgement writes the flow, a reset ends the stream. A probe itself writes nothing but how
//! many there were.

use crate::address::Address;
use crate::packet::{Fragment, Packet, Protocol};

/// How long probes pass, in seconds.
pub const TIME: u32 = 30;

/// How many pass in a second on each CPU: from the peers that share a word, and from all of them.
const OF_PEER: u32 = 4;
const OF_ALL: u32 = 64;

/// Words of the map: the first counts all probes, the others those of the peers that share it.
pub const WORDS: u32 = 1024;

/// Whether a packet is data from the middle of a TCP stream.
#[inline(always)]
pub const fn may_be(packet: &Packet) -> bool {
    let flags = packet.tcp_flags;
    packet.protocol.0 == Protocol::TCP.0
        && packet.payload != 0
        && matches!(packet.fragment, Fragment::Whole | Fragment::Atomic)
        && flags.acknowledges()
        && !flags.is_syn_ack()
        && !flags.is_closing()
}

/// The word that counts the probes of a peer.
#[inline(always)]
pub const fn word_of(peer: &Address, secret: u64) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = (secret ^ peer.high).wrapping_mul(ODD);
    let hash = (hash ^ (hash >> 32) ^ peer.low).wrapping_mul(ODD);
    1 + (((hash >> 32) * (WORDS as u64 - 1)) >> 32) as u32
}

/// The number of probes in a second: the second in the upper half, how many in the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

impl Count {
    /// The same with one more at `now`; `None`: there were enough. `of_all`: of all peers.
    #[inline(always)]
    pub const fn one_more(self, now: u32, of_all: bool) -> Option<Self> {
        let most = if of_all { OF_ALL } else { OF_PEER };
        if (self.0 >> 32) as u32 != now {
            return Some(Self((now as u64) << 32 | 1));
        }
        match (self.0 as u32) < most {
            true => Some(Self(self.0 + 1)),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_pass_in_each_second() {
        let pass = |of_all, second| {
            let mut count = Count(0);
            let mut passed = 0;
            for _ in 0..1000 {
                if let Some(more) = count.one_more(second, of_all) {
                    count = more;
                    passed += 1;
                }
            }
            (passed, count)
        };
        assert_eq!(pass(false, 7).0, OF_PEER);
        assert_eq!(pass(true, 7).0, OF_ALL);
        let (_, full) = pass(false, 7);
        assert_eq!(full.one_more(7, false), None);
        assert!(full.one_more(8, false).is_some());
    }

    #[test]
    fn peers_are_spread_over_all_words_but_the_first() {
        let mut words = std::collections::BTreeSet::new();
        for last in 0..100_000u32 {
            let word = word_of(&Address::v4(last.to_be_bytes()), 0x1234_5678_9abc_def0);
            assert!((1..WORDS).contains(&word));
            words.insert(word);
        }
        assert_eq!(words.len() as u32, WORDS - 1);
    }
}
