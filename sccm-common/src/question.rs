//! Questions: what was asked lately, so that an answer passes only to who asked.
//!
//! TCP shows in its flags what is an answer. Other protocols do not, so under
//! `outbound = "enforce"` an answer needs a question. Anybody may ask, so questions are kept apart
//! from flows, in a table of fixed size that forgets within minutes. It keeps no addresses, only
//! fingerprints. A question's bucket follows from a keyed hash, so nobody can aim at the bucket of
//! somebody else's, and a bucket holds so many that a flood of a million questions in a second
//! displaces none of the last second (tests below).
//!
//! A fingerprint of 24 bits within a bucket may be that of another question: of a million answers
//! to nobody, fewer than four pass, and only while the table is full.

use crate::address::{Address, Family, LOCAL_SELF};
use crate::as_written;
use crate::hash::mix;
use crate::packet::{Packet, Protocol};
use core::cell::Cell;

/// Buckets of the table: 7 MiB.
pub const BUCKETS: u32 = 28 * 1024;

/// Questions in a bucket.
const SLOTS: usize = 62;

/// All bits of the number of a slot.
const MASK: u32 = 63;

/// The longest time for which a question counts, in seconds.
pub const MAX_AGE: u32 = 120;

/// Seconds by which the clock of one CPU may be behind that of another.
const SKEW: u32 = 2;

/// Seconds for which the answer to a question of DHCP passes.
pub const DHCP_AGE: u32 = 60;

/// Who asked whom for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct QuestionKey {
    asked: Address,
    asker: Address,
    /// From the lowest bit on: 16 of the port that was asked, 16 of the asker's, 8 of the IP
    /// protocol, 8 of the family, 8 of the [`kind`], 8 of whether only a shadow knows it.
    details: u64,
}

/// What tells a question from others.
mod kind {
    /// Both ends.
    pub(super) const ENDS: u64 = 0;
    /// The end of who asked, because a group was asked, and one of its members answers.
    pub(super) const ONE_END: u64 = 4;
    /// The transaction, of DHCP that a peer asks.
    pub(super) const DHCP_OF_PEER: u64 = 1;
    /// The transaction, of DHCP that a protected system asks.
    pub(super) const DHCP_OF_PROTECTED: u64 = 2;
    /// The asker, of DHCP that a protected system asks.
    pub(super) const DHCP_ASKER: u64 = 3;
    /// Where a relay of DHCP is answered, and in which exchange; the [`Relay`](super::Relay) is
    /// added to it.
    pub(super) const DHCP_RELAY: u64 = 5;
    /// A presentation context of a connection to the endpoint mapper of RPC.
    pub(super) const RPC_CONTEXT: u64 = 8;
    /// A call of one.
    pub(super) const RPC_CALL: u64 = 9;
    /// The same, once it is answered.
    pub(super) const RPC_ANSWERED: u64 = 10;
    /// The same, wherever its answer begins.
    pub(super) const RPC_ANYWHERE: u64 = 11;
}

/// Who asks DHCP on behalf of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Relay {
    /// It is no protected system, and neither is it this gateway.
    Peer = 0,
    /// It is a protected system.
    Protected = 1,
    /// It is this gateway itself.
    Gateway = 2,
}

impl Relay {
    /// One behind this machine whose local class is this, or this gateway.
    #[inline(always)]
    #[must_use]
    pub const fn behind(local: u16) -> Self {
        match local {
            LOCAL_SELF => Self::Gateway,
            _ => Self::Protected,
        }
    }
}

/// Instead of an address that does not matter.
const ANYBODY: Address = Address { high: 0, low: 0 };

impl QuestionKey {
    /// The question that a packet is.
    #[inline(always)]
    pub const fn of_question(packet: &Packet, to_group: bool) -> Self {
        let ports = (packet.destination_port, packet.source_port);
        Self::of_ends(packet, packet.destination, to_group, packet.source, ports)
    }

    /// The question that a packet would answer; with `to_group`, one to a group.
    #[inline(always)]
    pub const fn of_answer(packet: &Packet, to_group: bool) -> Self {
        let ports = (packet.source_port, packet.destination_port);
        Self::of_ends(packet, packet.source, to_group, packet.destination, ports)
    }

    #[inline(always)]
    const fn of_ends(
        packet: &Packet,
        asked: Address,
        to_group: bool,
        asker: Address,
        ports: (u16, u16),
    ) -> Self {
        let (protocol, family) = (packet.protocol.0 as u64, packet.family as u64);
        let ports = ports.0 as u64 | (ports.1 as u64) << 16;
        let (asked, kind) = match to_group {
            true => (ANYBODY, kind::ONE_END),
            false => (asked, kind::ENDS),
        };
        Self {
            asked,
            asker,
            details: ports | protocol << 32 | family << 40 | kind << 48,
        }
    }

    /// A transaction of DHCP (RFC 2131, 2: `xid`), which a peer or a protected system began.
    #[inline(always)]
    pub const fn dhcp_transaction(transaction: u32, of_peer: bool) -> Self {
        let kind = match of_peer {
            true => kind::DHCP_OF_PEER,
            false => kind::DHCP_OF_PROTECTED,
        };
        Self {
            asked: ANYBODY,
            asker: ANYBODY,
            details: transaction as u64 | (Protocol::UDP.0 as u64) << 32 | kind << 48,
        }
    }

    /// Anything that a protected system at `asker` asks of DHCP.
    #[inline(always)]
    pub const fn dhcp_asker(asker: Address, family: Family) -> Self {
        Self {
            asked: ANYBODY,
            asker,
            details: (Protocol::UDP.0 as u64) << 32
                | (family as u64) << 40
                | kind::DHCP_ASKER << 48,
        }
    }

    /// What a relay asks of DHCP and is answered at `address` and `port`. `exchange` tells its
    /// messages apart.
    #[inline(always)]
    pub const fn dhcp_relay(
        relay: Relay,
        family: Family,
        address: Address,
        port: u16,
        exchange: u64,
    ) -> Self {
        Self {
            asked: Address {
                high: 0,
                low: exchange,
            },
            asker: address,
            details: port as u64
                | (Protocol::UDP.0 as u64) << 32
                | (family as u64) << 40
                | (kind::DHCP_RELAY + relay as u64) << 48,
        }
    }

    /// That a client proposes a presentation context for one of the services that hand out ports, on
    /// the connection that a packet belongs to.
    #[inline(always)]
    pub const fn rpc_context(packet: &Packet, is_client: bool, context: u16, service: u8) -> Self {
        Self::of_rpc(packet, is_client, kind::RPC_CONTEXT, (context, service), 0)
    }

    /// A call in a context; `answer` is the place in the stream of TCP where its answer begins.
    #[inline(always)]
    pub const fn rpc_call(
        packet: &Packet,
        is_client: bool,
        context: u16,
        how: u8,
        (call, answer): (u32, u32),
    ) -> Self {
        let exchange = (call as u64) << 32 | answer as u64;
        Self::of_rpc(packet, is_client, kind::RPC_CALL, (context, how), exchange)
    }

    /// The same, wherever its answer begins.
    #[inline(always)]
    pub const fn rpc_call_anywhere(
        packet: &Packet,
        is_client: bool,
        context: u16,
        how: u8,
        call: u32,
    ) -> Self {
        let exchange = (call as u64) << 32;
        let kind = kind::RPC_ANYWHERE;
        Self::of_rpc(packet, is_client, kind, (context, how), exchange)
    }

    /// That the call was answered.
    #[inline(always)]
    #[must_use]
    pub const fn answered(self) -> Self {
        const DIFFERENCE: u64 = (kind::RPC_CALL ^ kind::RPC_ANSWERED) << 48;
        Self {
            details: self.details ^ DIFFERENCE,
            ..self
        }
    }

    /// The exchange is folded into the server's address: of two questions that are the same then,
    /// the same client has asked both.
    #[inline(always)]
    const fn of_rpc(
        packet: &Packet,
        is_client: bool,
        kind: u64,
        (context, of): (u16, u8),
        exchange: u64,
    ) -> Self {
        let (asked, asker, port) = match is_client {
            true => (packet.destination, packet.source, packet.source_port),
            false => (packet.source, packet.destination, packet.destination_port),
        };
        let ends = context as u64 | (port as u64) << 16;
        Self {
            asked: Address {
                high: asked.high ^ exchange,
                ..asked
            },
            asker,
            details: ends | (of as u64) << 32 | (packet.family as u64) << 40 | kind << 48,
        }
    }

    /// The same question, as only a shadow's policy lets it in.
    #[inline(always)]
    #[must_use]
    pub const fn of_candidate(self) -> Self {
        Self {
            details: self.details | 1 << 56,
            ..self
        }
    }

    /// Where the question is kept: the number of its bucket, and its fingerprint there.
    #[inline(always)]
    pub const fn place(&self, secret: u64) -> (u32, Fingerprint) {
        let hash = mix(secret, self.asked.high);
        let hash = mix(hash, self.asked.low);
        let hash = mix(hash, self.asker.high);
        let hash = mix(hash, self.asker.low);
        let hash = mix(hash, self.details);
        let hash = mix(hash, secret);
        let bucket = ((hash & 0xffff_ffff) * BUCKETS as u64) >> 32;
        let fingerprint = match (hash >> 40) as u32 {
            0 => 1,
            bits => bits,
        };
        (bucket as u32, Fingerprint(fingerprint))
    }
}

/// 24 bits of the hash of a question; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub u32);

/// The words of a bucket in the table: when the last question was written, in seconds; the slot
/// to which the next goes, the first if there is no such slot; and the slots, each a fingerprint and the lowest 8 bits of when it was written. All zero: no question.
pub type Words = [u32; 2 + SLOTS];

const _: () = assert!(size_of::<Words>() == 256);

/// The questions of one bucket, the oldest of which gives way to a new one.
///
/// Several CPUs write its words without a lock, each word as a whole. At worst a question is
/// forgotten that two of them wrote at the same moment.
#[derive(Debug)]
pub struct Bucket<'a> {
    written: &'a Cell<u32>,
    next: &'a Cell<u32>,
    slots: &'a [Cell<u32>; SLOTS],
}

impl<'a> Bucket<'a> {
    /// The bucket in these words.
    #[inline(always)]
    #[must_use]
    pub const fn of(words: &'a [Cell<u32>; 2 + SLOTS]) -> Self {
        let [written, next, slots @ ..] = words;
        Self {
            written,
            next,
            slots,
        }
    }

    /// Notes a question that was asked at `now`, in seconds.
    #[inline(always)]
    pub fn note(&self, question: Fingerprint, now: u32) {
        let silent = self.is_silent(now);
        for slot in self.slots {
            let word = slot.get();
            if word == 0 {
                continue;
            }
            let same = word >> 8 == question.0;
            if same && !silent && word as u8 == now as u8 {
                return;
            }
            // Every question that stays is of the last minutes, so 8 bits tell when it was asked.
            // One that is asked again moves to the end of the queue.
            if same || silent || age(word, now) > MAX_AGE + SKEW {
                slot.set(0);
            }
        }
        let next = as_written::and::<MASK>(self.next.get().into()) as usize;
        let (at, slot) = match self.slots.get(next) {
            Some(slot) => (next, slot),
            None => (0, &self.slots[0]),
        };
        slot.set(question.0 << 8 | (now & 0xff));
        self.next.set(at as u32 + 1);
        self.written.set(now);
    }

    /// Whether the question was asked at most `within` seconds before `now`.
    #[inline(always)]
    pub fn has(&self, question: Fingerprint, now: u32, within: u32) -> bool {
        if self.is_silent(now) {
            return false;
        }
        for slot in self.slots {
            let word = slot.get();
            if word >> 8 == question.0 && age(word, now) <= within + SKEW {
                return true;
            }
        }
        false
    }

    /// Whether all questions are too old to count.
    #[inline(always)]
    fn is_silent(&self, now: u32) -> bool {
        now.saturating_sub(self.written.get()) > MAX_AGE
    }
}

/// The age of a question in seconds, and [`SKEW`].
#[inline(always)]
fn age(word: u32, now: u32) -> u32 {
    now.wrapping_add(SKEW).wrapping_sub(word) & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const NOW: u32 = 1_000_000;

    fn question(number: u64) -> QuestionKey {
        QuestionKey {
            asked: ANYBODY,
            asker: Address {
                high: 0,
                low: number,
            },
            details: 0,
        }
    }

    struct Table(Vec<[Cell<u32>; 2 + SLOTS]>);

    fn empty() -> [Cell<u32>; 2 + SLOTS] {
        [const { Cell::new(0) }; 2 + SLOTS]
    }

    impl Table {
        fn new() -> Self {
            Self((0..BUCKETS).map(|_| empty()).collect())
        }

        fn note(&self, key: &QuestionKey, now: u32) {
            let (bucket, fingerprint) = key.place(7);
            Bucket::of(&self.0[bucket as usize]).note(fingerprint, now);
        }

        fn has(&self, key: &QuestionKey, now: u32, within: u32) -> bool {
            let (bucket, fingerprint) = key.place(7);
            Bucket::of(&self.0[bucket as usize]).has(fingerprint, now, within)
        }
    }

    #[test]
    fn a_question_counts_for_the_time_that_is_asked_for() {
        for within in [1, 30, MAX_AGE] {
            let table = Table::new();
            let key = question(1);
            assert!(!table.has(&key, NOW, within));
            table.note(&key, NOW);
            assert!(table.has(&key, NOW + within, within));
            assert!(!table.has(&key, NOW + within + 1, within));
            assert!(!table.has(&question(2), NOW, within));
            // Its 8 bits of time come round, and it does not come back.
            for later in [200, 256, 257, 256 + within, 70_000] {
                assert!(!table.has(&key, NOW + later, within), "{later}");
            }
        }
    }

    #[test]
    fn an_old_question_does_not_come_back_in_a_bucket_that_is_in_use() {
        let words = empty();
        let bucket = Bucket::of(&words);
        let (old, other) = (Fingerprint(5), Fingerprint(6));
        bucket.note(old, NOW);
        for second in (0..1000).step_by(50) {
            bucket.note(other, NOW + second);
            let expected = second <= MAX_AGE;
            assert_eq!(bucket.has(old, NOW + second, MAX_AGE), expected, "{second}");
            assert!(bucket.has(other, NOW + second, 1));
        }
    }

    #[test]
    fn a_question_that_is_asked_again_takes_one_slot_and_counts_anew() {
        let words = empty();
        let bucket = Bucket::of(&words);
        let (chatty, quiet) = (Fingerprint(5), Fingerprint(6));
        bucket.note(quiet, NOW);
        for _ in 0..1000 {
            bucket.note(chatty, NOW);
        }
        for second in 0..30 {
            bucket.note(chatty, NOW + second);
        }
        assert!(bucket.has(quiet, NOW + 29, 30));
        assert!(bucket.has(chatty, NOW + 59, 30));
        let used = bucket.slots.iter().filter(|slot| slot.get() != 0);
        assert_eq!(used.count(), 2);
    }

    #[test]
    fn a_clock_that_is_a_second_behind_forgets_nothing() {
        let words = empty();
        let bucket = Bucket::of(&words);
        bucket.note(Fingerprint(5), NOW + 1);
        bucket.note(Fingerprint(6), NOW);
        assert!(bucket.has(Fingerprint(5), NOW, 1));
        assert!(bucket.has(Fingerprint(6), NOW, 1));
    }

    #[test]
    fn a_million_questions_in_a_second_displace_none_of_that_second() {
        let table = Table::new();
        let honest: Vec<_> = (0..1000).map(|number| question(1 << 40 | number)).collect();
        for (number, key) in (0_u64..).zip(&honest) {
            table.note(key, NOW);
            // A thousand forged ones between each of them.
            for forged in 0..1000 {
                table.note(&question(number * 1000 + forged), NOW);
            }
        }
        let lost = honest.iter().filter(|key| !table.has(key, NOW, 1)).count();
        assert_eq!(lost, 0);
        // The table is full, and yet hardly anybody is taken for somebody who asked.
        let strangers = (0..100_000).map(|number| question(1 << 41 | number));
        let mistaken = strangers.filter(|key| table.has(key, NOW, 1)).count();
        assert!(mistaken <= 3, "{mistaken}");
    }
}
