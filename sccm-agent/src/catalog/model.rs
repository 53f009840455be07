//! What the catalog is made of: roles, notes, links and services.
//!
//! The same types read the TOML and write the JSON, so the two cannot drift apart. What only some
//! editions have is left out of the JSON of the others.

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
    /// Its number, which another edition may give to another note.
    pub id: u8,
    /// What it is about, the same word in every edition: `wsus`.
    pub kind: String,
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

/// A role of an edition before, which this one has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// What users typed.
    pub id: RoleId,
    /// The role that took its place, if one did.
    pub replaced_by: Option<RoleId>,
    /// What became of it, in a sentence.
    pub reason: String,
}

/// A role that the table still has, and the product hardly or no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stale {
    /// The role.
    pub id: RoleId,
    /// Its state in the product, in a sentence.
    pub status: String,
}

/// A document that lines are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where it is kept.
    pub repository: String,
    /// What it is called there.
    pub path: String,
    /// The version that was read.
    pub commit: Option<String>,
    /// The date that it says it is of.
    pub date: Option<String>,
}

/// What other pages of the vendor add to the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Supplement {
    /// Computers that the document does not speak of.
    pub roles: Vec<Role>,
    /// Links that are in no table of the document.
    pub links: Vec<Link>,
}

impl Supplement {
    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.links.is_empty()
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
    /// The heading within the section, where the document has one for each arrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
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
    /// The document's line of the heading that starts it, from 1; none where a page was read in
    /// excerpts, which only those of the supplement are.
    pub line: Option<u32>,
    /// The document that `line` is of, where an edition has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
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
    /// The row's line in the document, from 1; none as for links.
    pub line: Option<u32>,
}

/// A setting of the site that says which ports a service has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// `client-notification-port`
    ClientNotification,
    /// `wake-up-proxy-port`
    WakeUpProxy,
    /// `express-updates-port`
    ExpressUpdates,
    /// `peer-cache-broadcast-port`
    PeerCacheBroadcast,
    /// `peer-cache-download-port`
    PeerCacheDownload,
    /// `sql-service-broker-port`
    SqlServiceBroker,
    /// `wsus-sql-port`
    WsusSql,
    /// `data-warehouse-sql-port`, and `sql-port` beside it.
    DataWarehouseSql,
    /// `reporting-http-port`
    ReportingHttp,
    /// `reporting-https-port`
    ReportingHttps,
    /// `enrollment-port`
    Enrollment,
    /// `certificate-registration-port`
    CertificateRegistration,
    /// `cmg-instances`: as many ports of the row.
    CmgInstances,
}

impl PortSetting {
    /// The setting, as flags and policy files name it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Http => "http-port",
            Self::Https => "https-port",
            Self::WsusHttp => "wsus-http-port",
            Self::WsusHttps => "wsus-https-port",
            Self::Sql => "sql-port",
            Self::WakeOnLan => "wake-on-lan-port",
            Self::AmtProvisioning => "amt-provisioning-port",
            Self::Multicast => "multicast-range",
            Self::ClientNotification => "client-notification-port",
            Self::WakeUpProxy => "wake-up-proxy-port",
            Self::ExpressUpdates => "express-updates-port",
            Self::PeerCacheBroadcast => "peer-cache-broadcast-port",
            Self::PeerCacheDownload => "peer-cache-download-port",
            Self::SqlServiceBroker => "sql-service-broker-port",
            Self::WsusSql => "wsus-sql-port",
            Self::DataWarehouseSql => "data-warehouse-sql-port",
            Self::ReportingHttp => "reporting-http-port",
            Self::ReportingHttps => "reporting-https-port",
            Self::Enrollment => "enrollment-port",
            Self::CertificateRegistration => "certificate-registration-port",
            Self::CmgInstances => "cmg-instances",
        }
    }
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
