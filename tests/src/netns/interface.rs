//! Interfaces inside a namespace, and the cables between namespaces.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::ifaddrs::getifaddrs;

use super::{Namespace, ip};
use crate::packet::MacAddress;

/// One interface of a namespace. Each setting returns the interface, so that they chain with `?`.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'n> {
    namespace: &'n Namespace,
    name: &'n str,
}

/// Joins two namespaces by a cable, an interface on either side. Both are up and carry; they have
/// no address yet.
///
/// # Errors
/// When `ip` refuses, for example because the name is taken or longer than 15 bytes.
pub fn veth_pair<'n>(
    left: &'n Namespace,
    left_name: &'n str,
    right: &'n Namespace,
    right_name: &'n str,
) -> Result<(Interface<'n>, Interface<'n>)> {
    ip(&[
        "-n",
        left.name(),
        "link",
        "add",
        "name",
        left_name,
        "type",
        "veth",
        "peer",
        "name",
        right_name,
        "netns",
        right.name(),
    ])?;
    let (left, right) = (left.interface(left_name), right.interface(right_name));
    right.ip(&format!("link set dev {right_name} up"))?;
    Ok((left.up()?, right.up()?))
}

impl Namespace {
    /// The interface of this name, whether or not it exists yet.
    pub fn interface<'n>(&'n self, name: &'n str) -> Interface<'n> {
        Interface {
            namespace: self,
            name,
        }
    }
}

impl<'n> Interface<'n> {
    /// The interface's name.
    pub fn name(&self) -> &'n str {
        self.name
    }

    /// The namespace that it is in.
    pub fn namespace(&self) -> &'n Namespace {
        self.namespace
    }

    /// Adds an address with its prefix length, IPv4 or IPv6: `192.0.2.1/24`.
    pub fn address(self, address: &str) -> Result<Self> {
        let at_once = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!(
            "address add {address} dev {} {at_once}",
            self.name
        ))
    }

    /// Turns the interface on and waits until it carries: before that, the kernel throws away what
    /// is sent.
    pub fn up(self) -> Result<Self> {
        self.ip(&format!("link set dev {} up", self.name))?;
        for _ in 0..500 {
            let state = self
                .namespace
                .ip(&format!("-o link show dev {}", self.name))?;
            if state.contains(" state UP ") {
                return Ok(self);
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("{} in {} has no carrier", self.name, self.namespace.name())
    }

    /// Turns the interface off.
    pub fn down(self) -> Result<Self> {
        self.ip(&format!("link set dev {} down", self.name))
    }

    /// Sets the largest packet in bytes, without the Ethernet header.
    pub fn mtu(self, bytes: u32) -> Result<Self> {
        self.ip(&format!("link set dev {} mtu {bytes}", self.name))
    }

    /// The interface's Ethernet address.
    pub fn mac(&self) -> Result<MacAddress> {
        let find = || {
            getifaddrs()?
                .filter(|entry| entry.interface_name == self.name)
                .find_map(|entry| entry.address?.as_link_addr()?.addr())
                .context("no such interface")
        };
        self.namespace
            .enter(find)
            .with_context(|| format!("{} in {}", self.name, self.namespace.name()))
    }

    fn ip(self, arguments: &str) -> Result<Self> {
        self.namespace.ip(arguments).map(|_| self)
    }
}
