//! The two hosts, the cable between them, and what listens on them.
//!
//! Their addresses are from the ranges kept for documentation (RFC 5737, RFC 3849). Servers listen
//! on the attempts' own ports, so that whatever is tried is answered as long as nobody interferes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::signals::Interrupt;
use sccm_tests::traffic::{Server, tcp_server, udp_echo_server};

use crate::attempt::{self, Kind, Opener};
use crate::web;

/// The cable's name on either host; it is theirs alone, whatever the machine calls its own.
pub const INTERFACE: &str = "eth0";

/// The client's addresses, IPv4 and IPv6.
pub const CLIENT: [IpAddr; 2] = addresses(10, 0x10);

/// The distribution point's addresses, IPv4 and IPv6.
pub const DISTRIBUTION_POINT: [IpAddr; 2] = addresses(20, 0x20);

/// Both hosts, with their servers running.
pub struct Hosts {
    // Servers first: they live in the namespaces.
    _servers: Vec<Server>,
    /// Who downloads, and who should not get any further.
    pub client: Namespace,
    /// Who is to be protected.
    pub distribution_point: Namespace,
}

impl Hosts {
    /// Makes the hosts and starts a server for every attempt.
    pub fn new(interrupt: &Interrupt) -> Result<Self> {
        let client = Namespace::new("client")?;
        interrupt.check()?;
        let distribution_point = Namespace::new("dp")?;
        interrupt.check()?;
        let (left, right) = veth_pair(&client, INTERFACE, &distribution_point, INTERFACE)?;
        for (end, [v4, v6]) in [(left, CLIENT), (right, DISTRIBUTION_POINT)] {
            end.address(&format!("{v4}/24"))?
                .address(&format!("{v6}/64"))?;
        }
        // Below the role's dynamic RPC ports, through which the answers would pass unasked.
        distribution_point.sysctl("net.ipv4.ip_local_port_range", "32768 49151")?;
        interrupt.check()?;
        let mut hosts = Self {
            _servers: Vec::new(),
            client,
            distribution_point,
        };
        hosts.listen()?;
        Ok(hosts)
    }

    /// The host that opens, and the one that answers.
    pub fn ends(&self, opener: Opener) -> (&Namespace, &Namespace) {
        match opener {
            Opener::Client => (&self.client, &self.distribution_point),
            Opener::DistributionPoint => (&self.distribution_point, &self.client),
        }
    }

    /// Empties both neighbour tables, so that the hosts must find each other anew.
    pub fn forget_neighbours(&self) -> Result<()> {
        for host in [&self.client, &self.distribution_point] {
            host.ip(&format!("neigh flush dev {INTERFACE}"))?;
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<()> {
        let mut servers = Vec::new();
        for attempt in attempt::all() {
            let address = SocketAddr::new(attempt.address(), attempt.port);
            let (_, listener) = self.ends(attempt.opener);
            match attempt.kind {
                Kind::Download => web::serve(listener, address)?,
                Kind::Tcp => servers.push(tcp_server(listener, address)?),
                Kind::Udp { .. } => servers.push(udp_echo_server(listener, address)?),
                Kind::Ping | Kind::Neighbour => {}
            }
        }
        self._servers = servers;
        Ok(())
    }
}

/// `192.0.2.FOUR` and `2001:db8::SIX`.
const fn addresses(four: u8, six: u16) -> [IpAddr; 2] {
    [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, four)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, six)),
    ]
}
