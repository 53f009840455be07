//! What a frame is, by etherparse's headers; which end a broken one comes to, by the reasons'
//! own descriptions (`sccm-common/src/reason.rs`, `docs`).
//!
//! Two habits of the program are known here because they decide between two names for the same
//! drop: the first bytes of an extension header are read before its packet's length is believed,
//! and a length field is checked before what it encloses.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice,
    Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice, UdpHeaderSlice,
};
use sccm_common::Reason;

/// Which part of its datagram a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Whole, with a fragment header.
    Atomic,
    First,
    Later,
}

/// What the transport header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp {
        ports: (u16, u16),
        syn: bool,
        ack: bool,
        fin: bool,
        rst: bool,
        has_data: bool,
    },
    /// `data`: bytes of it, by the header's own account.
    Udp { ports: (u16, u16), data: usize },
    /// ICMP, ICMPv6, IGMP.
    Control { kind: u8, identifier: u16 },
    /// No header that is read, or none in this part.
    Other,
}

/// An IP packet.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub hop_limit: u8,
    pub has_options: bool,
    /// It says by which way it goes on: a source route, a routing header with segments left.
    pub routed: bool,
    pub part: Part,
    /// In its datagram: where a later part begins, or the transport header of a first one ends.
    pub edge: usize,
    pub id: u32,
    pub transport: Transport,
    /// The frame behind the transport header; of ICMP and IGMP, the packet behind it.
    pub rest: &'a [u8],
}

impl Seen<'_> {
    pub fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }
}

/// The packet of a frame, or the reason at which it ends.
pub fn parse(frame: &[u8]) -> Result<Seen<'_>, Reason> {
    let ethernet =
        Ethernet2HeaderSlice::from_slice(frame).map_err(|_| Reason::EthernetTruncated)?;
    let mut kind = ethernet.ether_type();
    let mut rest = &frame[14..];
    for depth in 0.. {
        if !is_tag(kind) {
            break;
        }
        if depth == 2 {
            return Err(Reason::VlanDepth);
        }
        let tag = SingleVlanHeaderSlice::from_slice(rest).map_err(|_| Reason::VlanTruncated)?;
        kind = tag.ether_type();
        rest = &rest[4..];
    }
    match kind.0 {
        0x0800 => ipv4(rest),
        0x86dd => ipv6(rest),
        0x0806 => Err(Reason::Arp),
        // 802.1X: version, packet type; 5 is EAPOL-MKA.
        0x888e => Err(match rest.get(1) {
            Some(5) => Reason::Mka,
            _ => Reason::Eapol,
        }),
        0x88f5 => Err(Reason::Mvrp),
        0x88f6 => Err(Reason::Mmrp),
        // G.8013: level and version, operation; 40 is R-APS.
        0x8902 => Err(match rest.get(1) {
            Some(40) => Reason::Erps,
            _ => Reason::Cfm,
        }),
        // RFC 903, over Ethernet and IPv4: a request, with all its addresses.
        0x8035 if rest.len() >= 28 && rest.starts_with(b"\0\x01\x08\0\x06\x04\0\x03") => {
            Err(Reason::Rarp)
        }
        0x88cc => Err(Reason::Lldp),
        0x8809 => Err(Reason::SlowProtocol),
        0x88f7 => Err(Reason::Ptp),
        0..0x0600 if rest.len() < 2 => Err(Reason::EthernetTruncated),
        0..0x0600 => Err(llc(ethernet.destination(), rest)),
        _ => Err(Reason::EthertypeRefused),
    }
}

/// What an 802.3 frame is, by whom it is for and how it begins.
fn llc(to: [u8; 6], rest: &[u8]) -> Reason {
    let to = u64::from_be_bytes([0, 0, to[0], to[1], to[2], to[3], to[4], to[5]]);
    if rest.starts_with(&[0x42, 0x42]) {
        return match to {
            // Bridges, and those of providers.
            0x0180_c200_0000 | 0x0180_c200_0008 => Reason::Stp,
            // GARP's groups.
            0x0180_c200_0021 | 0x0180_c200_000d => Reason::Mvrp,
            0x0180_c200_0020 => Reason::Mmrp,
            _ => Reason::EthertypeRefused,
        };
    }
    let Some(&[0xaa, 0xaa, 0x03, 0x00, 0x00, 0x0c, high, low]) = rest.get(..8) else {
        return Reason::EthertypeRefused;
    };
    match (to, high, low) {
        (0x0100_0ccc_cccd, 0x01, 0x0b) => Reason::Pvst,
        (0x0100_0ccc_cccc, 0x01, 0x11) => Reason::Udld,
        (0x0100_0ccc_cccc, 0x01, 0x04) => Reason::Pagp,
        (0x0100_0ccc_cccc, 0x20, 0x00) => Reason::Cdp,
        (0x0100_0ccc_cccc, 0x20, 0x03) => Reason::Vtp,
        (0x0100_0ccc_cccc, 0x20, 0x04) => Reason::Dtp,
        _ => Reason::EthertypeRefused,
    }
}

/// The ethertype behind the tags of a frame; `None` for an 802.3 frame.
pub fn kind(frame: &[u8]) -> Option<u16> {
    let mut rest = frame.get(12..)?;
    while let [0x81, 0x00, _, _, behind @ ..] | [0x88, 0xa8, _, _, behind @ ..] = rest {
        rest = behind;
    }
    let &[high, low, ..] = rest else {
        return None;
    };
    Some(u16::from_be_bytes([high, low])).filter(|kind| *kind >= 0x0600)
}

/// The first id of a tag that names a VLAN, 0 without; `None` if the tags are broken.
pub fn vlan(frame: &[u8]) -> Option<u16> {
    let mut kind = Ethernet2HeaderSlice::from_slice(frame).ok()?.ether_type();
    let mut rest = &frame[14..];
    for _ in 0..2 {
        if !is_tag(kind) {
            return Some(0);
        }
        let tag = SingleVlanHeaderSlice::from_slice(rest).ok()?;
        if tag.vlan_identifier().value() != 0 {
            return Some(tag.vlan_identifier().value());
        }
        kind = tag.ether_type();
        rest = &rest[4..];
    }
    (!is_tag(kind)).then_some(0)
}

fn is_tag(kind: EtherType) -> bool {
    kind == EtherType::VLAN_TAGGED_FRAME || kind == EtherType::PROVIDER_BRIDGING
}

fn ipv4(rest: &[u8]) -> Result<Seen<'_>, Reason> {
    let &[first, _, high, low, ..] = rest.get(..20).ok_or(Reason::Ipv4Truncated)? else {
        return Err(Reason::Ipv4Truncated);
    };
    let mut total = usize::from(u16::from_be_bytes([high, low]));
    // Only this machine's kernel makes more of TCP than the field can tell, and leaves it 0. It puts
    // nothing together that has options.
    let plain = first == 0x45 && rest[6] & 0x3f == 0 && rest[7] == 0;
    if total == 0 && rest[9] == 6 && plain && rest.len() > 65_535 {
        total = rest.len();
    }
    let size = usize::from(first & 0x0f) * 4;
    match (first >> 4, size) {
        (4, 20..) if size <= total && total <= rest.len() => {}
        (4, 20..) if size <= total => return Err(Reason::Ipv4TotalLength),
        (4, _) => return Err(Reason::Ipv4HeaderLength),
        _ => return Err(Reason::Ipv4Version),
    }
    let header = Ipv4HeaderSlice::from_slice(rest).expect("all that it checks was checked");
    let offset = usize::from(header.fragments_offset().byte_offset());
    let seen = Seen {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol: header.protocol().0,
        hop_limit: header.ttl(),
        has_options: header.ihl() > 5,
        routed: source_route(header.options())?,
        edge: offset,
        part: match (offset, header.more_fragments()) {
            (0, false) => Part::Whole,
            (0, true) => Part::First,
            _ => Part::Later,
        },
        id: header.identification().into(),
        transport: Transport::Other,
        rest: &rest[size..],
    };
    if seen.part == Part::Later {
        return later(seen, total + offset, offset);
    }
    transport(seen, total - size)
}

/// Whether there is a loose or strict source route among options (RFC 791, 3.1).
fn source_route(mut options: &[u8]) -> Result<bool, Reason> {
    let mut found = false;
    loop {
        options = match *options {
            [] | [0, ..] => return Ok(found),
            [1, ref rest @ ..] => rest,
            [kind, size, ..] if (2..=options.len()).contains(&size.into()) => {
                found |= kind == 131 || kind == 137;
                &options[usize::from(size)..]
            }
            _ => return Err(Reason::Ipv4Options),
        };
    }
}

fn ipv6(rest: &[u8]) -> Result<Seen<'_>, Reason> {
    let first = *rest
        .get(..40)
        .and_then(|header| header.first())
        .ok_or(Reason::Ipv6Truncated)?;
    if first >> 4 != 6 {
        return Err(Reason::Ipv6Version);
    }
    let header = Ipv6HeaderSlice::from_slice(rest).expect("all that it checks was checked");
    let mut left = usize::from(header.payload_length());
    let mut next = header.next_header();
    let mut rest = &rest[40..];
    // As with IPv4. Some kernels put a jumbo payload option before it (RFC 2675), and no other.
    if left == 0 && rest.len() > 65_535 {
        let [a, b, c, d] = (rest.len() as u32).to_be_bytes();
        let is_jumbo = next.0 == 0 && rest.starts_with(&[6, 0, 0xc2, 4, a, b, c, d]);
        if next.0 == 6 || is_jumbo {
            left = rest.len();
        }
    }
    // Empty is only what says that nothing follows; else it would be a jumbogram.
    if (left == 0 && next != IpNumber::IPV6_NO_NEXT_HEADER) || left > rest.len() {
        return Err(Reason::Ipv6PayloadLength);
    }
    let (mut part, mut offset, mut id, mut has_options) = (Part::Whole, 0, 0, false);
    let mut routed = false;
    for walked in 0.. {
        // Hop by hop, routing, fragment, destination options. No stack reads a transport header
        // behind mobility, HIP or Shim6.
        if !matches!(next.0, 0 | 43 | 44 | 60) {
            break;
        }
        match (walked, next) {
            (6, _) => return Err(Reason::Ipv6ExtensionDepth),
            (1.., IpNumber::IPV6_HEADER_HOP_BY_HOP) => return Err(Reason::Ipv6ExtensionOrder),
            _ => {}
        }
        let start = rest.get(..8).ok_or(Reason::Ipv6ExtensionTruncated)?;
        let size;
        if next == IpNumber::IPV6_FRAGMENTATION_HEADER {
            let header = Ipv6FragmentHeaderSlice::from_slice(start).expect("eight bytes");
            if part != Part::Whole {
                return Err(Reason::Ipv6ExtensionOrder);
            }
            offset = usize::from(header.fragment_offset().byte_offset());
            id = header.identification();
            part = match (offset, header.more_fragments()) {
                (0, false) => Part::Atomic,
                (0, true) => Part::First,
                _ => Part::Later,
            };
            size = 8;
            next = header.next_header();
        } else {
            if next == IpNumber::IPV6_ROUTE_HEADER && start[2] == 0 {
                return Err(Reason::Ipv6RoutingHeader0);
            }
            has_options |= next == IpNumber::IPV6_HEADER_HOP_BY_HOP;
            routed |= next == IpNumber::IPV6_ROUTE_HEADER && start[3] > 0;
            let packet = &rest[..left];
            let header = Ipv6RawExtHeaderSlice::from_slice(packet)
                .map_err(|_| Reason::Ipv6ExtensionTruncated)?;
            size = header.slice().len();
            next = header.next_header();
            if part == Part::First {
                offset += size;
            }
        }
        left = left
            .checked_sub(size)
            .ok_or(Reason::Ipv6ExtensionTruncated)?;
        rest = &rest[size..];
        if part == Part::Later {
            break;
        }
    }
    let seen = Seen {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol: next.0,
        hop_limit: header.hop_limit(),
        has_options,
        routed,
        part,
        edge: offset,
        id,
        transport: Transport::Other,
        rest,
    };
    match part {
        Part::Later => later(seen, left + offset, offset),
        _ => transport(seen, left),
    }
}

/// `end`: where the fragment ends, as its family counts the size of a datagram.
fn later(seen: Seen<'_>, end: usize, offset: usize) -> Result<Seen<'_>, Reason> {
    if end > 65_535 {
        return Err(Reason::FragmentOversize);
    }
    // Only the first fragment of an IPv6 datagram says what it carries.
    if (seen.protocol == 6 || !seen.is_v4()) && offset < 20 {
        return Err(Reason::FragmentOverlap);
    }
    Ok(seen)
}

/// Reads the transport header within `left` bytes.
fn transport(mut seen: Seen<'_>, left: usize) -> Result<Seen<'_>, Reason> {
    let packet = &seen.rest[..left];
    let first = seen.part == Part::First;
    let short = |reason| if first { Reason::FragmentTiny } else { reason };
    let size = match seen.protocol {
        6 => {
            if packet.len() < 20 {
                return Err(short(Reason::TcpTruncated));
            }
            let tcp = TcpHeaderSlice::from_slice(packet).map_err(|error| match error {
                etherparse::err::tcp::HeaderSliceError::Len(_) => short(Reason::TcpDataOffset),
                etherparse::err::tcp::HeaderSliceError::Content(_) => Reason::TcpDataOffset,
            })?;
            seen.transport = Transport::Tcp {
                ports: (tcp.source_port(), tcp.destination_port()),
                syn: tcp.syn(),
                ack: tcp.ack(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                has_data: packet.len() > tcp.slice().len(),
            };
            seen.edge += tcp.slice().len();
            20
        }
        17 => {
            let udp =
                UdpHeaderSlice::from_slice(packet).map_err(|_| short(Reason::UdpTruncated))?;
            let length = usize::from(udp.length());
            if length < 8 || (length > packet.len() && !first) {
                return Err(Reason::UdpLength);
            }
            seen.transport = Transport::Udp {
                ports: (udp.source_port(), udp.destination_port()),
                data: length - 8,
            };
            seen.edge += 8;
            8
        }
        1 | 58 | 2 => {
            let &[kind, _, _, _, high, low, ..] =
                packet.get(..8).ok_or(short(Reason::IcmpTruncated))?
            else {
                return Err(short(Reason::IcmpTruncated));
            };
            seen.transport = Transport::Control {
                kind,
                identifier: u16::from_be_bytes([high, low]),
            };
            seen.edge += 8;
            8
        }
        _ => 0,
    };
    seen.rest = match seen.transport {
        Transport::Control { .. } => &packet[size..],
        _ => &seen.rest[size..],
    };
    Ok(seen)
}
