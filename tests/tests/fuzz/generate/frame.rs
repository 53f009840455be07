//! Frames, byte by byte. Checksums are 0: nobody reads them here.

use std::net::IpAddr;

/// An Ethernet frame.
pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The same frame behind one more tag.
pub fn tag(frame: &[u8], kind: u16, control: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(frame.len().min(12));
    let tag = [kind.to_be_bytes(), control.to_be_bytes()].concat();
    [addresses, &tag, rest].concat()
}

/// What an IP header says beside addresses and lengths.
#[derive(Debug, Clone, Copy)]
pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub hops: u8,
    pub id: u32,
    /// In units of 8 bytes.
    pub offset: u16,
    pub more: bool,
}

impl Ip {
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            hops: 64,
            id: 7,
            offset: 0,
            more: false,
        }
    }

    /// A frame with this payload. Fragments of IPv6 get their header.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        self.frame_with(&[], payload)
    }

    /// The same behind `extra`: options of IPv4, or extension headers of IPv6 as
    /// `(number, body)` would be chained.
    pub fn frame_with(&self, extra: &[(u8, Vec<u8>)], payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let options: Vec<u8> = extra.iter().flat_map(|(_, body)| body.clone()).collect();
                let size = 20 + options.len();
                let total = (size + payload.len()) as u16;
                let flags = self.offset | if self.more { 0x2000 } else { 0 };
                let mut packet = vec![0x40 | (size / 4) as u8, 0];
                packet.extend(total.to_be_bytes());
                packet.extend((self.id as u16).to_be_bytes());
                packet.extend(flags.to_be_bytes());
                packet.extend([self.hops, self.protocol, 0, 0]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet.extend(options);
                packet.extend(payload);
                ethernet(0x0800, &packet)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut extra = extra.to_vec();
                let has_its_place = extra.iter().any(|(number, _)| *number == 44);
                if (self.more || self.offset != 0) && !has_its_place {
                    extra.push((44, self.fragment()));
                }
                let mut chain = Vec::new();
                let mut next = self.protocol;
                for (number, body) in extra.iter().rev() {
                    let mut header = body.clone();
                    header[0] = next;
                    header.extend(&chain);
                    chain = header;
                    next = *number;
                }
                let length = (chain.len() + payload.len()) as u16;
                let mut packet = vec![0x60, 0, 0, 0];
                packet.extend(length.to_be_bytes());
                packet.extend([next, self.hops]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet.extend(chain);
                packet.extend(payload);
                ethernet(0x86dd, &packet)
            }
            _ => unreachable!("two ends of one family"),
        }
    }

    /// The body of a fragment header.
    pub fn fragment(&self) -> Vec<u8> {
        let mut body = vec![0, 0];
        body.extend((self.offset << 3 | u16::from(self.more)).to_be_bytes());
        body.extend(self.id.to_be_bytes());
        body
    }
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// A TCP segment.
pub fn tcp(ports: (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    tcp_numbered(ports, flags, (0, 0), data)
}

/// A TCP segment with the number of its first byte, and that of the byte expected next.
pub fn tcp_numbered(
    (from, to): (u16, u16),
    flags: u8,
    (sequence, expected): (u32, u32),
    data: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + data.len());
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(expected.to_be_bytes());
    segment.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
    segment.extend(data);
    segment
}

/// A UDP datagram.
pub fn udp((from, to): (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + data.len());
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend((8 + data.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    datagram
}

/// An ICMP, ICMPv6 or IGMP message.
pub fn control(kind: u8, identifier: u16, data: &[u8]) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    let mut message = vec![kind, 0, 0, 0, high, low, 0, 1];
    message.extend(data);
    message
}
