//! Later fragments follow a first one that passed.

use super::{Tables, Verdict};
use crate::fragment::{FragmentKey, FragmentState};
use crate::packet::{Fragment, Packet};
use crate::policy::flag;
use crate::reason::Reason;

/// Remembers a first fragment that passed, if later fragments are judged.
#[inline(always)]
pub(super) fn remember_first<T: Tables>(tables: &T, packet: &Packet, verdict: Verdict) -> Verdict {
    let judged = verdict.reason != Reason::Outbound || tables.policy().has(flag::OUTBOUND_ENFORCE);
    if packet.fragment == Fragment::First && verdict.reason.passes() && judged {
        note_first(tables, packet);
    }
    verdict
}

/// Not inlined, because it is rare: its part of the stack is then its own.
#[inline(never)]
fn note_first<T: Tables>(tables: &T, packet: &Packet) {
    let key = FragmentKey::of(packet);
    let now = tables.now();
    // Of two first fragments, the receiver may take either.
    let before = match tables.fragment(&key) {
        Some(before) if before.is_fresh(now) => before.header_end(),
        _ => 0,
    };
    let header_end = packet.fragment_edge.max(before);
    tables.note_fragment(&key, FragmentState::new(now, header_end));
}

/// The reason for a later fragment. Not inlined, like [`note_first`].
#[inline(never)]
pub(super) fn later_fragment<T: Tables>(tables: &T, packet: &Packet) -> Reason {
    let known = tables.fragment(&FragmentKey::of(packet));
    if let Some(first) = known
        && first.is_fresh(tables.now())
    {
        return match packet.fragment_edge < first.header_end() {
            true => Reason::FragmentOverlap,
            false => Reason::FragmentFollows,
        };
    }
    if tables.policy().has(flag::PASS_ORPHAN_FRAGMENTS) {
        Reason::LaterFragment
    } else {
        Reason::LaterFragmentRefused
    }
}
