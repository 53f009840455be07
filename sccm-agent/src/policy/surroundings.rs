//! What the agent knows of the machine that a policy is compiled for.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// Addresses of this machine, and what it knows of others. Not part of the policy as it was
/// written: it follows the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether this is a gateway, whose own addresses have rights of their own.
    pub is_gateway: bool,
    /// This machine's own addresses, sorted.
    pub own: Vec<IpAddr>,
    /// Broadcast addresses of its interfaces, sorted.
    pub broadcasts: Vec<Ipv4Addr>,
    /// Last addresses of further networks to which routes lead through the segment, sorted.
    pub far_broadcasts: Vec<Ipv4Addr>,
    /// Whether a bridge joins uplink and segment. No route tells then who is behind it, but the
    /// policy does.
    pub is_bridge: bool,
    /// Whether a multicast router runs, so that what comes in for a group may go on to the segment.
    pub routes_multicast: bool,
    /// Whether directed broadcasts that come in at the uplink are routed (`bc_forwarding`).
    pub routes_broadcasts: bool,
    /// Prefixes to which the machine has routes, sorted, and whether they lead to the segment. Of
    /// an address the narrowest counts; what has none is not in the segment.
    pub routes: Vec<(IpNet, bool)>,
}

impl Surroundings {
    /// A gateway with these addresses, of whose networks nothing is known.
    #[must_use]
    pub fn gateway(own: &[IpAddr]) -> Self {
        Self {
            is_gateway: true,
            own: own.to_vec(),
            ..Self::default()
        }
    }
}
