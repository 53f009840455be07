//! Single frames from the client to the protected system, past the kernels at both ends.
//!
//! For protocols that nobody here speaks, and for frames that no stack would send.

use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::gateway::{Stage, Topology};
use sccm_tests::packet::{MacAddress, Packet};
use sccm_tests::traffic::FrameSocket;

use super::support::PATIENCE;

/// What every frame carries, so that it is known again behind a router.
const MARK: &[u8] = b"sccm conversation";

/// Two packet sockets, one at either end.
pub struct Crossing {
    outside: FrameSocket,
    inside: FrameSocket,
    from: MacAddress,
    to: MacAddress,
}

impl Crossing {
    /// Opens the sockets on any stage.
    pub fn new(stage: &Stage) -> Result<Self> {
        let (client, server) = (
            stage.client.interface("eth0"),
            stage.server.interface("eth0"),
        );
        let next = match stage.topology() {
            Topology::Routed => stage.gateway().interface("up0"),
            Topology::Bridged | Topology::Host => server,
        };
        Ok(Self {
            outside: FrameSocket::open(client)?,
            inside: FrameSocket::open(server)?,
            from: client.mac()?,
            to: next.mac()?,
        })
    }

    /// The other way round, from the protected system to a client on its cable.
    pub fn back(stage: &Stage) -> Result<Self> {
        let there = Self::new(stage)?;
        Ok(Self {
            outside: there.inside,
            inside: there.outside,
            from: there.to,
            to: there.from,
        })
    }

    /// Sends a packet from the client.
    pub fn send(&self, packet: &Packet) -> Result<()> {
        let packet = packet
            .clone()
            .source_mac(self.from)
            .destination_mac(self.to);
        self.outside.send(&packet.build())
    }

    /// Sends a packet from the client with a mark as its payload; whether it arrives.
    pub fn reaches(&self, packet: Packet) -> Result<bool> {
        self.carries(packet, MARK)
    }

    /// The same with this payload, which nothing else here has.
    pub fn carries(&self, packet: Packet, data: &[u8]) -> Result<bool> {
        self.send(&packet.data(data))?;
        let arrived = self.inside.receive(PATIENCE, |frame| {
            frame.windows(data.len()).any(|bytes| bytes == data)
        })?;
        Ok(arrived.is_some())
    }
}

/// A packet between two addresses of one family.
pub fn packet(from: IpAddr, to: IpAddr) -> Packet {
    let (source, destination) = (from.to_string(), to.to_string());
    match from {
        IpAddr::V4(_) => Packet::ipv4(&source, &destination),
        IpAddr::V6(_) => Packet::ipv6(&source, &destination),
    }
}
