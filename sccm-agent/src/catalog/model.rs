//! What the catalog is made of: roles, notes, links and services.
//!
//! The same types read the TOML and write the JSON, so the two cannot drift
//! apart. Only a service's own line stays out of the JSON.

use super::PortSpec;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stands for any source: a valid `from`, but not a role.
pub const ANY: &str = "any";

/// The role that configures all others.
pub const SITE_SERVER: &str = "site-server";

const RPC_ENDPOINT_MAPPER: &str = "rpc-endpoint-mapper";

/// The id of a role, such as `distribution-point`, or `any` where a link starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RoleId(String);

impl RoleId {
    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RoleId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A kind of computer in the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// What users type.
    pub id: RoleId,
    /// What people call it.
    pub name: String,
    /// The role whose links it has as well.
    pub is_a: Option<RoleId>,
}

/// A numbered note of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Its number.
    pub id: u8,
    /// Its title in the document.
    pub title: String,
    /// Where it stands in the document, from 1.
    pub line: u32,
    /// The role that it is about, for a note that no row cites.
    pub role: Option<RoleId>,
    /// What it changes, in one sentence.
    pub effect: String,
}

/// Who may open connections on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Direction {
    /// `from` opens, `to` answers.
    #[serde(rename = "->")]
    OneWay,
    /// Either side opens.
    #[serde(rename = "<->")]
    EitherWay,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneWay => "->",
            Self::EitherWay => "<->",
        })
    }
}

/// Services between two roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The document's number or letter; a name for a table that has none.
    pub id: String,
    /// The heading of the document under which it stands.
    pub section: String,
    /// The role on the left of the arrow, or `any`.
    pub from: RoleId,
    /// The role on the right of the arrow.
    pub to: RoleId,
    /// The arrow.
    pub direction: Direction,
    /// When it applies at all, for people to read.
    pub condition: Option<String>,
    /// The feature that must be enabled before it is part of a policy.
    pub opt_in: Option<String>,
    /// The document's line of the heading that starts it, from 1.
    pub line: u32,
    /// The notes that the link as a whole cites.
    #[serde(default)]
    pub notes: Vec<u8>,
    /// The end that alone opens at a site with `site-server-initiated-only`.
    pub opener: Option<RoleId>,
    /// Its clients boot from the network: until they have an address, they ask for one.
    #[serde(default)]
    pub network_boot: bool,
    /// What is spoken on it.
    pub services: Vec<Service>,
}

impl Link {
    /// Whether the link lists the RPC endpoint mapper but not the dynamic ports
    /// that the mapper hands out: a connection then gets no further than the
    /// answer on port 135.
    #[must_use]
    pub fn lacks_dynamic_ports(&self) -> bool {
        let mapper = |service: &Service| {
            service.service == RPC_ENDPOINT_MAPPER && service.protocol == Protocol::Tcp
        };
        let dynamic = |service: &Service| service.ports.contains(&PortSpec::Dynamic);
        self.services.iter().any(mapper) && !self.services.iter().any(dynamic)
    }
}

/// One row of a link's table, for one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What is spoken, such as `http`; one id means one thing everywhere.
    pub service: String,
    /// The protocol that carries it.
    pub protocol: Protocol,
    /// The ports that the document lists, alternatives included.
    pub ports: Vec<PortSpec>,
    /// The notes that the row cites.
    #[serde(default)]
    pub notes: Vec<u8>,
    /// The setting whose ports take the place of `ports`, if the site may move them.
    pub port_from: Option<PortSetting>,
    /// The row's line in the document, from 1.
    #[serde(skip_serializing)]
    pub line: u32,
}

/// A setting of the site that says which ports a service has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PortSetting {
    /// `http-port`
    Http,
    /// `https-port`
    Https,
    /// `wsus-http-port`; not set: all ports of the row.
    WsusHttp,
    /// `wsus-https-port`; not set: all ports of the row.
    WsusHttps,
    /// `sql-port`
    Sql,
    /// `wake-on-lan-port`
    WakeOnLan,
    /// `amt-provisioning-port`
    AmtProvisioning,
    /// `multicast-range`
    Multicast,
}

/// What carries a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
    /// IPv4's IP protocol 1.
    Icmp,
    /// IPv6's next header 58.
    Icmpv6,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
        })
    }
}
