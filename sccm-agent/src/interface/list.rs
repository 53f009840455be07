//! All interfaces, one after the other: a machine may have ten thousand.

use super::dump::dump_whole;
use super::{Interface, describe};
use anyhow::Result;
use netlink_packet_route::link::LinkMessage;
use rtnetlink::packet_core::Parseable as _;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use std::collections::BTreeMap;

/// include/uapi/linux/rtnetlink.h and if_link.h.
const RTM_GETLINK: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// An `ifinfomsg` that asks for all.
const ALL: [u8; 16] = [0; 16];

/// How often a list is requested again that changes while the kernel sends it.
const TRIES: u32 = 3;

/// Asks for all of them. Of a list that changes all the while, it is what each of some attempts
/// has told: an interface that is there all the time is not missing.
pub(super) fn interfaces() -> Result<Vec<Interface>> {
    let mut question = ALL.to_vec();
    question.extend(8_u16.to_ne_bytes());
    question.extend(IFLA_EXT_MASK.to_ne_bytes());
    question.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    let mut found = BTreeMap::new();
    for _ in 0..TRIES {
        let mut now = BTreeMap::new();
        let is_whole =
            dump_whole(
                NETLINK_ROUTE,
                RTM_GETLINK,
                &question,
                |body| match LinkMessage::parse(body) {
                    Ok(link) => {
                        let interface = describe::describe(&link);
                        now.insert(interface.index, interface);
                    }
                    Err(error) => tracing::debug!("an interface that cannot be read: {error:#}"),
                },
            )?;
        if is_whole {
            return Ok(now.into_values().collect());
        }
        found.append(&mut now);
    }
    Ok(found.into_values().collect())
}
