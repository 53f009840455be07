//! What the parser hands to the verdict: the few facts that decide.

use crate::address::{Address, Family};
use crate::wire::transport::{ICMP_ECHO, ICMP_ECHO_REPLY, ICMPV6_ECHO, ICMPV6_ECHO_REPLY};

/// An IP protocol number (IANA "Protocol Numbers").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Internet control message protocol.
    pub const ICMP: Self = Self(1);
    /// Internet group management.
    pub const IGMP: Self = Self(2);
    /// Transmission control.
    pub const TCP: Self = Self(6);
    /// User datagram.
    pub const UDP: Self = Self(17);
    /// Generic routing encapsulation.
    pub const GRE: Self = Self(47);
    /// Encapsulating security payload.
    pub const ESP: Self = Self(50);
    /// Authentication header.
    pub const AH: Self = Self(51);
    /// IPv6: nothing follows (RFC 8200, 4.7).
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// Internet control message protocol for IPv6.
    pub const ICMPV6: Self = Self(58);

    /// Whether a message of this type is an echo request, of either ICMP.
    #[inline(always)]
    pub const fn is_echo_request(self, icmp_type: u8) -> bool {
        matches!(
            (self, icmp_type),
            (Self::ICMP, ICMP_ECHO) | (Self::ICMPV6, ICMPV6_ECHO)
        )
    }

    /// Whether a message of this type is an echo reply, of either ICMP.
    #[inline(always)]
    pub const fn is_echo_reply(self, icmp_type: u8) -> bool {
        matches!(
            (self, icmp_type),
            (Self::ICMP, ICMP_ECHO_REPLY) | (Self::ICMPV6, ICMPV6_ECHO_REPLY)
        )
    }
}

/// The flags byte of a TCP header (RFC 9293, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// SYN without ACK: opens a connection.
    #[inline(always)]
    pub const fn is_bare_syn(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// SYN with ACK: answers one.
    #[inline(always)]
    pub const fn is_syn_ack(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN | Self::ACK
    }

    /// RST: refuses or aborts one.
    #[inline(always)]
    pub const fn is_reset(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// ACK: the number of the next byte that is expected is there.
    #[inline(always)]
    pub const fn acknowledges(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// FIN or RST: the end of one.
    #[inline(always)]
    pub const fn is_closing(self) -> bool {
        self.0 & (Self::FIN | Self::RST) != 0
    }
}

/// Which part of its datagram a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// All of it, though a fragment header says otherwise (RFC 6946).
    Atomic,
    /// The first of several, with the transport header.
    First,
    /// A later one, without.
    Later,
}

impl Packet {
    /// Before anything was read.
    pub const NONE: Self = Self {
        family: Family::V4,
        source: Address::V4_UNSPECIFIED,
        destination: Address::V4_UNSPECIFIED,
        protocol: Protocol(0),
        hop_limit: 0,
        has_options: false,
        source_routed: false,
        fragment: Fragment::Whole,
        source_port: 0,
        destination_port: 0,
        tcp_flags: TcpFlags(0),
        tcp_sequence: 0,
        tcp_acknowledgement: 0,
        icmp_type: 0,
        fragment_id: 0,
        fragment_edge: 0,
        payload_offset: 0,
        payload: 0,
        ethertype: 0,
    };

    /// Whether this is an echo request, of either ICMP.
    #[inline(always)]
    pub const fn is_echo_request(&self) -> bool {
        self.protocol.is_echo_request(self.icmp_type)
    }

    /// Whether this is an echo reply, of either ICMP.
    #[inline(always)]
    pub const fn is_echo_reply(&self) -> bool {
        self.protocol.is_echo_reply(self.icmp_type)
    }
}

/// A parsed IP packet. Ports are in host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The sender.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// The transport protocol, behind all extension headers.
    pub protocol: Protocol,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// IPv4 options or an IPv6 hop-by-hop header are present.
    pub has_options: bool,
    /// An IPv4 source route, or an IPv6 routing header with segments left: the packet goes on
    /// to others than its destination.
    pub source_routed: bool,
    /// Which part of the datagram this is.
    pub fragment: Fragment,
    /// TCP and UDP: the port; ICMP echo reply: the identifier; otherwise 0.
    pub source_port: u16,
    /// TCP and UDP: the port; ICMP echo request: the identifier; otherwise 0.
    ///
    /// An echo request goes *to* its identifier and the reply comes *from* it,
    /// so that request and reply meet in one flow like any other exchange.
    pub destination_port: u16,
    /// TCP: the flags; otherwise 0.
    pub tcp_flags: TcpFlags,
    /// TCP: the number of its first byte in the stream (RFC 9293, 3.1); otherwise 0.
    pub tcp_sequence: u32,
    /// TCP: the number of the next byte that the sender expects, if it acknowledges; otherwise of no
    /// meaning.
    pub tcp_acknowledgement: u32,
    /// ICMP and ICMPv6: the type; otherwise 0.
    pub icmp_type: u8,
    /// Identification of the datagram that a fragment belongs to; of no meaning in a whole packet.
    pub fragment_id: u32,
    /// Of a first fragment: where in its datagram the transport header ends, in bytes, counted
    /// as fragment offsets are. Of a later one: where it begins. Otherwise of no meaning.
    pub fragment_edge: u16,
    /// Where in the frame the transport header ends, that of TCP without its options; 0 if none was
    /// read.
    pub payload_offset: u32,
    /// TCP, UDP, ICMP and IGMP: bytes behind the transport header, by the headers' own account;
    /// otherwise 0.
    pub payload: u32,
    /// Of a frame that ends as [`EthertypeRefused`](crate::Reason::EthertypeRefused): its type;
    /// otherwise 0, and for an 802.3 frame.
    pub ethertype: u16,
}
