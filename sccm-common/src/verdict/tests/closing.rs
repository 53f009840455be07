//! How a TCP connection ends: each side closes for itself, and nobody else can.

use crate::Reason::{NotAllowed, Reply};
use crate::flow::{FlowState, Phase};
use crate::policy::Timeouts;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World};
use sccm_packets::tcp_flag::{ACK, FIN, PSH, RST, SYN};
use std::vec::Vec;

const TIMEOUTS: Timeouts = Timeouts::DEFAULT;

/// What the protected side has received of the peer's stream when it falls silent.
const RECEIVED: u32 = 0xffff_ff00;

/// A connection that the protected side has opened, and what both sides say in it.
struct Talk {
    world: World,
    out: Link,
}

impl Talk {
    fn all() -> impl Iterator<Item = Self> {
        FAMILIES.into_iter().map(|family| {
            let talk = Self {
                world: World::host(),
                out: Link::new(family, PROTECTED, PEER),
            };
            talk.says(SYN, 0);
            talk.hears(SYN | ACK, RECEIVED.wrapping_sub(1), 0, Reply);
            talk.says(ACK, RECEIVED);
            talk
        })
    }

    /// A segment of the protected side.
    fn says(&self, flags: u8, acknowledgement: u32) {
        let segment = self.out.packet().tcp(40000, 1433).flags(flags);
        let segment = segment.acknowledgement(acknowledgement);
        self.world.leaves(&segment.build());
    }

    /// A segment of the peer with so many bytes of data.
    fn hears(&self, flags: u8, sequence: u32, data: usize, expected: crate::Reason) {
        let segment = self.out.back().packet().tcp(1433, 40000).flags(flags);
        let segment = segment.sequence(sequence).payload(data).build();
        assert_eq!(self.world.arrives(&segment), expected, "{}", self.phase());
    }

    fn state(&self) -> FlowState {
        let states = self.world.flow_states();
        assert_eq!(states.len(), 1);
        states[0].1
    }

    fn phase(&self) -> std::string::String {
        std::format!("{:?}", self.state().phase())
    }

    /// Whether data of the peer passes after `limit` seconds of silence, and no longer.
    fn lives_exactly(&self, limit: u32) {
        let now = self.world.state.now.get();
        self.world.wait(limit + 1);
        self.hears(ACK, RECEIVED, 9, NotAllowed);
        self.world.state.now.set(now);
        self.world.wait(limit);
        self.hears(ACK, RECEIVED, 9, Reply);
    }
}

#[test]
fn the_protected_side_still_hears_the_peer_after_its_fin() {
    for talk in Talk::all() {
        talk.says(FIN | ACK, RECEIVED);
        talk.hears(ACK, RECEIVED, 0, Reply);
        for silence in [45, 100, 1_000] {
            talk.world.wait(silence);
            talk.hears(PSH | ACK, RECEIVED, 9, Reply);
        }
        talk.lives_exactly(TIMEOUTS.tcp_half_closed);
        talk.says(ACK, RECEIVED.wrapping_add(9));
        talk.world.wait(1_000);
        talk.hears(FIN | ACK, RECEIVED.wrapping_add(9), 0, Reply);
        talk.says(ACK, RECEIVED.wrapping_add(10));
        assert_eq!(talk.state().phase(), Phase::Closed);
        talk.lives_exactly(TIMEOUTS.tcp_closing);
    }
}

#[test]
fn the_peer_closes_first() {
    for talk in Talk::all() {
        // The FIN comes with the last data.
        talk.hears(FIN | ACK, RECEIVED, 500, Reply);
        talk.says(ACK, RECEIVED.wrapping_add(501));
        // What the protected side goes on to send acknowledges nothing more.
        for _ in 0..3 {
            talk.world.wait(1_000);
            talk.says(PSH | ACK, RECEIVED.wrapping_add(501));
            talk.hears(ACK, RECEIVED.wrapping_add(501), 0, Reply);
        }
        assert_eq!(talk.state().phase(), Phase::PeerClosed);
        talk.lives_exactly(TIMEOUTS.tcp_half_closed);
        talk.says(FIN | ACK, RECEIVED.wrapping_add(501));
        talk.hears(ACK, RECEIVED.wrapping_add(501), 0, Reply);
        talk.lives_exactly(TIMEOUTS.tcp_closing);
    }
}

#[test]
fn both_sides_close_at_once() {
    for talk in Talk::all() {
        talk.hears(FIN | ACK, RECEIVED, 0, Reply);
        talk.says(FIN | ACK, RECEIVED.wrapping_add(1));
        assert_eq!(talk.state().phase(), Phase::Closed);
    }
    for talk in Talk::all() {
        talk.says(FIN | ACK, RECEIVED);
        talk.hears(FIN | ACK, RECEIVED, 0, Reply);
        talk.lives_exactly(TIMEOUTS.tcp_half_closed);
        talk.says(ACK, RECEIVED.wrapping_add(1));
        talk.lives_exactly(TIMEOUTS.tcp_closing);
    }
    // The FINs cross.
    for talk in Talk::all() {
        talk.hears(FIN | ACK, RECEIVED, 0, Reply);
        talk.says(FIN | ACK, RECEIVED);
        talk.hears(FIN | ACK, RECEIVED, 0, Reply);
        talk.says(ACK, RECEIVED.wrapping_add(1));
        assert_eq!(talk.state().phase(), Phase::Closed);
    }
}

#[test]
fn a_reset_of_the_protected_side_ends_it() {
    for flags in [RST, RST | ACK, SYN | RST] {
        for talk in Talk::all() {
            talk.says(flags, RECEIVED);
            for theirs in [SYN | ACK, ACK, RST, FIN | ACK] {
                talk.hears(theirs, RECEIVED, 0, Reply);
            }
            talk.lives_exactly(TIMEOUTS.tcp_closing);
        }
    }
}

#[test]
fn a_reset_of_the_peer_counts_at_the_next_byte() {
    let ends: [&[u8]; 3] = [&[], &[FIN | ACK], &[FIN | ACK, ACK]];
    for before in ends {
        for talk in Talk::all() {
            before.iter().for_each(|flags| talk.says(*flags, RECEIVED));
            talk.hears(RST | ACK, RECEIVED, 0, Reply);
            talk.lives_exactly(TIMEOUTS.tcp_closing);
        }
    }
}

#[test]
fn a_reset_behind_what_is_on_its_way_is_a_claim() {
    for ahead in [1, 1_460, 100_000] {
        for talk in Talk::all() {
            talk.hears(RST, RECEIVED.wrapping_add(ahead), 0, Reply);
            talk.lives_exactly(TIMEOUTS.tcp_half_closed);
            // The protected side challenges it (RFC 5961, 3.2).
            talk.says(ACK, RECEIVED);
            talk.lives_exactly(TIMEOUTS.tcp_established);
        }
    }
}

#[test]
fn a_forged_end_is_taken_back() {
    for talk in Talk::all() {
        for flags in [FIN | ACK, FIN, RST] {
            talk.hears(flags, RECEIVED.wrapping_add(7), 0, Reply);
            talk.says(ACK, RECEIVED);
            talk.lives_exactly(TIMEOUTS.tcp_established);
        }
        talk.says(FIN | ACK, RECEIVED);
        talk.hears(FIN | ACK, RECEIVED.wrapping_add(7), 0, Reply);
        talk.says(ACK, RECEIVED);
        talk.lives_exactly(TIMEOUTS.tcp_half_closed);
    }
}

#[test]
fn a_far_end_does_not_count() {
    for ahead in [1 << 18, 1 << 31, 0xdead_beef, u32::MAX] {
        let far = RECEIVED.wrapping_add(ahead);
        for flags in [FIN | ACK, RST, RST | ACK] {
            for talk in Talk::all() {
                talk.hears(flags, far, 0, Reply);
                talk.world.wait(33);
                talk.hears(ACK, RECEIVED, 9, Reply);
                talk.lives_exactly(TIMEOUTS.tcp_established);
                // Nor after the protected side's own FIN.
                talk.says(FIN | ACK, RECEIVED);
                talk.hears(flags, far, 0, Reply);
                assert_eq!(talk.state().phase(), Phase::Closing);
            }
        }
    }
}

#[test]
fn a_million_random_resets_end_nothing() {
    let mut number = 0x2545_f491_4f6c_dd1d_u64;
    for talk in Talk::all() {
        let template = talk.out.back().packet().tcp(1433, 40000).rst();
        let mut frame = template.build();
        let place = frame.len() - 16;
        for _ in 0..1_000_000 {
            // xorshift (Marsaglia, "Xorshift RNGs", 2003).
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            frame[place..place + 4].copy_from_slice(&(number as u32).to_be_bytes());
            let verdict = talk.world.fast_ingress(&frame);
            assert_eq!(verdict.map(|verdict| verdict.reason), Some(Reply));
        }
        talk.world.wait(TIMEOUTS.tcp_closing + 3);
        talk.hears(ACK, RECEIVED, 9, Reply);
        talk.says(ACK, RECEIVED);
        talk.lives_exactly(TIMEOUTS.tcp_established);
    }
}

#[test]
fn nothing_ends_before_the_protected_side_has_acknowledged() {
    for family in FAMILIES {
        let (world, out) = (World::host(), Link::new(family, PROTECTED, PEER));
        let talk = Talk { world, out };
        talk.says(SYN, 0);
        for flags in [RST, RST | ACK, FIN | ACK] {
            talk.hears(flags, 0, 0, Reply);
        }
        talk.lives_exactly(TIMEOUTS.tcp_opening);
    }
}

/// Also with a FIN in its SYN, for which the known flow is read.
#[test]
fn a_connection_that_begins_anew_has_acknowledged_nothing() {
    for flags in [SYN, SYN | FIN] {
        for talk in Talk::all() {
            assert_eq!(talk.state().acknowledged(), RECEIVED);
            talk.says(flags, 0);
            assert_eq!(talk.state().acknowledged(), 0);
        }
    }
}

/// Every sequence of three segments, of either side, beside the same with forged ends.
#[test]
fn a_far_end_changes_no_conversation() {
    let flags: Vec<u8> = std::vec![SYN, ACK, FIN | ACK, RST];
    let steps: Vec<(bool, u8, u32)> = flags
        .iter()
        .flat_map(|flags| {
            [
                (true, *flags, 0),
                (true, *flags, 1),
                (false, *flags, 0),
                (false, *flags, 9),
            ]
        })
        .collect();
    for number in 0..steps.len().pow(3) {
        let [a, b, c] = [1, steps.len(), steps.len().pow(2)].map(|by| number / by % steps.len());
        let [one, other] = [false, true].map(|forged| {
            let talk = Talk::all().next().unwrap();
            for step in [a, b, c] {
                let (mine, flags, more) = steps[step];
                let number = RECEIVED.wrapping_add(more);
                if mine {
                    talk.says(flags, number);
                } else if flags != SYN {
                    talk.hears(flags, number, 0, Reply);
                }
                if forged {
                    talk.hears(RST, 0xdead_beef, 0, Reply);
                    talk.hears(FIN | ACK, 0xdead_beef, 0, Reply);
                }
            }
            talk.state()
        });
        assert_eq!(one, other, "{:?}", [a, b, c].map(|step| steps[step]));
    }
}
