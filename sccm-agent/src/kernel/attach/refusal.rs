//! Why a driver refuses a program, in its own words.
//!
//! A BPF link that is refused comes back with an error number alone. Attaching over netlink, as it was
//! done before there were links, is refused for the same reason, and the answer has the driver's text
//! (`NETLINK_EXT_ACK`, include/uapi/linux/netlink.h). So the question is asked once more, that way.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io::Error;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// In the driver, where no program is (include/uapi/linux/if_link.h).
const UPDATE_IF_NOEXIST: u32 = 1 << 0;
const DRV_MODE: u32 = 1 << 2;
/// In place of a certain program.
const REPLACE: u32 = 1 << 4;

/// Where an answer to a message has what, with `NETLINK_CAP_ACK` (include/uapi/linux/netlink.h).
mod answer {
    pub(super) const FLAGS: usize = 6;
    pub(super) const ERROR: usize = 16;
    pub(super) const ATTRIBUTES: usize = 36;
    /// There are attributes.
    pub(super) const TLVS: u16 = 0x200;
    /// The attribute with the text.
    pub(super) const MESSAGE: u16 = 1;
    /// The bits of an attribute's type that are its number.
    pub(super) const NUMBER: u16 = 0x3fff;
}

/// What the driver of an interface says when it is asked to run the program natively. `None`: it says
/// nothing, or would run it now; it is then taken off again.
pub(super) fn words(program: BorrowedFd<'_>, interface: u32) -> Option<String> {
    let ask = |attributes| ask(interface, attributes).ok();
    let number = program.as_raw_fd();
    let said = ask(vec![
        LinkXdp::Fd(number),
        LinkXdp::Flags(DRV_MODE | UPDATE_IF_NOEXIST),
    ])?;
    if said.is_done {
        ask(vec![
            LinkXdp::Fd(-1),
            LinkXdp::Flags(DRV_MODE | REPLACE),
            LinkXdp::ExpectedFd(number.cast_unsigned()),
        ]);
    }
    said.text
}

/// The kernel's answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    is_done: bool,
    text: Option<String>,
}

fn ask(interface: u32, xdp: Vec<LinkXdp>) -> Result<Answer, Error> {
    let mut link = LinkMessage::default();
    link.header.index = interface;
    link.attributes = vec![LinkAttribute::Xdp(xdp)];
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_ext_ack(true)?;
    // The answer does not repeat the question.
    socket.set_cap_ack(true)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (bytes, _) = socket.recv_from_full()?;
    read(&bytes).ok_or_else(|| Error::other("the kernel's answer is cut off"))
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let error = i32::from_ne_bytes(*bytes.get(answer::ERROR..)?.first_chunk()?);
    let mut text = None;
    if half(bytes, answer::FLAGS)? & answer::TLVS != 0 {
        let mut rest = bytes.get(answer::ATTRIBUTES..)?;
        while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
            let Some(content) = rest.get(4..usize::from(length)) else {
                break;
            };
            if kind & answer::NUMBER == answer::MESSAGE {
                let content = content.split(|byte| *byte == 0).next().unwrap_or_default();
                text = Some(String::from_utf8_lossy(content).trim().to_owned());
            }
            rest = rest
                .get(usize::from(length).next_multiple_of(4)..)
                .unwrap_or_default();
        }
    }
    Some(Answer {
        is_done: error == 0,
        text: text.filter(|text| !text.is_empty()),
    })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// How to mend what a driver says about itself; `None` where only another mode helps. Texts are those
/// of drivers/net in Linux 6.18.
pub(super) fn remedy(words: &str, interface: &str) -> Option<String> {
    let words = words.to_lowercase();
    let speaks_of = |any: &[&str]| any.iter().any(|part| words.contains(part));
    let gro = speaks_of(&["gro_hw", "gro-hw", "hw-gro", "hw gro", "hw_gro"]);
    let lro = speaks_of(&["lro", "large receive"]);
    if gro || lro {
        let mut switches = Vec::new();
        if lro {
            switches.push("lro off");
        }
        if gro {
            switches.push("rx-gro-hw off");
        }
        let line = format!("run `ethtool -K {interface} {}`", switches.join(" "));
        // virtio_net without control of its offloads.
        return Some(match speaks_of(&["host is implementing"]) {
            true => format!(
                "{line}; if the card does not let you, have the virtual machine's host turn it off \
                 (guest_tso4, guest_tso6, guest_csum)"
            ),
            false => line,
        });
    }
    if speaks_of(&["data-split", "data split", "header split", "hds"]) {
        return Some(format!("run `ethtool -G {interface} tcp-data-split off`"));
    }
    if speaks_of(&["peer mtu"]) {
        return Some("lower the MTU of its other end: `ip link set dev PEER mtu 1500`".to_owned());
    }
    if speaks_of(&["mtu", "jumbo"]) {
        return Some(format!(
            "lower the MTU: `ip link set dev {interface} mtu 1500`"
        ));
    }
    if speaks_of(&["peer tx queues"]) {
        return Some(format!(
            "give it as many receive queues as its other end has transmit queues: `ethtool -L \
             {interface} rx N`"
        ));
    }
    if speaks_of(&["queue", "ring", "channel"]) {
        return Some(format!(
            "use fewer queues, so that each processor can have one for XDP: `ethtool -L {interface} \
             combined N`, at most half of what `ethtool -l {interface}` says"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer, as on this machine's byte order, with these attributes.
    fn answer(error: i32, flags: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 36];
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[16..20].copy_from_slice(&error.to_ne_bytes());
        for (kind, content) in attributes {
            bytes.extend((4 + content.len() as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_text_is_found_among_the_attributes() {
        let text = |bytes: &[u8]| read(bytes).unwrap().text;
        let bytes = answer(-34, 0x300, &[(2, &[1, 0, 0, 0]), (1, b"MTU too large\0")]);
        assert_eq!(text(&bytes), Some("MTU too large".to_owned()));
        assert!(!read(&bytes).unwrap().is_done);
        assert_eq!(text(&answer(-34, 0x100, &[])), None);
        assert_eq!(text(&answer(-34, 0x300, &[(1, b"\0")])), None);
        assert!(read(&answer(0, 0x100, &[])).unwrap().is_done);
        // Cut off anywhere, it is no text, or a part of it, and never more.
        for length in 0..bytes.len() {
            let cut = read(&bytes[..length]).and_then(|answer| answer.text);
            assert!(cut.is_none_or(|cut| "MTU too large".starts_with(&cut)));
        }
    }

    #[test]
    fn what_a_driver_says_is_mended_by_its_kind() {
        for (words, line) in [
            // veth
            ("Peer MTU is too large to set XDP", "mtu 1500"),
            (
                "XDP expects number of rx queues not less than peer tx queues",
                "ethtool -L eth0 rx N",
            ),
            // virtio_net
            (
                "Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first",
                "ethtool -K eth0 rx-gro-hw off`; if",
            ),
            (
                "Can't set XDP while host is implementing LRO, disable LRO first",
                "ethtool -K eth0 lro off",
            ),
            (
                "Too few free TX rings available",
                "ethtool -L eth0 combined N",
            ),
            (
                "MTU too large to enable XDP without frags",
                "dev eth0 mtu 1500",
            ),
            // mlx5, ena, bnxt
            (
                "can't set XDP while HW-GRO/LRO is on, disable them first",
                "ethtool -K eth0 lro off rx-gro-hw off",
            ),
            (
                "Failed to set xdp program, the Rx/Tx channel count should be at most half of the \
                 maximum allowed channel count",
                "ethtool -L eth0 combined N",
            ),
            (
                "ethtool rx/tx channels must be combined to support XDP.",
                "ethtool -L eth0 combined N",
            ),
            (
                "unable to propagate XDP to device using tcp-data-split",
                "ethtool -G eth0 tcp-data-split off",
            ),
        ] {
            let remedy = remedy(words, "eth0");
            assert!(
                remedy.as_ref().is_some_and(|text| text.contains(line)),
                "{words}: {remedy:?}"
            );
        }
        for words in ["Underlying driver does not support XDP in native mode", ""] {
            assert_eq!(remedy(words, "eth0"), None);
        }
    }
}
