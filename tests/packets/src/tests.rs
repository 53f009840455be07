//! Every built form is read back by an independent parser (etherparse), checksums included.

mod internet;
mod link;
mod transport;

use etherparse::{
    Icmpv4Slice, Icmpv6Slice, IgmpSlice, Ipv4Slice, Ipv6Slice, NetSlice, SlicedPacket, TcpSlice,
    TransportSlice, UdpSlice,
};

fn parse(frame: &[u8]) -> SlicedPacket<'_> {
    SlicedPacket::from_ethernet(frame).expect("a correct frame parses")
}

fn ipv4<'a>(packet: &SlicedPacket<'a>) -> Ipv4Slice<'a> {
    match &packet.net {
        Some(NetSlice::Ipv4(slice)) => {
            let header = slice.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            slice.clone()
        }
        other => panic!("not IPv4: {other:?}"),
    }
}

fn ipv6<'a>(packet: &SlicedPacket<'a>) -> Ipv6Slice<'a> {
    match &packet.net {
        Some(NetSlice::Ipv6(slice)) => slice.clone(),
        other => panic!("not IPv6: {other:?}"),
    }
}

/// The TCP segment, its checksum verified.
fn tcp<'a>(packet: &SlicedPacket<'a>) -> TcpSlice<'a> {
    let Some(TransportSlice::Tcp(slice)) = &packet.transport else {
        panic!("not TCP: {:?}", packet.transport);
    };
    let expected = match &packet.net {
        Some(NetSlice::Ipv4(net)) => {
            let header = net.header();
            slice.calc_checksum_ipv4(header.source(), header.destination())
        }
        Some(NetSlice::Ipv6(net)) => {
            let header = net.header();
            slice.calc_checksum_ipv6(header.source(), header.destination())
        }
        other => panic!("not IP: {other:?}"),
    };
    assert_eq!(Ok(slice.checksum()), expected);
    slice.clone()
}

/// The UDP datagram, its checksum verified.
fn udp<'a>(packet: &SlicedPacket<'a>) -> UdpSlice<'a> {
    let Some(TransportSlice::Udp(slice)) = &packet.transport else {
        panic!("not UDP: {:?}", packet.transport);
    };
    let (header, payload) = (slice.to_header(), slice.payload());
    let expected = match &packet.net {
        Some(NetSlice::Ipv4(net)) => header.calc_checksum_ipv4(&net.header().to_header(), payload),
        Some(NetSlice::Ipv6(net)) => header.calc_checksum_ipv6(&net.header().to_header(), payload),
        other => panic!("not IP: {other:?}"),
    };
    assert_eq!(Ok(slice.checksum()), expected);
    slice.clone()
}

/// The ICMP message, its checksum verified.
fn icmp<'a>(packet: &SlicedPacket<'a>) -> Icmpv4Slice<'a> {
    let Some(TransportSlice::Icmpv4(slice)) = &packet.transport else {
        panic!("not ICMP: {:?}", packet.transport);
    };
    assert_eq!(
        slice.checksum(),
        slice.icmp_type().calc_checksum(slice.payload())
    );
    slice.clone()
}

/// The ICMPv6 message, its checksum verified.
fn icmpv6<'a>(packet: &SlicedPacket<'a>) -> Icmpv6Slice<'a> {
    let Some(TransportSlice::Icmpv6(slice)) = &packet.transport else {
        panic!("not ICMPv6: {:?}", packet.transport);
    };
    let net = ipv6(packet);
    assert!(slice.is_checksum_valid(net.header().source(), net.header().destination()));
    slice.clone()
}

/// The IGMP message, its checksum verified.
fn igmp<'a>(packet: &SlicedPacket<'a>) -> IgmpSlice<'a> {
    let Some(TransportSlice::Igmp(slice)) = &packet.transport else {
        panic!("not IGMP: {:?}", packet.transport);
    };
    assert!(slice.is_checksum_valid());
    slice.clone()
}
