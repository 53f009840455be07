//! Why a packet passed or was dropped. Every packet ends with one of these reasons.
//!
//! The table below is the one statement of each: number, name, what happens to the packet, what it
//! means, and what to do about it. `docs/reasons.md` is generated from it.
//!
//! The numbers are an interface (metrics, events, pinned counters). Append only, never use one
//! again; a reason that is no longer given keeps its line. To add one, append a line and run
//! `UPDATE_DOCS=1 cargo test -p sccm-common --lib reason`.

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The packet goes on to the kernel.
    Pass,
    /// The packet is dropped (or, in observe mode, would be).
    Drop,
}

macro_rules! reasons {
    ($($name:ident = $number:literal, $label:literal, $disposition:ident, $meaning:literal, $advice:literal;)+) => {
        /// Why a packet passed or was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $meaning] $name = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of its numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The reason with this number; `None` for a number that this version does not know.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Its name in metrics, log lines and tables.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }

            /// What to do about it, as Markdown.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }

            /// What happens to the packet.
            #[inline(always)]
            #[must_use]
            pub const fn disposition(self) -> Disposition {
                match self { $(Self::$name => Disposition::$disposition,)+ }
            }
        }
    };
}

reasons! {
    Service = 0, "service", Pass,
        "The policy lets the sender use this service.",
        "Nothing. To see which link or rule allows it, run `sccm-agent explain`.";
    Reply = 1, "reply", Pass,
        "An answer in a flow that the protected system opened.",
        "Nothing.";
    Outbound = 2, "outbound", Pass,
        "Sent by the protected system.",
        "Nothing. To judge this traffic too, use `--outbound enforce`.";
    NotAllowed = 3, "not-allowed", Drop,
        "No link or rule allows the sender this service, and the packet answers nothing that the protected system opened.",
        "Run `sccm-agent blocked` to see who asks for what, and which links would allow it. If the sender holds such a role, add its address to that role under `[peers]`. If your site needs the port for something else, use `--allow`, or a rule in the policy file. Otherwise this is the agent at work.";
    OutboundNotAllowed = 4, "outbound-not-allowed", Drop,
        "No link or rule allows the protected system to open this.",
        "Occurs only with `--outbound enforce`. Find out which program opens the connection, and whether it should. If so, add a rule, or give the protected system the role that needs it.";
    UnlistedHost = 5, "unlisted-host", Drop,
        "To or from an address behind this machine that the policy does not list under `[[protect]]`.",
        "If it is a protected system, add its address to `[[protect]]`. Otherwise find out what that machine is.";

    Arp = 16, "arp", Pass,
        "Address resolution (RFC 826).",
        "Nothing: an essential.";
    Eapol = 17, "eapol", Pass,
        "Port authentication (IEEE 802.1X).",
        "Nothing: an essential.";
    Lldp = 18, "lldp", Pass,
        "Link layer discovery (IEEE 802.1AB).",
        "Nothing: an essential.";
    Stp = 19, "stp", Pass,
        "Spanning tree (IEEE 802.1D).",
        "Nothing: an essential.";
    SlowProtocol = 20, "slow-protocol", Pass,
        "Link aggregation and other slow protocols (IEEE 802.3, annex 57A).",
        "Nothing: an essential.";
    Ptp = 21, "ptp", Pass,
        "Precision time (IEEE 1588).",
        "Nothing: an essential.";
    IcmpError = 22, "icmp-error", Pass,
        "An ICMP error (unreachable, too big, time exceeded or parameter problem) about a packet of an allowed service, or, outbound, of a known flow. `--pass-unrelated-icmp-errors` lets all others pass under this reason, too.",
        "Nothing: an essential. If there are very many, look for what cannot be reached, or for somebody who forges them.";
    NeighbourDiscovery = 23, "neighbour-discovery", Pass,
        "IPv6 neighbour discovery (RFC 4861).",
        "Nothing: an essential.";
    Igmp = 24, "igmp", Pass,
        "Group membership, IPv4 (RFC 3376).",
        "Nothing: an essential.";
    Mld = 25, "mld", Pass,
        "Group membership, IPv6 (RFC 3810).",
        "Nothing: an essential.";
    DhcpReply = 26, "dhcp-reply", Pass,
        "An answer of a DHCP server to a client or a relay that asked: a protected system, or this \
         gateway itself.",
        "Nothing: an essential.";
    LaterFragment = 27, "later-fragment", Pass,
        "A later fragment whose first fragment was not seen. `--pass-orphan-fragments` lets it pass.",
        "Remove that setting if nothing needs it: nobody knows which service such a fragment belongs to.";
    OtherEthertype = 28, "other-ethertype", Pass,
        "A frame that is neither IP nor an essential. `--pass-other-ethertypes` lets it pass.",
        "Remove that setting if nothing needs it, or name the ethertypes that you need with `--pass-ethertype`.";

    FragmentFollows = 29, "fragment-follows", Pass,
        "A later fragment of a datagram whose first fragment passed.",
        "Nothing.";
    IcmpErrorRelated = 30, "icmp-error-related", Pass,
        "An ICMP error about a packet of a flow that the protected system opened.",
        "Nothing: an essential.";
    DhcpRequest = 31, "dhcp-request", Pass,
        "A request of a DHCP client among the protected systems.",
        "Nothing: an essential. It stays or goes with `dhcp-reply`.";
    OtherVlan = 32, "other-vlan", Pass,
        "A frame of a VLAN that nobody named, on a card of which only VLANs were named.",
        "Nothing, if that VLAN is not meant to be enforced. Otherwise name it, as in `--interface eth0.30`.";

    EthernetTruncated = 64, "ethernet-truncated", Drop,
        "The frame ends within its Ethernet header.",
        "Look for a faulty card, cable or driver.";
    VlanTruncated = 65, "vlan-truncated", Drop,
        "The frame ends within a VLAN tag.",
        "Look for a faulty card or driver, or for a program that sends broken frames.";
    VlanDepth = 66, "vlan-depth", Drop,
        "The frame has more than two VLAN tags.",
        "Name the interface behind the device that takes the outer tags off.";
    EthertypeRefused = 67, "ethertype-refused", Drop,
        "The frame is neither IP nor an essential of the link layer.",
        "`sccm-agent blocked --reason ethertype-refused` says what it is and who sends it. If your site needs it, use `--pass-ethertype`; for an 802.3 frame, `--pass-other-ethertypes`.";
    EssentialRemoved = 68, "essential-removed", Drop,
        "An essential that the settings removed.",
        "Nothing, if that is what you want. Otherwise remove it from `--without-essential` or `without-essentials`.";
    Ipv4Truncated = 69, "ipv4-truncated", Drop,
        "The frame ends within its IPv4 header.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv4Version = 70, "ipv4-version", Drop,
        "The frame is of ethertype IPv4, but its header is of another version.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv4HeaderLength = 71, "ipv4-header-length", Drop,
        "The IPv4 header length is below 20 bytes, or above the total length.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv4TotalLength = 72, "ipv4-total-length", Drop,
        "The IPv4 total length is longer than the frame.",
        "Look for a device that cuts frames off, such as one with a smaller MTU. If there is none, somebody sends broken packets: capture some.";
    Ipv6Truncated = 73, "ipv6-truncated", Drop,
        "The frame ends within its IPv6 header.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv6Version = 74, "ipv6-version", Drop,
        "The frame is of ethertype IPv6, but its header is of another version.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv6PayloadLength = 75, "ipv6-payload-length", Drop,
        "The IPv6 payload length is longer than the frame, or the packet says that it is a jumbogram, and this machine's kernel has not made it of many segments (BIG TCP).",
        "Look for a device that cuts frames off, such as one with a smaller MTU. Jumbograms (RFC 2675) are not supported.";
    Ipv6ExtensionTruncated = 76, "ipv6-extension-truncated", Drop,
        "An IPv6 extension header is longer than the packet.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    Ipv6ExtensionDepth = 77, "ipv6-extension-depth", Drop,
        "The packet has more than six IPv6 extension headers.",
        "No service of the port table needs so many. Somebody may be trying to hide the transport header.";
    Ipv6ExtensionOrder = 78, "ipv6-extension-order", Drop,
        "A hop-by-hop header is not the first extension header, or there is a second fragment header (RFC 8200, 4.1).",
        "Capture some, and look at who sends them: somebody may be trying to hide the transport header.";
    Ipv6RoutingHeader0 = 79, "ipv6-routing-header-0", Drop,
        "The packet has a routing header of type 0, which RFC 5095 forbids.",
        "Nothing uses it any more. Look at who sends it.";
    TcpTruncated = 80, "tcp-truncated", Drop,
        "The packet ends within its TCP header.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    TcpDataOffset = 81, "tcp-data-offset", Drop,
        "The TCP data offset is below 20 bytes, or beyond the packet.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    UdpTruncated = 82, "udp-truncated", Drop,
        "The packet ends within its UDP header.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    UdpLength = 83, "udp-length", Drop,
        "The UDP length is below 8 bytes, or beyond the packet.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    IcmpTruncated = 84, "icmp-truncated", Drop,
        "The packet ends within its ICMP, ICMPv6 or IGMP header.",
        "Capture some, and look at who sends them: this does not happen by itself.";
    FragmentTiny = 85, "fragment-tiny", Drop,
        "The first fragment is too short for its transport header (RFC 1858, 7112).",
        "No network stack makes such fragments. Somebody may be trying to hide the port: look at who sends them.";
    FragmentOverlap = 86, "fragment-overlap", Drop,
        "The fragment would overwrite the transport header of its datagram (RFC 1858, 3128).",
        "No network stack makes such fragments. Somebody may be trying to change a header that was judged: look at who sends them.";
    FragmentOversize = 87, "fragment-oversize", Drop,
        "The fragment ends beyond 65,535 bytes, where no datagram can.",
        "No network stack makes such fragments. It is an old attack (\"ping of death\"): look at who sends them.";
    LaterFragmentRefused = 88, "later-fragment-refused", Drop,
        "A later fragment whose first fragment was not seen, or was dropped.",
        "If the first fragment was dropped, its own reason says why. If fragments come in another order, `ethtool -N CARD rx-flow-hash udp4 sd` (and `udp6`) restores it; if they come by another path, use `--pass-orphan-fragments`.";
    NeighbourDiscoveryForged = 89, "neighbour-discovery-forged", Drop,
        "Neighbour discovery that did not come from the link, or in fragments (RFC 4861, 6980).",
        "Somebody beyond a router forges it. Look at the sender in `sccm-agent blocked`.";
    MembershipForged = 90, "membership-forged", Drop,
        "Group membership that did not come from the link.",
        "Look at the sender in `sccm-agent blocked`: either it forges such messages, or a device on the way forwards or changes them.";
    NoPolicy = 91, "no-policy", Drop,
        "The kernel program found no policy in its maps.",
        "Restart the agent. If it comes back, something else writes to the maps, or the agent has a bug: please report it.";
    SpoofedSource = 92, "spoofed-source", Drop,
        "The source is an address that nobody has on that side: this machine's own, that of a protected system behind this machine, or one that stands for no single system, such as a loopback, group or IPv4-mapped address.",
        "Somebody forges it: find the sender by its hardware address, with `sccm-agent capture`. If the address is that of a protected system behind another gateway, say `elsewhere = true` in its `[[protect]]`. If your routing brings such packets in on this side, name the address under `pass-sources`.";
    Ipv4SourceRoute = 93, "ipv4-source-route", Drop,
        "The packet has a source route (IPv4 option LSRR or SSRR), by which it would go on to others than its destination.",
        "Look at who sends it: almost nothing uses source routes but attempts to get round a filter. If you need them, use `--pass-source-routes`.";
    Ipv6RoutingHeader = 94, "ipv6-routing-header", Drop,
        "The packet has an IPv6 routing header with segments left, by which it would go on to others than its destination.",
        "Look at who sends it. If this network uses segment routing or Mobile IPv6, use `--pass-source-routes`.";
    Ipv4Options = 95, "ipv4-options", Drop,
        "An IPv4 option is shorter than two bytes, or longer than the header.",
        "Capture some, and look at who sends them: somebody may be trying to hide a source route.";
    IcmpErrorUnrelated = 96, "icmp-error-unrelated", Drop,
        "An ICMP error about nothing that can have gone this way: it quotes no packet of a known flow, and none of a service that the peer may use.",
        "After a restart, some are normal: they are about connections that are not known yet. Many from one sender are a scan. To pass them all, use `--pass-unrelated-icmp-errors`.";

    Pvst = 100, "pvst", Pass,
        "Spanning tree for each VLAN, as switches of Cisco speak it (PVST+).",
        "Nothing: an essential.";
    Udld = 101, "udld", Pass,
        "Detection of links that carry one way only (UDLD, RFC 5171).",
        "Nothing: an essential.";
    Cdp = 102, "cdp", Pass,
        "Discovery of neighbours, as switches of Cisco speak it (CDP).",
        "Nothing: an essential.";
    Vtp = 103, "vtp", Pass,
        "Distribution of VLANs between switches of Cisco (VTP).",
        "Nothing: an essential. If the switches on one side are not to tell the others their VLANs, use `--without-essential vtp`.";
    Dtp = 104, "dtp", Pass,
        "Negotiation of trunks between switches of Cisco (DTP).",
        "Nothing: an essential.";
    Pagp = 105, "pagp", Pass,
        "Link aggregation between switches of Cisco (PAgP).",
        "Nothing: an essential.";
    Mvrp = 106, "mvrp", Pass,
        "Registration of VLANs between bridges (MVRP, IEEE 802.1Q; GVRP before it).",
        "Nothing: an essential.";
    Mmrp = 107, "mmrp", Pass,
        "Registration of group addresses between bridges (MMRP, IEEE 802.1Q; GMRP before it).",
        "Nothing: an essential.";
    Cfm = 108, "cfm", Pass,
        "Fault management of Ethernet (CFM, IEEE 802.1Q; ITU-T G.8013).",
        "Nothing: an essential.";
    Erps = 109, "erps", Pass,
        "Protection switching of Ethernet rings (R-APS, ITU-T G.8032).",
        "Nothing: an essential.";
    Mka = 121, "mka", Pass,
        "MACsec key agreement (IEEE 802.1X, EAPOL-MKA).",
        "Nothing: an essential.";
    Rarp = 122, "rarp", Pass,
        "An announcement of a hardware address after a live migration, as virtual machine hosts send it (a RARP request, RFC 903).",
        "Nothing: an essential.";
    NamedEthertype = 123, "named-ethertype", Pass,
        "A frame of an ethertype that the settings name for the side on which it came in. `--pass-ethertype` lets it pass.",
        "Remove that setting if nothing needs it.";
    Probe = 124, "probe", Pass,
        "Data from the middle of a TCP stream that this gateway does not know: it has just begun, or has just become the master of a pair. A few such packets pass for half a minute, so that the protected system can answer if the stream is its own.",
        "Nothing, if connections are to survive that. `--no-probes` lets none pass.";
    RpcNotNamed = 125, "rpc-not-named", Drop,
        "A connection to the RPC dynamic range, at a port that no answer of the endpoint mapper has named to this client (`rpc = \"tracked\"`).",
        "`sccm-agent openings` says what was handed out, and why an answer opened nothing. A client that knows the port from before, or whose answers nobody can read, needs `rpc = \"static\"` for this system, or a rule of its own.";
}

impl Reason {
    /// Which row of per-service counters this reason has, if it has one.
    #[inline(always)]
    #[must_use]
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
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self.disposition(), Disposition::Pass)
    }

    /// Every reason to drop a packet, in the order of its numbers.
    pub fn drops() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|reason| !reason.passes())
    }
}

#[cfg(test)]
mod tests;
