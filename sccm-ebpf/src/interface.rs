//! For which interface a frame is judged: the card, or its VLAN on a trunk.
//!
//! On an ordinary card, slot and place are constants of the loaded program. A trunk has
//! programs of its own, made from the same source: with one program for both and a global
//! to tell them apart, every packet of an ordinary card cost 2 to 4 ns more, although the
//! verifier removed the branch.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::Place;
use sccm_common::abi::map;
use sccm_common::as_written;
use sccm_common::entrance::{self, Entrances};
use sccm_common::trunk::{IDS, Lane, VlanTable};
use sccm_common::wire::vlan;

use crate::cursor::PacketCursor;
use crate::maps::{array, mapped_array};

/// Which interface this copy of the program serves; set before it is loaded.
#[unsafe(no_mangle)]
static SLOT: Global<u32> = Global::new(0);

/// The place of this copy, as the number of a `Place`; set before it is loaded.
#[unsafe(no_mangle)]
static PLACE: Global<u32> = Global::new(0);

const LAST_ID: u32 = IDS as u32 - 1;

#[map]
static VLANS: Array<VlanTable> = array(&map::VLANS);

#[map]
static ENTRANCES: Array<Entrances> = mapped_array(&map::ENTRANCES);

/// The slot that counts a frame, and the place where it is judged.
pub trait Interface {
    /// Whether its frames have an Ethernet header.
    const HAS_LINK: bool = true;

    /// The slot.
    fn slot(&self) -> u32;
    /// The place.
    fn place(&self) -> Place;
}

/// The card, whatever the frame.
pub struct Card;

impl Interface for Card {
    #[inline(always)]
    fn slot(&self) -> u32 {
        SLOT.load()
    }

    #[inline(always)]
    fn place(&self) -> Place {
        Place::from_number(PLACE.load())
    }
}

/// The place with this number, at which a frame is judged. Where the card has one place for all its frames,
/// the verifier knows it, and follows the decision for this one alone.
#[inline(always)]
pub fn place_of(number: u32) -> Place {
    match Card.place() {
        Place::Loopback => Place::from_number(number),
        fixed => fixed,
    }
}

/// A card whose frames have no Ethernet header: a tunnel.
pub struct Tunnel;

impl Interface for Tunnel {
    const HAS_LINK: bool = false;

    #[inline(always)]
    fn slot(&self) -> u32 {
        Card.slot()
    }

    #[inline(always)]
    fn place(&self) -> Place {
        Card.place()
    }
}

/// The frame's VLAN. Its entry is decoded only where slot or place is needed: otherwise the
/// verifier would follow the parser once for each place.
pub struct Vlan(Lane);

impl Interface for Vlan {
    #[inline(always)]
    fn slot(&self) -> u32 {
        self.0.slot()
    }

    #[inline(always)]
    fn place(&self) -> Place {
        self.0.place()
    }
}

impl Vlan {
    /// The VLAN of a frame that comes in; `None` if nobody named it.
    #[inline(always)]
    pub fn of_xdp(ctx: &XdpContext) -> Option<Self> {
        Self::of(vlan::id(&mut PacketCursor::of_xdp(ctx)))
    }

    /// The same for a frame that goes out. Its tag may be beside the frame instead of in it: the
    /// kernel keeps it there until the card, or the driver, writes it.
    #[inline(always)]
    pub fn of_skb(ctx: &TcContext) -> Option<Self> {
        // SAFETY: the context is the one that the kernel called us with.
        let present = unsafe { (*ctx.skb.skb).vlan_present };
        // SAFETY: as above.
        let tag = unsafe { (*ctx.skb.skb).vlan_tci };
        let beside = tag as u16 & vlan::ID_MASK;
        if present != 0 && beside != vlan::UNTAGGED {
            return Self::of(Some(beside));
        }
        Self::of(vlan::id(&mut PacketCursor::of_skb(ctx)))
    }

    #[inline(always)]
    fn of(id: Option<u16>) -> Option<Self> {
        let Some(id) = id else {
            // The parser will refuse the frame; it is counted under the card.
            return Some(Self(Lane::new(SLOT.load(), Place::Uplink)));
        };
        let table = VLANS.get(SLOT.load())?;
        // Linux 6.1 and 6.12 know no bounds of what was converted from big endian.
        let lane = table[as_written::and::<LAST_ID>(id.into()) as usize];
        lane.is_judged().then_some(Self(lane))
    }
}

/// What [`map::ENTRANCES`] says of a frame that goes out, if it is a forwarded one that was judged
/// where it came in. Judged again, as if a protected system had sent it, it would open flows in the
/// name of its sender.
#[inline(always)]
pub fn judged_at_ingress(ctx: &TcContext) -> Option<u32> {
    let from = entrance(ctx);
    if from == 0 {
        return None;
    }
    let words = ENTRANCES.get_ptr(0)?.cast::<u64>();
    // SAFETY: each place lies within the table, which lives as long as the map. Agents replace its words
    // as a whole.
    entrance::find(from, |place| unsafe {
        words.wrapping_add(place).read_volatile()
    })
}

/// Whether a frame that goes out came in at some interface, instead of being made on this machine.
#[inline(always)]
pub fn came_in(ctx: &TcContext) -> bool {
    entrance(ctx) != 0
}

/// The number of the interface that the frame came through last; 0 if it came through none.
#[inline(always)]
fn entrance(ctx: &TcContext) -> u32 {
    // SAFETY: the context is the one that the kernel called us with.
    unsafe { (*ctx.skb.skb).ingress_ifindex }
}
