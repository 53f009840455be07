//! What a site may set differently from the document's defaults.
//!
//! The document's notes say which ports a site can move, and which rules hold
//! between them. Each rule lives in a type, so that a [`Site`] that exists is
//! one that keeps them; [`SiteArgs::site`] is where user input becomes one.
//! [`Site::resolve`] then turns a row of the catalog into concrete ports.

mod args;
mod ports;
#[cfg(test)]
mod tests;

pub(crate) use args::known_feature;
pub use args::{SiteArgs, SiteError};
pub(crate) use ports::parse_port;
pub use ports::{HttpPorts, PortRange, WsusPorts};

use crate::catalog::{Link, PortSpec, Service};
use std::{collections::BTreeSet, num::NonZeroU16, ops::RangeInclusive};

/// The note on ports that the site can replace.
const ALTERNATE_PORT: u8 = 2;

/// The note on the two web sites of Windows Server Update Services.
const WSUS: u8 = 4;

/// The settings of one site. Ports that the document calls fixed are not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// HTTP and HTTPS where the document allows an alternate port (note 2).
    pub http: HttpPorts,
    /// HTTP and HTTPS of WSUS (note 4); `None` is both pairs that the document
    /// lists, 80 with 443 and 8530 with 8531.
    pub wsus: Option<WsusPorts>,
    /// SQL Server, TCP.
    pub sql: NonZeroU16,
    /// Wake on LAN, UDP.
    pub wake_on_lan: NonZeroU16,
    /// Provisioning of AMT management controllers, TCP.
    pub amt_provisioning: NonZeroU16,
    /// The TCP ports that the RPC endpoint mapper hands out.
    pub rpc_range: PortRange,
    /// The UDP ports of multicast deployment.
    pub multicast_range: PortRange,
    /// Note 6: links that cite it are opened by the site server only.
    pub site_server_initiated_only: bool,
    /// Links that list the RPC endpoint mapper alone get the dynamic ports too.
    pub rpc_dynamic_with_mapper: bool,
    /// The features whose `opt_in` links apply.
    pub features: BTreeSet<String>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            http: HttpPorts::default(),
            wsus: None,
            sql: port(1433),
            wake_on_lan: port(9),
            amt_provisioning: port(9971),
            rpc_range: PortRange::RPC,
            multicast_range: PortRange::MULTICAST,
            site_server_initiated_only: false,
            rpc_dynamic_with_mapper: false,
            features: BTreeSet::new(),
        }
    }
}

impl Site {
    /// Whether the link is part of this site's policy: `opt_in` links are not
    /// until their feature is enabled.
    #[must_use]
    pub fn applies(&self, link: &Link) -> bool {
        match &link.opt_in {
            Some(feature) => self.features.contains(feature),
            None => true,
        }
    }

    /// The service's ports at this site, in the catalog's order. Empty for
    /// ICMP, which has none.
    #[must_use]
    pub fn resolve(&self, service: &Service) -> Vec<RangeInclusive<u16>> {
        if let Some(port) = self.replaced(service) {
            return vec![port.get()..=port.get()];
        }
        if service.service == "multicast" {
            return vec![self.multicast_range.into()];
        }
        let concrete = |port: &PortSpec| match port {
            PortSpec::Range(range) => Some(range.clone()),
            PortSpec::Dynamic => Some(self.rpc_range.into()),
            PortSpec::EchoRequest => None,
        };
        service.ports.iter().filter_map(concrete).collect()
    }

    /// The one port that takes the place of the document's, if the site has one.
    fn replaced(&self, service: &Service) -> Option<NonZeroU16> {
        let cites = |note: u8| service.notes.contains(&note);
        match service.service.as_str() {
            "http" if cites(ALTERNATE_PORT) => Some(self.http.http()),
            "https" if cites(ALTERNATE_PORT) => Some(self.http.https()),
            "http" if cites(WSUS) => self.wsus.map(WsusPorts::http),
            "https" if cites(WSUS) => self.wsus.map(WsusPorts::https),
            "sql" => Some(self.sql),
            // Cites note 2 as well, but means a port of its own.
            "wake-on-lan" => Some(self.wake_on_lan),
            "amt-provisioning" => Some(self.amt_provisioning),
            _ => None,
        }
    }
}

/// A port that is known not to be 0 when the program is written.
const fn port(number: u16) -> NonZeroU16 {
    match NonZeroU16::new(number) {
        Some(port) => port,
        None => panic!("port 0"),
    }
}
