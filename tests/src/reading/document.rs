//! The policy file as serde reads and writes it: no defaults are filled in, nothing is checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sccm_agent::catalog::{Catalog, Edition};
use serde::{Deserialize, Serialize};

use super::{Carrier, Span};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// `[site]`.
    pub site: Site,
    /// `[timeouts]`, in seconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub timeouts: BTreeMap<String, u32>,
    /// `[peers]`: role and holders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<BTreeMap<String, Vec<IpNet>>>,
    /// `[[protect]]`.
    pub protect: Vec<Entry>,
    /// `[[allow]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Rule>,
    /// `[outbound]`.
    #[serde(rename = "outbound")]
    pub outward: Outward,
    /// `[management]`.
    pub management: Management,
    /// `[[publish]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
}

/// `[[publish]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publish {
    /// `name`.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// One port of the gateway.
    pub ports: [u16; 1],
    /// The system behind it.
    pub to: IpAddr,
    /// The port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_port: Option<u16>,
    /// `reason`.
    pub reason: String,
}

/// `[site]`; a key that is `None`, `false` or empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Site {
    /// The edition; without it, 2007.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    /// Note 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Note 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
    /// Note 4; HTTPS follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wsus_http_port: Option<u16>,
    /// The port of `sql` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql_port: Option<u16>,
    /// The port of `wake-on-lan` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_on_lan_port: Option<u16>,
    /// The port of `amt-provisioning` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amt_provisioning_port: Option<u16>,
    /// The port of `client-notification` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_notification_port: Option<u16>,
    /// The port of `wake-up-proxy` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_up_proxy_port: Option<u16>,
    /// The port of `express-updates` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub express_updates_port: Option<u16>,
    /// The port of `peer-cache-broadcast` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_cache_broadcast_port: Option<u16>,
    /// The port of `peer-cache-download` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_cache_download_port: Option<u16>,
    /// The port of `sql-service-broker` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql_service_broker_port: Option<u16>,
    /// The port of the WSUS database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wsus_sql_port: Option<u16>,
    /// The port of the warehouse's database, beside that of the site's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_warehouse_sql_port: Option<u16>,
    /// HTTP of Reporting Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_http_port: Option<u16>,
    /// HTTPS of Reporting Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_https_port: Option<u16>,
    /// HTTPS of the enrollment point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrollment_port: Option<u16>,
    /// HTTPS of the certificate registration point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_registration_port: Option<u16>,
    /// As many ports of each range of the cloud management gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmg_instances: Option<u16>,
    /// `LOW-HIGH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_range: Option<String>,
    /// `static` or `tracked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// `LOW-HIGH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multicast_range: Option<String>,
    /// Note 6.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub site_server_initiated_only: bool,
    /// Dynamic ports where only the mapper is listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rpc_dynamic_with_mapper: bool,
    /// Features whose links apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    /// What happens to what is opened from inside.
    pub outbound: Outbound,
    /// Sources that may come in anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_sources: Vec<IpNet>,
    /// What is not the Internet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<Vec<IpNet>>,
    /// Names of essentials that are dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_essentials: Vec<String>,
    /// Later fragments pass without a first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pass_orphan_fragments: bool,
    pub pass_source_routes: bool,
    /// ICMP errors pass whatever they quote.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pass_unrelated_icmp_errors: bool,
    /// Other ethertypes pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pass_other_ethertypes: bool,
    /// Numbers of those that pass, some with `@` and a side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_ethertypes: Vec<String>,
}

/// `outbound`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outbound {
    /// Noted.
    #[default]
    Track,
    /// Judged.
    Enforce,
    /// Neither.
    Off,
}

/// An entry of `[[protect]]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Where it is; none: everywhere else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNet>,
    /// Whether it is behind another gateway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// As in [`Site`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
}

/// `[management]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Management {
    /// `[[management.allow]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Rule>,
}

/// An entry of `[[allow]]` or `[[management.allow]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called.
    pub name: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `gre`, `esp`, `ah` or `ip`.
    pub protocol: String,
    /// `22`, `5000-5010`, `echo-request`; none where the protocol says it all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// By whom.
    pub from: Addresses,
    /// Where; none: at all protected systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<IpNet>,
    /// Why.
    pub reason: String,
}

/// `[outbound]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outward {
    /// `[[outbound.allow]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<OutRule>,
}

/// An entry of `[[outbound.allow]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutRule {
    /// What it is called.
    pub name: String,
    /// As in [`Rule`].
    pub protocol: String,
    /// As in [`Rule`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// By which protected systems; none: by all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<IpNet>,
    /// Prefixes, roles and `internet`; or the word `any`.
    pub to: Ends,
    /// Why.
    pub reason: String,
}

/// A list, or a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ends {
    /// These.
    Listed(Vec<String>),
    /// `any`.
    Word(String),
}

impl Ends {
    /// The list; nothing for `any`.
    #[must_use]
    pub fn listed(&self) -> &[String] {
        match self {
            Self::Listed(listed) => listed,
            Self::Word(_) => &[],
        }
    }
}

/// Some addresses, or the word `any`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Addresses {
    /// These.
    Listed(Vec<IpNet>),
    /// `any`.
    Word(String),
}

impl Addresses {
    /// Every address.
    #[must_use]
    pub fn any() -> Self {
        Self::Word("any".to_owned())
    }

    /// The list; nothing for `any`.
    #[must_use]
    pub fn listed(&self) -> &[IpNet] {
        match self {
            Self::Listed(listed) => listed,
            Self::Word(_) => &[],
        }
    }
}

impl Document {
    /// Whether a relay of an IPv6 address is named, which then may ask DHCPv6.
    #[must_use]
    pub fn asks_dhcpv6(&self) -> bool {
        let mut relays = self
            .peers
            .iter()
            .filter_map(|peers| peers.get("dhcp-relay"));
        relays.any(|relays| relays.iter().any(|prefix| prefix.addr().is_ipv6()))
    }

    /// Whether ports of some system are open only once its endpoint mapper hands them out.
    #[must_use]
    pub fn tracks(&self) -> bool {
        let mut entries = self.protect.iter();
        entries.any(|entry| self.tracked_range(entry).is_some())
    }

    /// The dynamic range of RPC, if only what the mapper hands out of it is open at the systems of an
    /// entry.
    #[must_use]
    pub(super) fn tracked_range(&self, entry: &Entry) -> Option<Span> {
        let mode = entry.rpc.as_ref().or(self.site.rpc.as_ref());
        let (first, last) = self.site.dynamic();
        mode.is_some_and(|mode| mode == "tracked")
            .then(|| Span::new(Carrier::Tcp, first, last))
    }

    /// The port table of its edition.
    ///
    /// # Panics
    /// If there is no such edition.
    #[must_use]
    pub fn catalog(&self) -> &'static Catalog {
        let edition = self.site.edition.as_deref();
        let edition = edition.map_or(Edition::V2007, |name| name.parse().expect("an edition"));
        Catalog::of(edition)
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What the operator would have written.
    ///
    /// # Panics
    /// Never: every field has a form in TOML.
    #[must_use]
    pub fn toml(&self) -> String {
        toml::to_string(self).expect("every field has a form in TOML")
    }
}
