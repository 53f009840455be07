//! The stage of most tests: a client and a distribution point on one cable.
//!
//! `eth0` on either side; the client has 192.0.2.1 and 2001:db8::1, the point 192.0.2.2 and
//! 2001:db8::2. Agents run in the point and pin below a bpf file system of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData};
use nix::net::if_::if_nametoindex;
use sccm_agent::kernel::tc_programs;
use sccm_common::{Hook, abi};
use serde_json::Value;

use super::{Agent, FORBIDDEN, Finished, command, run};
use crate::bpffs::BpfMount;
use crate::netns::{Namespace, veth_pair};
use crate::packet::Packet;
use crate::traffic::FrameSocket;

/// Two hosts and a place for pins; all of it goes when this is dropped.
#[derive(Debug)]
pub struct Hosts {
    /// The host that tries to get in.
    pub client: Namespace,
    /// The host that an agent protects.
    pub point: Namespace,
    bpf: BpfMount,
}

impl Hosts {
    /// The client's addresses, one of each family.
    pub const CLIENT: [IpAddr; 2] = addresses(1);
    /// The point's addresses, in the same order.
    pub const POINT: [IpAddr; 2] = addresses(2);

    /// Makes the hosts, the cable and the mount.
    pub fn new() -> Result<Self> {
        let hosts = Self {
            client: Namespace::new("client")?,
            point: Namespace::new("point")?,
            bpf: BpfMount::new()?,
        };
        hosts.join_by_cable()?;
        Ok(hosts)
    }

    /// Makes the cable, with new cards at both ends.
    pub fn join_by_cable(&self) -> Result<()> {
        let (client, point) = veth_pair(&self.client, "eth0", &self.point, "eth0")?;
        client.address("192.0.2.1/24")?.address("2001:db8::1/64")?;
        point.address("192.0.2.2/24")?.address("2001:db8::2/64")?;
        Ok(())
    }

    /// Where the point's agents pin; it exists once one has attached.
    pub fn pins(&self) -> PathBuf {
        self.bpf.path().join("agent")
    }

    /// `sccm-agent ARGUMENTS` in the point, with its pin directory.
    pub fn command(&self, arguments: &str) -> Result<Command> {
        command(&self.point, arguments, &self.pins())
    }

    /// Starts `sccm-agent enforce ARGUMENTS` in the point.
    pub fn enforce(&self, arguments: &str) -> Result<Agent<'_>> {
        let command = self.command(&format!("enforce {arguments}"))?;
        Agent::start(&self.point, command)
    }

    /// Runs `sccm-agent ARGUMENTS` in the point to its end.
    pub fn run(&self, arguments: &str) -> Result<Finished> {
        run(self.command(arguments)?)
    }

    /// What `sccm-agent status` says in the point.
    pub fn status(&self) -> Result<Status> {
        let finished = self.run("status -o json")?;
        let json = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("`status` printed {finished:?}"))?;
        Ok(Status {
            code: finished.code,
            json,
        })
    }

    /// An IPv4 and an IPv6 packet from the client to the point, with the real cards' addresses.
    pub fn packets(&self) -> Result<[Packet; 2]> {
        let from = self.client.interface("eth0").mac()?;
        let to = self.point.interface("eth0").mac()?;
        Ok([
            Packet::ipv4("192.0.2.1", "192.0.2.2"),
            Packet::ipv6("2001:db8::1", "2001:db8::2"),
        ]
        .map(|packet| packet.source_mac(from).destination_mac(to)))
    }

    /// Sends a frame so often, from the client through the cable.
    pub fn send(&self, frame: &[u8], count: u64) -> Result<()> {
        let socket = FrameSocket::open(self.client.interface("eth0"))?;
        (0..count).try_for_each(|_| socket.send(frame))
    }

    /// Sends so many SYNs to [`FORBIDDEN`] in each family.
    pub fn knock(&self, count: u64) -> Result<()> {
        let frames = self
            .packets()?
            .map(|packet| packet.tcp(40000, FORBIDDEN).syn().build());
        frames.iter().try_for_each(|frame| self.send(frame, count))
    }

    /// Writes another layout version into the pinned maps, as another agent's would have.
    pub fn set_layout_version(&self, version: u32) -> Result<()> {
        let pin = self.pins().join("maps").join(abi::map::ABI.name);
        let map = Map::from_map_data(MapData::from_pin(pin)?)?;
        Ok(Array::<_, u32>::try_from(map)?.set(0, version, 0)?)
    }

    /// Whether any XDP program hangs on an interface of the point, as `ip` sees it, or any program
    /// at TC ingress.
    pub fn is_hooked(&self, interface: &str) -> Result<bool> {
        let shown = self.point.ip(&format!("link show dev {interface}"))?;
        let at_tc = self.point.enter(|| {
            let index = if_nametoindex(interface)?;
            tc_programs(index, Hook::Ingress)
        })?;
        Ok(shown.contains("xdp") || !at_tc.is_empty())
    }
}

/// The answer of `sccm-agent status -o json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The exit code.
    pub code: Option<i32>,
    /// What was printed.
    pub json: Value,
}

impl Status {
    /// State and mode of an interface; `-` for one that is not listed, or has no mode.
    pub fn of(&self, interface: &str) -> (&str, &str) {
        let listed = self.json["interfaces"].as_array().into_iter().flatten();
        let entry = listed
            .into_iter()
            .find(|entry| entry["interface"] == interface);
        let text = |field: &str| entry.and_then(|entry| entry[field].as_str()).unwrap_or("-");
        (text("state"), text("mode"))
    }

    /// The active policy's generation; 0 if there is none.
    pub fn generation(&self) -> u64 {
        self.json["policy"]["generation"].as_u64().unwrap_or(0)
    }
}

const fn addresses(host: u8) -> [IpAddr; 2] {
    [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host as u16)),
    ]
}
