//! What a packet asks the endpoint mapper of RPC, or answers: read after the decision, which orders it.
//! Within the decision, functions are called too deep already.

use sccm_common::policy::SHADOW_BANK;
use sccm_common::rpc::MAPPER;
use sccm_common::rpc::heard::mark;
use sccm_common::rpc::room::Room;
use sccm_common::rpc::scan::{self, Scan};
use sccm_common::verdict::{RPC_LEFT, RPC_UNITS, rpc_unit};
use sccm_common::{Hook, Packet, as_written};

use crate::judge::turn;
use crate::tables::Bank;
use crate::{cursor, parse};

/// Reads a packet, if the decision of the active policy, or of the candidate, has ordered it. `tell`
/// hands it to the agent, with what is known of it; of what only the candidate has ordered, the agent
/// learns nothing.
#[inline(always)]
pub fn read(tables: &Bank, hook: Hook, tell: impl FnOnce(u32)) {
    let concerns =
        |packet: &mut Packet| packet.source_port == MAPPER || packet.destination_port == MAPPER;
    if !parse::packet(hook).is_some_and(concerns) {
        return;
    }
    if tables.is_shadowed() {
        read_for(SHADOW_BANK, hook);
    }
    let read = read_for(tables.number(), hook);
    if cursor::is_ordered(hook) {
        let is_settled = |packet: &mut Packet| {
            packet.source_port == MAPPER && packet.payload != 0 && packet.payload | END == read
        };
        let is_settled = parse::packet(hook).is_some_and(is_settled);
        tell(if is_settled { mark::SETTLED } else { 0 });
    }
    cursor::forget_orders(hook);
}

/// No unit follows; in the word that goes from one to the next, because the caller has no room for two.
const END: u32 = 1 << 30;

/// Says behind which byte the units end that were read, with [`END`], and whether anything of them is
/// left to the agent ([`RPC_LEFT`]).
#[inline(always)]
fn read_for(bank: u32, hook: Hook) -> u32 {
    let mut said = 0;
    for _ in 0..RPC_UNITS {
        said = rpc_read(bank, hook as u32, said);
        if said & END != 0 {
            break;
        }
    }
    said | END
}

/// Reads the unit at the place that the last one said.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rpc_read(bank: u32, hook: u32, said: u32) -> u32 {
    let hook = parse::hook_of(hook);
    let (Some(turn), Some(packet), Some(room)) = (
        turn(bank, hook),
        parse::packet(hook),
        cursor::room(hook as u32),
    ) else {
        return said | END;
    };
    let at = said & !RPC_LEFT;
    let now = match room.ordered(turn.is_candidate) {
        Room::QUESTIONS => rpc_unit(&turn, room, packet, true, at),
        Room::ANSWERS => rpc_unit(&turn, room, packet, false, at),
        _ => 0,
    };
    match now & !RPC_LEFT {
        0 => said | now | END,
        _ => now | said & RPC_LEFT,
    }
}

/// Scans a few words of the segment for string bindings. With global linkage: the verifier follows it
/// once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rpc_scan(hook: u32, at: u32, end: u32, scan: u64) -> u64 {
    let Some(room) = cursor::room(hook) else {
        return scan;
    };
    // The verifier knows nothing of the argument, and so of no number that it is mixed with.
    let opaque = |word| as_written::opaque(word, scan);
    scan::some(room, at, end, Scan(scan), opaque).0
}
