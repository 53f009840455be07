//! Network interfaces, addresses and routes, as the kernel describes them over netlink.

mod describe;

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use std::collections::BTreeSet;
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
    /// Through its members: it is a bridge, bond, team or VRF.
    Group,
    /// Through itself, without an Ethernet header: a tunnel, PPP, InfiniBand.
    NoEthernet,
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
        let socket = self.open()?;
        let links = socket.link().get().execute();
        links
            .map_ok(|link| describe::describe(&link))
            .try_collect()
            .await
            .context("listing interfaces")
    }

    /// Every address of this network namespace, sorted.
    pub async fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        let held = self.addresses().await?;
        let addresses: BTreeSet<IpAddr> = held.into_iter().map(|(_, address)| address).collect();
        Ok(addresses.into_iter().collect())
    }

    /// The number of the interface that has `address`.
    pub async fn holder_of(&self, address: IpAddr) -> Result<Option<u32>> {
        let mut held = self.addresses().await?.into_iter();
        Ok(held
            .find(|(_, own)| *own == address)
            .map(|(index, _)| index))
    }

    /// Every address, with the number of its interface.
    async fn addresses(&self) -> Result<Vec<(u32, IpAddr)>> {
        let socket = self.open()?;
        let messages = socket.address().get().execute();
        let messages: Vec<AddressMessage> =
            messages.try_collect().await.context("listing addresses")?;
        let held = messages.iter().flat_map(|message| {
            message.attributes.iter().filter_map(|one| match one {
                AddressAttribute::Address(own) | AddressAttribute::Local(own) => {
                    Some((message.header.index, *own))
                }
                _ => None,
            })
        });
        Ok(held.collect())
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

/// Reports when interfaces, addresses or filters change.
pub struct Changes(Box<dyn Stream<Item = ()> + Send + Unpin>);

impl Changes {
    /// Starts to listen. Must be called within a tokio runtime.
    pub fn subscribe() -> Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Tc,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).context("listening to netlink")?;
        tokio::spawn(connection);
        Ok(Self(Box::new(messages.map(drop))))
    }

    /// Waits for the next change; `None` if the socket was closed.
    pub async fn next(&mut self) -> Option<()> {
        self.0.next().await
    }
}
