//! What drivers say that they can do for XDP programs (Linux 6.3 and newer; include/uapi/linux/netdev.h).

use super::dump::{attributes, dump};
use anyhow::{Context as _, Result};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use std::collections::BTreeMap;

/// What a driver can do as its card is set up now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs programs itself.
    pub native: bool,
    /// It hands over frames of several buffers: longer than a page.
    pub several_buffers: bool,
}

/// include/uapi/linux/genetlink.h
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_RX_SG: u64 = 32;

/// Bytes of `struct genlmsghdr`: command, version, nothing.
const HEADER: usize = 4;

/// Asks for all interfaces, by their numbers. Empty where the kernel does not tell.
///
/// # Errors
/// The kernel refuses the question.
pub fn xdp_features() -> Result<BTreeMap<u32, XdpFeatures>> {
    let mut family = None;
    dump(
        NETLINK_GENERIC,
        GENL_ID_CTRL,
        &[CTRL_CMD_GETFAMILY, 1, 0, 0],
        |body| {
            family = family.or(netdev(body));
        },
    )
    .context("asking for the families of netlink")?;
    let mut found = BTreeMap::new();
    if let Some(family) = family {
        dump(
            NETLINK_GENERIC,
            family,
            &[NETDEV_CMD_DEV_GET, 1, 0, 0],
            |body| found.extend(features(body)),
        )
        .context("asking for what drivers can do")?;
    }
    Ok(found)
}

/// The number of the family `netdev`, if that is the one described.
fn netdev(body: &[u8]) -> Option<u16> {
    let (mut id, mut is_netdev) = (None, false);
    for (number, value) in attributes(body.get(HEADER..)?) {
        match number {
            CTRL_ATTR_FAMILY_ID => id = value.first_chunk().map(|id| u16::from_ne_bytes(*id)),
            CTRL_ATTR_FAMILY_NAME => is_netdev = value == b"netdev\0",
            _ => {}
        }
    }
    id.filter(|_| is_netdev)
}

fn features(body: &[u8]) -> Option<(u32, XdpFeatures)> {
    let (mut index, mut bits) = (None, None);
    for (number, value) in attributes(body.get(HEADER..)?) {
        match number {
            NETDEV_A_DEV_IFINDEX => {
                index = value.first_chunk().map(|index| u32::from_ne_bytes(*index))
            }
            NETDEV_A_DEV_XDP_FEATURES => {
                bits = value.first_chunk().map(|bits| u64::from_ne_bytes(*bits))
            }
            _ => {}
        }
    }
    let bits = bits?;
    let features = XdpFeatures {
        native: bits & NETDEV_XDP_ACT_BASIC != 0,
        several_buffers: bits & NETDEV_XDP_ACT_RX_SG != 0,
    };
    Some((index?, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
        let length = (4 + value.len()) as u16;
        let mut bytes = [length.to_ne_bytes(), number.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_family_is_found_and_features_are_read() {
        let family = |name: &[u8]| [vec![0; 4], attribute(2, name), attribute(1, &[7, 0])].concat();
        assert_eq!(
            netdev(&family(b"netdev\0")),
            Some(u16::from_ne_bytes([7, 0]))
        );
        assert_eq!(netdev(&family(b"nl80211\0")), None);
        assert_eq!(netdev(&[0; 2]), None);
        let device = |bits: u64| {
            [
                vec![0; 4],
                attribute(1, &9_u32.to_ne_bytes()),
                attribute(3, &bits.to_ne_bytes()),
            ]
            .concat()
        };
        for (bits, native, several_buffers) in
            [(0, false, false), (1, true, false), (0x23, true, true)]
        {
            let expected = XdpFeatures {
                native,
                several_buffers,
            };
            assert_eq!(features(&device(bits)), Some((9, expected)), "{bits}");
        }
        assert_eq!(features(&device(1)[..12]), None);
    }
}
