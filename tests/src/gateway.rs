//! The stages on which protected systems sit behind something: a client, a gateway, a segment.
//!
//! The same addresses on every stage, so that a conversation reads the same wherever it is held.
//! *Routed*: the gateway forwards between two subnets. *Bridged*: it joins the two cables, and
//! both ends take the other subnet to be on their own cable. *Host*: no gateway; the agent is on
//! the protected system itself. The uplink's side has one host for everybody outside: the client,
//! a stranger (a second address of the same host) and "the Internet".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::agent::{Agent, command};
use crate::bpffs::BpfMount;
use crate::netns::{Interface, Namespace, veth_pair};

/// The client's addresses, one of each family; here and below in this order.
pub const CLIENT: [IpAddr; 2] = [v4([192, 0, 2, 10]), v6(1, 0x10)];

/// Further addresses of the client's host, for somebody else out there.
pub const STRANGER: [IpAddr; 2] = [v4([192, 0, 2, 11]), v6(1, 0x11)];

/// The gateway's addresses at its uplink.
pub const UPLINK: [IpAddr; 2] = [v4([192, 0, 2, 1]), v6(1, 1)];

/// The gateway's addresses at its segment.
pub const SEGMENT: [IpAddr; 2] = [v4([198, 51, 100, 1]), v6(2, 1)];

/// The protected system's addresses.
pub const SERVER: [IpAddr; 2] = [v4([198, 51, 100, 20]), v6(2, 0x20)];

/// Both families, as places in the constants above.
pub const FAMILIES: [usize; 2] = [0, 1];

/// What stands between the client and the protected system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A router.
    Routed,
    /// A bridge.
    Bridged,
    /// Nothing but a cable.
    Host,
}

/// All hosts, and a place for pins; all of it goes when this is dropped.
#[derive(Debug)]
pub struct Stage {
    /// Everybody outside; its card is `eth0`.
    pub client: Namespace,
    /// The protected system; its card is `eth0`.
    pub server: Namespace,
    /// Has the cards `up0` and `seg0`, and `br0` if it is a bridge.
    gateway: Option<Namespace>,
    topology: Topology,
    bpf: BpfMount,
}

impl Stage {
    /// Makes the hosts and joins them.
    pub fn new(topology: Topology) -> Result<Self> {
        let gateway = match topology {
            Topology::Host => None,
            Topology::Routed | Topology::Bridged => Some(Namespace::new("gateway")?),
        };
        let stage = Self {
            client: Namespace::new("client")?,
            server: Namespace::new("server")?,
            gateway,
            topology,
            bpf: BpfMount::new()?,
        };
        match topology {
            Topology::Routed => stage.route_between()?,
            Topology::Bridged => stage.bridge_between()?,
            Topology::Host => {
                let (outside, inside) = veth_pair(&stage.client, "eth0", &stage.server, "eth0")?;
                stage.give_neighbours(outside, inside)?;
            }
        }
        Ok(stage)
    }

    /// The gateway.
    ///
    /// # Panics
    /// On a stage without one.
    pub fn gateway(&self) -> &Namespace {
        self.gateway.as_ref().expect("this stage has a gateway")
    }

    /// What stands between the two.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// Starts `sccm-agent enforce` where it belongs on this stage, for `role` and with further
    /// arguments, separated by spaces.
    pub fn enforce(&self, role: &str, arguments: &str) -> Result<Agent<'_>> {
        let cards = match self.gateway {
            Some(_) => "--uplink up0 --segment seg0",
            None => "--interface eth0",
        };
        let line = format!("enforce --role {role} {cards} {arguments}");
        Agent::start(self.home(), self.command(&line)?).context(line)
    }

    /// Starts `sccm-agent enforce` for a distribution point, with these cards.
    pub fn enforce_cards(&self, cards: &str) -> Result<Agent<'_>> {
        let line = format!("enforce --role distribution-point {cards}");
        Agent::start(self.home(), self.command(&line)?).context(line)
    }

    /// Starts `sccm-agent ARGUMENTS` where it belongs on this stage.
    pub fn start(&self, arguments: &str) -> Result<Agent<'_>> {
        Agent::start(self.home(), self.command(arguments)?).with_context(|| arguments.to_owned())
    }

    /// `sccm-agent ARGUMENTS` where the agent belongs on this stage.
    pub fn command(&self, arguments: &str) -> Result<Command> {
        command(self.home(), arguments, &self.pins())
    }

    fn home(&self) -> &Namespace {
        self.gateway.as_ref().unwrap_or(&self.server)
    }

    /// Where the agent pins.
    pub fn pins(&self) -> PathBuf {
        self.bpf.path().join("agent")
    }

    /// Joins a router to the client by a new cable, after the old one has been deleted.
    pub fn replace_uplink(&self) -> Result<()> {
        let (outside, _) = veth_pair(&self.client, "eth0", self.gateway(), "up0")?;
        give_outside(outside)?;
        self.give_uplink("up0")?;
        routes(&self.client, UPLINK)
    }

    /// Joins a router to the protected system by a new cable, as above.
    pub fn replace_segment(&self) -> Result<()> {
        let (inside, card) = veth_pair(&self.server, "eth0", self.gateway(), "seg0")?;
        give(inside, &[SERVER])?;
        give(card, &[SEGMENT])?;
        routes(&self.server, SEGMENT)
    }

    /// Gives a router's card the addresses of the uplink that it has lost.
    pub fn give_uplink(&self, card: &str) -> Result<()> {
        for (address, length) in UPLINK.iter().zip([24, 64]) {
            self.gateway().ip(&format!(
                "address replace {address}/{length} dev {card} nodad"
            ))?;
        }
        Ok(())
    }

    fn route_between(&self) -> Result<()> {
        let gateway = self.gateway();
        gateway.sysctl("net.ipv4.ip_forward", "1")?;
        gateway.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        self.replace_uplink()?;
        self.replace_segment()
    }

    fn bridge_between(&self) -> Result<()> {
        let gateway = self.gateway();
        let (outside, _) = veth_pair(&self.client, "eth0", gateway, "up0")?;
        let (inside, _) = veth_pair(&self.server, "eth0", gateway, "seg0")?;
        gateway.ip("link add br0 type bridge")?;
        for card in ["up0", "seg0"] {
            gateway.ip(&format!("link set dev {card} master br0"))?;
        }
        give(gateway.interface("br0").up()?, &[UPLINK, SEGMENT])?;
        self.give_neighbours(outside, inside)
    }

    /// Addresses for two ends of what is one cable to them, with the other's subnet on it.
    fn give_neighbours(&self, outside: Interface, inside: Interface) -> Result<()> {
        give_outside(outside)?;
        give(inside, &[SERVER])?;
        for subnet in ["198.51.100.0/24", "2001:db8:2::/64"] {
            self.client.route(&format!("{subnet} dev eth0"))?;
        }
        for subnet in ["192.0.2.0/24", "2001:db8:1::/64"] {
            self.server.route(&format!("{subnet} dev eth0"))?;
        }
        Ok(())
    }
}

/// Makes a router the way to everywhere else.
fn routes(host: &Namespace, router: [IpAddr; 2]) -> Result<()> {
    for address in router {
        host.route(&format!("default via {address}"))?;
    }
    Ok(())
}

/// The client's addresses, and those of somebody else, which nobody has who does not ask for them.
fn give_outside(card: Interface) -> Result<()> {
    give(card, &[CLIENT])?;
    for (address, length) in STRANGER.iter().zip([24, 64]) {
        let line = format!("address add {address}/{length} dev eth0 nodad preferred_lft 0");
        card.namespace().ip(&line)?;
    }
    Ok(())
}

fn give(card: Interface, addresses: &[[IpAddr; 2]]) -> Result<()> {
    for [four, six] in addresses {
        card.address(&format!("{four}/24"))?
            .address(&format!("{six}/64"))?;
    }
    Ok(())
}

const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// `2001:db8:NET::HOST`.
const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host))
}
