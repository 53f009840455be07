//! Hands what is said to and by endpoint mappers to the agent: the kernel's side of
//! [`heard`](sccm_common::rpc::heard).
//!
//! Runs after the decision, and does not change it. Only a segment that counts comes here.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::Hook;
use sccm_common::abi::map;
use sccm_common::rpc::heard::{Desk, Header};

use crate::cursor::Frame;
use crate::desk;
use crate::maps::{array, per_cpu_array, ring_buf};
use crate::parse;
use crate::tables::now;

#[map]
static HEARD: RingBuf = ring_buf(&map::HEARD);

/// One element for each hook.
#[map]
static HEARING: PerCpuArray<Desk> = per_cpu_array(&map::HEARING);

/// Written by agents only: what became of the answers that they have read.
#[map]
static READ_OUTCOMES: Array<u64> = array(&map::READ_OUTCOMES);

/// Bytes of a TCP header without options (RFC 9293, 3.1), and where its length stands.
const TCP_HEADER: u32 = 20;
const DATA_OFFSET: u32 = 12;

/// Hands over a frame at the XDP hook.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_xdp(ctx: *mut xdp_md, marks: u32) -> u32 {
    tell(&XdpContext::new(ctx), Hook::Ingress, marks);
    0
}

/// The same at TC, on the way in or out.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_tc(ctx: *mut __sk_buff, hook: u32, marks: u32) -> u32 {
    tell(&TcContext::new(ctx), parse::hook_of(hook), marks);
    0
}

/// The same on the way out.
#[inline(always)]
pub fn tell_egress(ctx: *mut __sk_buff, marks: u32) {
    tell_tc(ctx, Hook::Egress as u32, marks);
}

#[inline(always)]
fn tell(frame: &impl Frame, hook: Hook, marks: u32) {
    let (Some(packet), Some(desk)) = (parse::packet(hook), HEARING.get_ptr_mut(hook as u32)) else {
        return;
    };
    // SAFETY: the element is this CPU's, and only this program's on it.
    let desk = unsafe { &mut *desk };
    let begin = packet.payload_offset.wrapping_sub(TCP_HEADER);
    // Two bytes, as the decision reads them.
    let Some([words, _]) = frame.copy(begin + DATA_OFFSET) else {
        return;
    };
    let length = u32::from(words >> 4) * 4 + packet.payload;
    desk.record.header = Header {
        source: packet.source,
        destination: packet.destination,
        at: now(),
        length,
        family: packet.family as u32,
        marks,
    };
    desk::send(&HEARD, desk, frame, begin, length);
}
