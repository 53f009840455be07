//! Network interfaces, as the kernel describes them over netlink.

use crate::catalog::nearest;
use anyhow::{Context as _, Result, bail};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkXdp, XdpAttached};
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
    /// The XDP program on it, whoever put it there.
    pub xdp: Option<XdpProgram>,
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
            .map_ok(|link| {
                let up = link.header.flags.contains(LinkFlags::Up);
                describe(link.header.index, up, &link.attributes)
            })
            .try_collect()
            .await
            .context("listing interfaces")
    }

    /// The interface called `name`.
    ///
    /// # Errors
    /// There is none; the message names those that look alike.
    pub async fn interface(&self, name: &str) -> Result<Interface> {
        let all = self.interfaces().await?;
        let names: Vec<&str> = all
            .iter()
            .map(|interface| interface.name.as_str())
            .collect();
        let Some(place) = names.iter().position(|known| *known == name) else {
            let hint = match nearest(name, names.iter().copied()).as_slice() {
                [] => String::new(),
                alike => format!("; did you mean {}?", alike.join(" or ")),
            };
            bail!(
                "there is no interface `{name}`{hint} (there are: {})",
                names.join(", ")
            );
        };
        Ok(all[place].clone())
    }

    /// Every address of this machine, sorted.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        let mut addresses = BTreeSet::new();
        let socket = self.open()?;
        let mut messages = socket.address().get().execute();
        while let Some(message) = messages.try_next().await.context("listing addresses")? {
            for attribute in message.attributes {
                if let AddressAttribute::Address(own) | AddressAttribute::Local(own) = attribute {
                    addresses.insert(own);
                }
            }
        }
        Ok(addresses.into_iter().collect())
    }

    /// The number of the interface that holds `address`.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn holder_of(&self, address: IpAddr) -> Result<Option<u32>> {
        let socket = self.open()?;
        let mut messages = socket.address().get().execute();
        while let Some(message) = messages.try_next().await.context("listing addresses")? {
            let holds = |attribute: &AddressAttribute| match attribute {
                AddressAttribute::Address(held) | AddressAttribute::Local(held) => *held == address,
                _ => false,
            };
            if message.attributes.iter().any(holds) {
                return Ok(Some(message.header.index));
            }
        }
        Ok(None)
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

/// What the kernel reports of interfaces and addresses that change.
pub struct Changes(Box<dyn Stream<Item = ()> + Send + Unpin>);

impl Changes {
    /// Listens from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn subscribe() -> Result<Self> {
        let groups = [
            MulticastGroup::Link,
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

fn describe(index: u32, up: bool, attributes: &[LinkAttribute]) -> Interface {
    let mut interface = Interface {
        name: String::new(),
        index,
        up,
        controller: None,
        xdp: None,
    };
    for attribute in attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Controller(index) => interface.controller = Some(*index),
            LinkAttribute::Xdp(xdp) => interface.xdp = describe_xdp(xdp),
            _ => {}
        }
    }
    interface
}

fn describe_xdp(attributes: &[LinkXdp]) -> Option<XdpProgram> {
    let id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    })?;
    let generic = attributes.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some(XdpProgram { id, generic })
}
