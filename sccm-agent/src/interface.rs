//! Network interfaces, addresses and routes, as the kernel describes them over netlink.

mod addresses;
mod changes;
mod describe;
pub mod dump;
mod features;
mod forwarding;
mod list;
mod neighbours;
mod routes;
mod translation;

pub use addresses::Addresses;
pub use changes::Changes;
pub use features::{XdpFeatures, xdp_features};
pub use forwarding::{routes, routes_broadcasts, routes_multicast};
pub use routes::Route;
pub use translation::{Translation, translation};

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressMessage;
pub use netlink_packet_route::link::BondMode;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::net::IpAddr;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number; another one when the interface is created anew.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The number of the bond or bridge that it is a member of.
    pub controller: Option<u32>,
    /// What kind of interface it is: frames come in through it, or through others.
    pub kind: Kind,
    /// The XDP program on it, whoever put it there.
    pub xdp: Option<XdpProgram>,
}

/// How frames reach an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Through itself.
    Card,
    /// Through itself: it is one end of a virtual cable.
    Veth {
        /// The number of the other end, if that is in the same network namespace.
        peer: Option<u32>,
    },
    /// Through another interface: it is one VLAN of that.
    Vlan {
        /// The number of the other interface, if that is in the same network namespace.
        parent: Option<u32>,
        /// The VLAN id.
        id: u16,
    },
    /// Through its members: it is a bridge, bond or team.
    Group {
        /// How it spreads frames over them, if it is a bond.
        bond: Option<BondMode>,
    },
    /// Through its members, between which it routes.
    Vrf,
    /// Through itself, as IP packets without any link header: tun, WireGuard, PPP, IP in IP.
    Tunnel,
    /// Through itself, with another link header than Ethernet's: InfiniBand, GRE.
    OtherLink,
}

/// The XDP program of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's id of the program.
    pub id: u32,
    /// Runs in the network stack, not in the driver.
    pub generic: bool,
}

/// Asks the kernel about the network namespace of this process.
///
/// Every question has a socket of its own. On a socket with an answer that was not read to its
/// end, the kernel refuses the next question (EBUSY); that happens when two tasks ask at the same
/// time, and when one stops reading.
#[derive(Debug, Clone)]
pub struct Netlink(());

impl Netlink {
    /// Fails if the kernel gives no netlink socket. Must be called within a tokio runtime, like
    /// all methods.
    pub fn connect() -> Result<Self> {
        let netlink = Self(());
        netlink.open().map(|_| netlink)
    }

    /// Opens a socket. It is closed when the handle is dropped, also before the answer's end.
    fn open(&self) -> Result<Handle> {
        let (connection, handle, _) = rtnetlink::new_connection().context("opening netlink")?;
        tokio::spawn(connection);
        Ok(handle)
    }

    /// All interfaces.
    pub async fn interfaces(&self) -> Result<Vec<Interface>> {
        // On no thread of its own: where none can be made, nobody would ever run this.
        list::interfaces().context("listing interfaces")
    }

    /// The addresses of this network namespace.
    pub async fn own_addresses(&self) -> Result<Addresses> {
        let socket = self.open()?;
        let messages = socket.address().get().execute();
        let messages: Vec<AddressMessage> =
            messages.try_collect().await.context("listing addresses")?;
        Ok(addresses::of(&messages))
    }

    /// The number of the interface that has `address`.
    pub async fn holder_of(&self, address: IpAddr) -> Result<Option<u32>> {
        let holders = self.own_addresses().await?.holders;
        Ok(holders
            .get(&address)
            .and_then(|holders| holders.first().copied()))
    }

    /// The unicast routes of all tables.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let socket = self.open()?;
            let mut query = RouteMessage::default();
            query.header.address_family = family;
            let mut messages = Box::pin(socket.route().get(query).execute());
            // One after the other: a router of the Internet has a million.
            while let Some(message) = messages.try_next().await.context("listing routes")? {
                found.extend(routes::of(&message));
            }
        }
        Ok(found)
    }

    /// The number of the member of a bridge behind which `peer` was seen last. `None` also where it
    /// is no neighbour on that bridge.
    pub async fn member_to(&self, peer: IpAddr, bridge: u32) -> Result<Option<u32>> {
        let neighbours = self.neighbours(AddressFamily::Unspec).await?;
        let Some(hardware) = neighbours::hardware_address(&neighbours, peer, bridge) else {
            return Ok(None);
        };
        let seen = self.neighbours(AddressFamily::Bridge).await?;
        Ok(neighbours::member_to(&seen, hardware, bridge))
    }

    async fn neighbours(&self, family: AddressFamily) -> Result<Vec<NeighbourMessage>> {
        let socket = self.open()?;
        let query = socket.neighbours().get().set_address_family(family);
        let messages = query.execute();
        messages.try_collect().await.context("listing neighbours")
    }

    /// The number of the interface through which `peer` is reached.
    pub async fn route_to(&self, peer: IpAddr) -> Option<u32> {
        let query: RouteMessage = match peer {
            IpAddr::V4(peer) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(peer, 32)
                .build(),
            IpAddr::V6(peer) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(peer, 128)
                .build(),
        };
        let socket = self.open().ok()?;
        let mut routes = Box::pin(socket.route().get(query).execute());
        let route = routes.try_next().await.ok()??;
        route
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
    }
}
