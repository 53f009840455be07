//! ICMP, ICMPv6 (with neighbour discovery and MLD) and IGMP messages.
//!
//! The helpers fill the message only. What a correct sender adds (hop limit 255, a router alert)
//! is for the test to add or to leave out. Those with a body use the payload for it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::protocol::{ICMP, ICMPV6, IGMP};
use super::transport::Transport;
use super::{Network, Packet, ipv4_address, ipv6_address};

/// "Excludes nothing": how a version 3 report says that it joins a group.
const CHANGE_TO_EXCLUDE: u8 = 4;

impl Packet {
    /// An ICMP message on IPv4.
    #[track_caller]
    pub fn icmp(self, kind: u8, code: u8) -> Self {
        self.control(ICMP, kind, code, [0; 4])
    }

    /// An ICMPv6 message.
    #[track_caller]
    pub fn icmpv6(self, kind: u8, code: u8) -> Self {
        self.control(ICMPV6, kind, code, [0; 4])
    }

    /// The four bytes behind the checksum of an ICMP, ICMPv6 or IGMP message, such as the MTU of
    /// a path-MTU message.
    #[track_caller]
    pub fn control_word(mut self, value: u32) -> Self {
        match &mut self.transport {
            Transport::Control { word, .. } => *word = value.to_be_bytes(),
            _ => panic!("control_word needs an ICMP, ICMPv6 or IGMP message first"),
        }
        self
    }

    /// An echo request, ICMP on IPv4 and ICMPv6 on IPv6, with sequence number 1.
    #[track_caller]
    pub fn icmp_echo_request(self, id: u16) -> Self {
        self.icmp_echo(8, 128, id)
    }

    /// An echo reply, ICMP on IPv4 and ICMPv6 on IPv6, with sequence number 1.
    #[track_caller]
    pub fn icmp_echo_reply(self, id: u16) -> Self {
        self.icmp_echo(0, 129, id)
    }

    #[track_caller]
    fn icmp_echo(self, icmp: u8, icmpv6: u8, id: u16) -> Self {
        let message = match self.network {
            Network::Ipv6(_) => self.icmpv6(icmpv6, 0),
            _ => self.icmp(icmp, 0),
        };
        message.control_word(u32::from(id) << 16 | 1)
    }

    /// A neighbour solicitation for `target` with the sender's Ethernet address in it.
    #[track_caller]
    pub fn neighbor_solicitation(self, target: &str) -> Self {
        let mut body = ipv6_address(target).octets().to_vec();
        body.extend([1, 1]); // source link-layer address, eight bytes long
        body.extend(self.ethernet.source);
        self.icmpv6(135, 0).data(body)
    }

    /// A solicited neighbour advertisement: `target` is at the sender's Ethernet address.
    #[track_caller]
    pub fn neighbor_advertisement(self, target: &str) -> Self {
        let mut body = ipv6_address(target).octets().to_vec();
        body.extend([2, 1]); // target link-layer address, eight bytes long
        body.extend(self.ethernet.source);
        self.control(ICMPV6, 136, 0, [0x60, 0, 0, 0]).data(body)
    }

    /// An MLD version 1 query for `group`; `::` asks for all groups.
    #[track_caller]
    pub fn mld_query(self, group: &str) -> Self {
        self.icmpv6(130, 0).data(ipv6_address(group).octets())
    }

    /// An MLD version 1 report of `group`.
    #[track_caller]
    pub fn mld_v1_report(self, group: &str) -> Self {
        self.icmpv6(131, 0).data(ipv6_address(group).octets())
    }

    /// An MLD version 2 report that joins `group`, as Linux and Windows send it.
    #[track_caller]
    pub fn mld_v2_report(self, group: &str) -> Self {
        let group: Ipv6Addr = ipv6_address(group);
        let record = [&[CHANGE_TO_EXCLUDE, 0, 0, 0], group.octets().as_slice()].concat();
        self.icmpv6(143, 0).control_word(1).data(record)
    }

    /// An IGMP version 2 query for `group`; `0.0.0.0` asks for all groups.
    #[track_caller]
    pub fn igmp_v2_query(self, group: &str) -> Self {
        self.control(IGMP, 0x11, 100, ipv4_address(group).octets())
    }

    /// An IGMP version 2 report of `group`.
    #[track_caller]
    pub fn igmp_v2_report(self, group: &str) -> Self {
        self.control(IGMP, 0x16, 0, ipv4_address(group).octets())
    }

    /// An IGMP version 2 message that leaves `group`.
    #[track_caller]
    pub fn igmp_v2_leave(self, group: &str) -> Self {
        self.control(IGMP, 0x17, 0, ipv4_address(group).octets())
    }

    /// An IGMP version 3 report that joins `group`, as Linux and Windows send it.
    #[track_caller]
    pub fn igmp_v3_report(self, group: &str) -> Self {
        let group: Ipv4Addr = ipv4_address(group);
        let record = [&[CHANGE_TO_EXCLUDE, 0, 0, 0], group.octets().as_slice()].concat();
        self.control(IGMP, 0x22, 0, [0, 0, 0, 1]).data(record)
    }

    #[track_caller]
    fn control(self, protocol: u8, kind: u8, code: u8, word: [u8; 4]) -> Self {
        self.carry(Transport::Control {
            protocol,
            kind,
            code,
            word,
        })
    }
}
