//! What a rule is about: some ports of a protocol, an ICMP type, a protocol.

use crate::catalog::{PortSpec, Protocol, Service, SetService};
use crate::site::Site;
use std::fmt;
use std::ops::RangeInclusive;

/// ICMP type of an echo request (RFC 792).
pub(super) const ICMP_ECHO_REQUEST: u8 = 8;
/// ICMPv6 type of an echo request (RFC 4443, 4.1).
pub(super) const ICMPV6_ECHO_REQUEST: u8 = 128;

/// Packets that one rule speaks of, seen from the one who listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// TCP destination ports.
    Tcp(RangeInclusive<u16>),
    /// UDP destination ports.
    Udp(RangeInclusive<u16>),
    /// An ICMP type.
    Icmp(u8),
    /// An ICMPv6 type.
    Icmpv6(u8),
    /// An IP protocol without ports.
    Protocol(u8),
}

impl Target {
    /// Echo requests of IPv4.
    pub const ECHO: Self = Self::Icmp(ICMP_ECHO_REQUEST);

    /// Echo requests of IPv6.
    pub const ECHO_V6: Self = Self::Icmpv6(ICMPV6_ECHO_REQUEST);

    /// A row of the catalog, with the site's ports.
    #[must_use]
    pub fn of_service(service: &Service, site: &Site) -> Vec<Self> {
        match service.protocol {
            Protocol::Tcp => site.resolve(service).into_iter().map(Self::Tcp).collect(),
            Protocol::Udp => site.resolve(service).into_iter().map(Self::Udp).collect(),
            Protocol::Icmp => echo(service, Self::ECHO),
            Protocol::Icmpv6 => echo(service, Self::ECHO_V6),
        }
    }

    /// A row of a set, with the site's dynamic ports.
    #[must_use]
    pub fn of_set(service: &SetService, site: &Site) -> Vec<Self> {
        let ports = service.ports.iter().filter_map(|port| match port {
            PortSpec::Range(range) => Some(range.clone()),
            PortSpec::Dynamic => Some(site.rpc_range.into()),
            PortSpec::EchoRequest => None,
        });
        match service.protocol {
            Protocol::Tcp => ports.map(Self::Tcp).collect(),
            Protocol::Udp => ports.map(Self::Udp).collect(),
            Protocol::Icmp => vec![Self::ECHO],
            Protocol::Icmpv6 => vec![Self::ECHO_V6],
        }
    }

    /// Whether everything that `other` speaks of is spoken of here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(own), Self::Tcp(other)) | (Self::Udp(own), Self::Udp(other)) => {
                own.start() <= other.start() && other.end() <= own.end()
            }
            _ => self == other,
        }
    }

    /// Whether both speak of some packet.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(own), Self::Tcp(other)) | (Self::Udp(own), Self::Udp(other)) => {
                own.start() <= other.end() && other.start() <= own.end()
            }
            _ => self == other,
        }
    }

    /// Its ports, its type, or its number.
    #[must_use]
    pub fn numbers(&self) -> RangeInclusive<u16> {
        match self {
            Self::Tcp(ports) | Self::Udp(ports) => ports.clone(),
            Self::Icmp(number) | Self::Icmpv6(number) | Self::Protocol(number) => {
                u16::from(*number)..=u16::from(*number)
            }
        }
    }

    /// The name of its protocol.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
            Self::Icmp(_) => "icmp",
            Self::Icmpv6(_) => "icmpv6",
            Self::Protocol(_) => "ip",
        }
    }
}

fn echo(service: &Service, target: Target) -> Vec<Target> {
    let asked = service.ports.contains(&PortSpec::EchoRequest);
    asked.then_some(target).into_iter().collect()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(ports) | Self::Udp(ports) => {
                write!(f, "{}/{}", self.protocol(), ports.start())?;
                if ports.start() != ports.end() {
                    write!(f, "-{}", ports.end())?;
                }
                Ok(())
            }
            Self::Icmp(kind) | Self::Icmpv6(kind) => write!(f, "{}/{kind}", self.protocol()),
            Self::Protocol(number) => write!(f, "ip/{number}"),
        }
    }
}
