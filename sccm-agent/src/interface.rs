//! Network interfaces, as the kernel describes them over netlink.

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
    /// Its number, new whenever the card is created anew.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The number of the bond or bridge that it is a member of.
    pub controller: Option<u32>,
    /// Whether frames come in through it, or through others that it stands on.
    pub kind: Kind,
    /// The XDP program on it, whoever put it there.
    pub xdp: Option<XdpProgram>,
}

/// What an interface stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: frames come in through it.
    Card,
    /// The other end of a virtual cable, by its number if it is in the same network
    /// namespace.
    Veth {
        /// The other end.
        peer: Option<u32>,
    },
    /// One VLAN of another interface, which is absent here if it is in another network
    /// namespace.
    Vlan {
        /// The other interface.
        parent: Option<u32>,
        /// Which VLAN.
        id: u16,
    },
    /// The members that name it as their controller: a bridge, bond, team or VRF.
    Group,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's number of the program.
    pub id: u32,
    /// It runs in the kernel's stack, not in the driver.
    pub generic: bool,
}

/// The kernel's routing tables, in the network namespace of this process.
///
/// Every question has a socket of its own: the kernel refuses a second list on a
/// socket (EBUSY) while the first is not read to its end, be it that two tasks ask
/// at once, or that one stopped listening half-way.
#[derive(Debug, Clone)]
pub struct Netlink(());

impl Netlink {
    /// Sees whether the kernel can be asked. Must be called within a tokio runtime,
    /// like everything else here.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn connect() -> Result<Self> {
        let netlink = Self(());
        netlink.open().map(|_| netlink)
    }

    /// A socket. It is closed, whatever is still to come, when the handle is dropped.
    fn open(&self) -> Result<Handle> {
        let (connection, handle, _) = rtnetlink::new_connection().context("opening netlink")?;
        tokio::spawn(connection);
        Ok(handle)
    }

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn interfaces(&self) -> Result<Vec<Interface>> {
        let socket = self.open()?;
        let links = socket.link().get().execute();
        links
            .map_ok(|link| describe::describe(&link))
            .try_collect()
            .await
            .context("listing interfaces")
    }

    /// Every address of this machine, sorted.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        let held = self.addresses().await?;
        let addresses: BTreeSet<IpAddr> = held.into_iter().map(|(_, address)| address).collect();
        Ok(addresses.into_iter().collect())
    }

    /// The number of the interface that holds `address`.
    ///
    /// # Errors
    /// The kernel does not answer.
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
    ///
    /// # Errors
    /// None: an unreachable peer has no interface.
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

/// What the kernel reports of interfaces, addresses and filters that change.
pub struct Changes(Box<dyn Stream<Item = ()> + Send + Unpin>);

impl Changes {
    /// Listens from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
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

    /// Waits for the next change; `None` when there will be none.
    pub async fn next(&mut self) -> Option<()> {
        self.0.next().await
    }
}
