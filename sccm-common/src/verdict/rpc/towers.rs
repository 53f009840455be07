//! The answer of `ept_map`: the towers that name a port each (DCE 1.1: RPC, Appendix L).

use super::Outcome;
use super::answer::{Asked, Stub, open};
use super::unit::{CALL_HEADER, LEFT};
use crate::address::{Address, Family};
use crate::packet::Packet;
use crate::rpc::Refusal;
use crate::rpc::bytes::Order;
use crate::rpc::room::{self, Room};
use crate::verdict::Tables;

/// Towers that clients ask for.
const MOST_TOWERS: u32 = 4;

/// Bytes of a tower of five floors that ends in TCP and IP, and where its port is.
const TOWER: u32 = 75;

/// Whether a unit is the answer of `ept_map` with a port, by its looks.
#[inline(always)]
pub(super) fn names_port<T: Tables>(
    tables: &T,
    room: &Room,
    packet: &Packet,
    at: u32,
    order: Order,
) -> bool {
    let size = u32::from(room.u16(at + 8, order));
    let length = size.wrapping_sub(CALL_HEADER);
    let is_there = at + size <= packet.payload && at + size <= room::BYTES;
    let Some(layout) = Layout::of(length) else {
        return false;
    };
    let layout = layout.opaque(tables);
    is_there && [1, 0, 0x07, 2, 0] == *room.at(at + CALL_HEADER + layout.first() + 59)
}

/// Where the parts of an answer of `ept_map` are: 0 for NDR32 or 1 for NDR64, and, above it, how many
/// towers there are. Arithmetic and no constants: the verifier follows it once for all.
#[derive(Clone, Copy)]
struct Layout(u32);

impl Layout {
    /// That of an answer of this length, whose towers have [`TOWER`] bytes each.
    #[inline(always)]
    fn of(length: u32) -> Option<Self> {
        for count in 1..=MOST_TOWERS {
            for wide in [0, 1] {
                let layout = Self(count << 1 | wide);
                let towers = (layout.stride() + layout.word()) * count;
                if layout.head() + 4 + towers == length {
                    return Some(layout);
                }
            }
        }
        None
    }

    /// The same, of which the compiler and the verifier know nothing.
    #[inline(always)]
    fn opaque<T: Tables>(self, tables: &T) -> Self {
        Self(tables.opaque(self.0.into()) as u32)
    }

    #[inline(always)]
    const fn wide(self) -> u32 {
        self.0 & 1
    }

    #[inline(always)]
    const fn count(self) -> u32 {
        self.0 >> 1
    }

    /// Bytes of a size or of a pointer.
    #[inline(always)]
    const fn word(self) -> u32 {
        4 + 4 * self.wide()
    }

    /// Bytes in front of the first tower, but for the pointers.
    #[inline(always)]
    const fn head(self) -> u32 {
        36 + 12 * self.wide()
    }

    /// From one tower to the next.
    #[inline(always)]
    const fn stride(self) -> u32 {
        84 + 4 * self.wide()
    }

    /// From a tower's sizes to its bytes.
    #[inline(always)]
    const fn sizes(self) -> u32 {
        8 + 4 * self.wide()
    }

    /// Where the bytes of the first tower begin.
    #[inline(always)]
    const fn first(self) -> u32 {
        self.head() + self.word() * self.count() + self.sizes()
    }
}

/// Reads an answer of `ept_map`.
#[inline(never)]
pub(super) fn towers<T: Tables>(tables: &T, room: &Room, packet: &Packet, stub: Stub) -> u32 {
    let (asked, end) = (stub.asked(), stub.end());
    let stub = stub.begin();
    let length = end.wrapping_sub(stub);
    let order = Order::Little;
    let refused = |why| tables.count_rpc(Outcome::refused(why));
    let Some(layout) = Layout::of(length) else {
        return match room.u32(stub + 20, order) {
            0 => {
                refused(Refusal::NotRegistered);
                0
            }
            _ => {
                refused(Refusal::Unread);
                LEFT
            }
        };
    };
    let layout = layout.opaque(tables);
    let (count, word) = (layout.count(), layout.word());
    let sizes = stub + 24;
    let is_sound = room.u32(stub + 20, order) == count
        && room.u32(sizes, order) >= count
        && room.u32(sizes + word, order) == 0
        && room.u32(sizes + 2 * word, order) == count;
    if !is_sound {
        refused(Refusal::MalformedAnswer);
        return 0;
    }
    if room.u32(end.wrapping_sub(4), order) != 0 {
        refused(Refusal::CallFailed);
        return 0;
    }
    let mut at = stub + layout.first() - layout.sizes();
    for number in 0..MOST_TOWERS {
        // Reckoned anew: nothing is kept over the reading of a tower for which there is no room.
        let layout = layout.opaque(tables);
        if number >= layout.count() {
            break;
        }
        let is_whole = room.u32(at, order) == TOWER
            && room.u32(at + layout.word(), order) == TOWER
            && (layout.wide() == 0 || room.u32(at + 4, order) == 0);
        match is_whole {
            true => tower(tables, room, packet, at + layout.sizes(), asked),
            false => refused(Refusal::MalformedAnswer),
        }
        at = tables.opaque((at + layout.stride()).into()) as u32;
    }
    0
}

/// Opens the port of a tower, whose integers are little endian; those of the network are not.
#[inline(always)]
fn tower<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, asked: Asked) {
    let refused = |why| tables.count_rpc(Outcome::refused(why));
    // Floors: their number; an interface; a syntax; connections; TCP; IP. Each has two halves, with
    // their lengths in front.
    let named = [5, 0, 19, 0, 0x0d] == *room.at::<5>(at)
        && [2, 0] == *room.at(at + 23)
        && [19, 0, 0x0d] == *room.at(at + 27)
        && [2, 0] == *room.at(at + 48);
    let below = [1, 0, 0x0b, 2, 0] == *room.at(at + 52)
        && [1, 0] == *room.at(at + 59)
        && [2, 0] == *room.at(at + 62)
        && [1, 0, 0x09, 4, 0] == *room.at(at + 66);
    if room.u8(at + 61) != 0x07 {
        return refused(Refusal::NoTcp);
    }
    if !(named && below) {
        return refused(Refusal::MalformedTower);
    }
    let host = Address::v4(*room.at(at + 71));
    if packet.family == Family::V4 && host != packet.source && host != Address::V4_UNSPECIFIED {
        // The port is opened at who answered, and nowhere else.
        refused(Refusal::AnotherHost);
    }
    let port = u16::from_be_bytes(*room.at(at + 64));
    open(tables, packet, port, asked, room.at(at + 5));
}
