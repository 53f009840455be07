//! The VLAN that a frame belongs to (IEEE 802.1Q).
//!
//! Read apart from the header, and only on cards whose VLANs are told apart. The
//! tag decides whose type is 0x8100 or 0x88a8: Linux makes devices of either for the
//! same id. A priority tag (id 0) names no VLAN, and the kernel looks behind it
//! however many there are (`__netif_receive_skb_core`, net/core/dev.c); whoever put
//! one in front could else walk past the VLAN that it is followed by.

use super::ethernet::{MAX_TAGS, ethertype};
use crate::cursor::Cursor;

/// The bits of a tag that are the id.
pub const ID_MASK: u16 = 0x0fff;

/// No VLAN at all, or only a priority.
pub const UNTAGGED: u16 = 0;

/// The id of the outermost tag that names a VLAN, or [`UNTAGGED`]. `None` for a frame
/// that [`super::parse`] refuses within its tags, under a reason of its own.
#[inline(always)]
pub fn id<C: Cursor>(cursor: &mut C) -> Option<u16> {
    let _addresses: [u8; 12] = cursor.take()?;
    let mut kind = u16::from_be_bytes(cursor.take()?);
    for _ in cursor.tags_beside()..MAX_TAGS {
        if !is_tag(kind) {
            return Some(UNTAGGED);
        }
        let tag: [u8; 4] = cursor.take()?;
        let id = u16::from_be_bytes([tag[0], tag[1]]) & ID_MASK;
        if id != UNTAGGED {
            return Some(id);
        }
        kind = u16::from_be_bytes([tag[2], tag[3]]);
    }
    (!is_tag(kind)).then_some(UNTAGGED)
}

#[inline(always)]
const fn is_tag(kind: u16) -> bool {
    kind == ethertype::VLAN || kind == ethertype::SERVICE_VLAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::SliceCursor;
    use crate::reason::Reason;
    use std::vec::Vec;

    /// A frame with these tags, as (type, tag control information), before ARP.
    fn tagged(tags: &[(u16, u16)]) -> Vec<u8> {
        let mut frame = std::vec![2; 12];
        for (kind, control) in tags {
            frame.extend(kind.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        frame.extend(ethertype::ARP.to_be_bytes());
        frame
    }

    fn id_of(frame: &[u8]) -> Option<u16> {
        id(&mut SliceCursor::new(frame))
    }

    #[test]
    fn the_first_tag_that_names_a_vlan_decides() {
        const C: u16 = ethertype::VLAN;
        const S: u16 = ethertype::SERVICE_VLAN;
        for (tags, expected) in [
            (&[] as &[_], UNTAGGED),
            (&[(C, 20)], 20),
            (&[(S, 20)], 20),
            (&[(C, 0xe000 | 20)], 20),
            (&[(C, 4095)], 4095),
            (&[(S, 100), (C, 20)], 100),
            (&[(C, 20), (C, 30), (C, 40)], 20),
            (&[(C, 0xe000)], UNTAGGED),
            (&[(C, 0), (C, 20)], 20),
            (&[(S, 0), (C, 0)], UNTAGGED),
        ] {
            assert_eq!(id_of(&tagged(tags)), Some(expected), "{tags:?}");
        }
    }

    #[test]
    fn what_is_not_known_the_parser_refuses() {
        let deep = tagged(&[(0x8100, 0), (0x8100, 0), (0x8100, 20)]);
        let short = tagged(&[(0x8100, 20)]);
        for (frame, reason) in [
            (&deep[..], Reason::VlanDepth),
            (&short[..13], Reason::EthernetTruncated),
            (&short[..17], Reason::VlanTruncated),
        ] {
            assert_eq!(id_of(frame), None);
            let parsed = crate::wire::parse(&mut SliceCursor::new(frame));
            assert_eq!(parsed.break_value(), Some(reason));
        }
    }
}
