//! Why a packet passed or was dropped: every end of the program has a number.
//!
//! The numbers are an interface (metrics, events, pinned counters): append only,
//! never reuse one; a retired reason keeps its number. To add one: append it to
//! the list below, and `docs` and dashboards follow from its name.

/// What happens to a packet that ends with some reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The packet goes on to the kernel.
    Pass,
    /// The packet is dropped (or, in observe mode, would be).
    Drop,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $label:literal, $disposition:ident;)+) => {
        /// The end of a packet's way through the program.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of its numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in metrics, events and tables.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// One sentence for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            /// What happens to the packet.
            #[inline(always)]
            pub const fn disposition(self) -> Disposition {
                match self { $(Self::$name => Disposition::$disposition,)+ }
            }
        }
    };
}

reasons! {
    /// The policy lets the sender use this service.
    Service = 0, "service", Pass;
    /// An answer in a flow that the protected system opened.
    Reply = 1, "reply", Pass;
    /// Sent by the protected system.
    Outbound = 2, "outbound", Pass;
    /// No link of the protected roles, and no reply: the reason the program exists.
    NotAllowed = 3, "not-allowed", Drop;
    /// The protected system has no link that opens this.
    OutboundNotAllowed = 4, "outbound-not-allowed", Drop;
    /// To or from an address behind this machine that the policy does not list.
    UnlistedHost = 5, "unlisted-host", Drop;

    /// Address resolution (RFC 826).
    Arp = 16, "arp", Pass;
    /// Port authentication (IEEE 802.1X).
    Eapol = 17, "eapol", Pass;
    /// Link layer discovery (IEEE 802.1AB).
    Lldp = 18, "lldp", Pass;
    /// Spanning tree (IEEE 802.1D).
    Stp = 19, "stp", Pass;
    /// Link aggregation and other slow protocols (IEEE 802.3, annex 57A).
    SlowProtocol = 20, "slow-protocol", Pass;
    /// Precision time (IEEE 1588).
    Ptp = 21, "ptp", Pass;
    /// An ICMP error: unreachable, too big, time exceeded, parameter problem.
    IcmpError = 22, "icmp-error", Pass;
    /// IPv6 neighbour discovery (RFC 4861).
    NeighbourDiscovery = 23, "neighbour-discovery", Pass;
    /// Group membership, IPv4 (RFC 3376).
    Igmp = 24, "igmp", Pass;
    /// Group membership, IPv6 (RFC 3810).
    Mld = 25, "mld", Pass;
    /// A DHCP answer to a client among the protected systems.
    DhcpReply = 26, "dhcp-reply", Pass;
    /// A later fragment whose first was not seen; the setting lets them pass.
    LaterFragment = 27, "later-fragment", Pass;
    /// An ethertype other than IP; the setting lets them pass.
    OtherEthertype = 28, "other-ethertype", Pass;

    /// A later fragment of a datagram whose first passed.
    FragmentFollows = 29, "fragment-follows", Pass;
    /// An ICMP error about a packet of a flow that the protected system opened.
    IcmpErrorRelated = 30, "icmp-error-related", Pass;
    /// What a DHCP client among the protected systems asks; stays with `dhcp-reply`.
    DhcpRequest = 31, "dhcp-request", Pass;
    /// A frame of a VLAN that was not named, on a card whose VLANs were.
    OtherVlan = 32, "other-vlan", Pass;

    /// The frame ends within its Ethernet header.
    EthernetTruncated = 64, "ethernet-truncated", Drop;
    /// The frame ends within a VLAN tag.
    VlanTruncated = 65, "vlan-truncated", Drop;
    /// More than two VLAN tags.
    VlanDepth = 66, "vlan-depth", Drop;
    /// Neither IP nor one of the essential link protocols.
    EthertypeRefused = 67, "ethertype-refused", Drop;
    /// An essential that the settings took away.
    EssentialRemoved = 68, "essential-removed", Drop;
    /// The frame ends within its IPv4 header.
    Ipv4Truncated = 69, "ipv4-truncated", Drop;
    /// Ethertype IPv4, but another version in the header.
    Ipv4Version = 70, "ipv4-version", Drop;
    /// An IPv4 header length below 20 bytes or above the total length.
    Ipv4HeaderLength = 71, "ipv4-header-length", Drop;
    /// An IPv4 total length that is longer than the frame.
    Ipv4TotalLength = 72, "ipv4-total-length", Drop;
    /// The frame ends within its IPv6 header.
    Ipv6Truncated = 73, "ipv6-truncated", Drop;
    /// Ethertype IPv6, but another version in the header.
    Ipv6Version = 74, "ipv6-version", Drop;
    /// An IPv6 payload length that is longer than the frame, or a jumbogram.
    Ipv6PayloadLength = 75, "ipv6-payload-length", Drop;
    /// An extension header that is longer than the packet.
    Ipv6ExtensionTruncated = 76, "ipv6-extension-truncated", Drop;
    /// More than six extension headers.
    Ipv6ExtensionDepth = 77, "ipv6-extension-depth", Drop;
    /// A hop-by-hop header that is not the first, or a second fragment header (RFC 8200, 4.1).
    Ipv6ExtensionOrder = 78, "ipv6-extension-order", Drop;
    /// A routing header of type 0 (RFC 5095).
    Ipv6RoutingHeader0 = 79, "ipv6-routing-header-0", Drop;
    /// The packet ends within its TCP header.
    TcpTruncated = 80, "tcp-truncated", Drop;
    /// A TCP data offset below 20 bytes or beyond the packet.
    TcpDataOffset = 81, "tcp-data-offset", Drop;
    /// The packet ends within its UDP header.
    UdpTruncated = 82, "udp-truncated", Drop;
    /// A UDP length below 8 bytes or beyond the packet.
    UdpLength = 83, "udp-length", Drop;
    /// The packet ends within its ICMP, ICMPv6 or IGMP header.
    IcmpTruncated = 84, "icmp-truncated", Drop;
    /// A first fragment too short for its transport header (RFC 1858, 7112).
    FragmentTiny = 85, "fragment-tiny", Drop;
    /// A fragment that would overwrite the TCP header (RFC 1858, 3128).
    FragmentOverlap = 86, "fragment-overlap", Drop;
    /// A fragment that ends beyond 65,535 bytes.
    FragmentOversize = 87, "fragment-oversize", Drop;
    /// A later fragment whose first was not seen, or was dropped.
    LaterFragmentRefused = 88, "later-fragment-refused", Drop;
    /// Neighbour discovery from off the link, or in fragments (RFC 4861, 6980).
    NeighbourDiscoveryForged = 89, "neighbour-discovery-forged", Drop;
    /// Group membership that did not come from the link.
    MembershipForged = 90, "membership-forged", Drop;
    /// The tables could not be read: a bug or foreign hands on the maps.
    NoPolicy = 91, "no-policy", Drop;
}

impl Reason {
    /// Which row of per-service counters this reason has, if it has one.
    #[inline(always)]
    pub const fn service_row(self) -> Option<usize> {
        match self {
            Self::Service
            | Self::Reply
            | Self::Outbound
            | Self::NotAllowed
            | Self::OutboundNotAllowed
            | Self::UnlistedHost => Some(self as usize),
            _ => None,
        }
    }

    /// Whether the packet goes on.
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(self.disposition(), Disposition::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_labels_are_unique_and_ordered() {
        assert!(Reason::ALL.is_sorted_by_key(|reason| *reason as u8));
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
    }

    #[test]
    fn service_rows_are_the_first_numbers() {
        for reason in Reason::ALL {
            let expected =
                ((*reason as usize) < crate::counter::SERVICE_ROWS).then_some(*reason as usize);
            assert_eq!(reason.service_row(), expected, "{reason:?}");
        }
    }
}
