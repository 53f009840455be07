//! What the client sees of the point: servers there, and assertions about who reaches them.
//!
//! Servers listen on every address, and every assertion is about both families.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use super::Hosts;
use crate::traffic::{
    Outcome, PATIENCE, Server, tcp_connect_many, tcp_server, udp_echo_server, udp_exchange_many,
};

/// How long to wait for what must arrive, even on a busy machine that emulates another one: there
/// TCP may have to repeat a segment, after seconds.
pub const LONG: Duration = Duration::from_secs(30);

/// A TCP port that a distribution point's role needs.
pub const ALLOWED: u16 = 80;

/// A TCP port that it does not.
pub const FORBIDDEN: u16 = 21;

impl Hosts {
    /// Two hosts, with servers in the point on [`ALLOWED`] and [`FORBIDDEN`].
    pub fn with_servers() -> Result<(Self, Vec<Server>)> {
        let hosts = Self::new()?;
        let servers = hosts.tcp_servers(&[ALLOWED, FORBIDDEN])?;
        Ok((hosts, servers))
    }

    /// Asserts that the client reaches [`ALLOWED`] and not [`FORBIDDEN`].
    #[track_caller]
    pub fn assert_enforced(&self) {
        self.assert_tcp(&[ALLOWED], Outcome::Connected);
        self.assert_tcp(&[FORBIDDEN], Outcome::TimedOut);
    }

    /// TCP servers in the point.
    pub fn tcp_servers(&self, ports: &[u16]) -> Result<Vec<Server>> {
        let start = |port: &u16| tcp_server(&self.point, (Ipv6Addr::UNSPECIFIED, *port).into());
        ports.iter().map(start).collect()
    }

    /// UDP servers in the point.
    pub fn udp_servers(&self, ports: &[u16]) -> Result<Vec<Server>> {
        let any = Ipv6Addr::UNSPECIFIED;
        let start = |port: &u16| udp_echo_server(&self.point, (any, *port).into());
        ports.iter().map(start).collect()
    }

    /// Asserts what becomes of TCP connections from the client to these ports of the point.
    #[track_caller]
    pub fn assert_tcp(&self, ports: &[u16], expected: Outcome) {
        let patience = if expected == Outcome::Connected {
            LONG
        } else {
            PATIENCE
        };
        let to = at_point(ports);
        let outcomes = tcp_connect_many(&self.client, &to, patience);
        for (to, outcome) in to.iter().zip(outcomes) {
            assert_eq!(outcome, expected, "tcp {to}");
        }
    }

    /// Asserts whether UDP datagrams from the client to these ports of the point are answered.
    #[track_caller]
    pub fn assert_udp(&self, ports: &[u16], expected: bool) {
        let patience = if expected { LONG } else { PATIENCE };
        let to = at_point(ports);
        let answers = udp_exchange_many(&self.client, &to, patience);
        for (to, answered) in to.iter().zip(answers) {
            assert_eq!(answered, expected, "udp {to}");
        }
    }

    /// Asserts that nothing of an agent is on `eth0` or in the pin directory.
    #[track_caller]
    pub fn assert_untouched(&self) -> Result<()> {
        assert!(!self.is_hooked("eth0")?, "a program is on the card");
        assert!(!self.pins().exists(), "pins are left");
        Ok(())
    }
}

/// The ports at both addresses of the point.
fn at_point(ports: &[u16]) -> Vec<SocketAddr> {
    let at = |address: IpAddr| ports.iter().map(move |port| (address, *port).into());
    Hosts::POINT.into_iter().flat_map(at).collect()
}
