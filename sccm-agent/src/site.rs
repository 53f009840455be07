//! What a site may set differently from the document's defaults.
//!
//! The document's notes say which ports a site can move, and which rules hold
//! between them. Each rule lives in a type, so that a [`Site`] that exists is
//! one that keeps them; [`SiteArgs::site`] is where user input becomes one.
//! [`Site::resolve`] then turns a row of the catalog into concrete ports, and
//! [`Site::links_into`] and [`Site::links_out_of`] read the catalog for a role.

mod args;
mod ports;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use args::known_feature;
pub use args::{SiteArgs, SiteError};
pub use ports::{HttpPorts, PortRange, WsusPorts};
pub(crate) use ports::{parse_instances, parse_port};
pub use walk::Found;

use crate::catalog::{Catalog, Edition, Link, PortSetting, PortSpec, Service};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    ops::RangeInclusive,
};

/// One site: the edition that it runs, and what it sets. Ports that the document calls fixed
/// are not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The port table of its edition.
    pub catalog: &'static Catalog,
    /// HTTP and HTTPS where the document allows an alternate port.
    pub http: HttpPorts,
    /// HTTP and HTTPS of WSUS; `None` is both pairs that the document
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
    /// Other ports that the site has moved, each by the setting that rows name.
    pub moved: BTreeMap<PortSetting, NonZeroU16>,
    /// Instances of the cloud management gateway, each of which has a port of its own; `None`: as
    /// many as the document has ports for.
    pub cmg_instances: Option<NonZeroU16>,
    /// Links with an `opener` are opened by that end only.
    pub site_server_initiated_only: bool,
    /// Links that list the RPC endpoint mapper alone get the dynamic ports too.
    pub rpc_dynamic_with_mapper: bool,
    /// The features whose `opt_in` links apply.
    pub features: BTreeSet<String>,
}

impl Default for Site {
    /// The default edition, as the document describes it.
    fn default() -> Self {
        Self::new(Catalog::of(Edition::default()))
    }
}

impl Site {
    /// A site as the document describes it.
    #[must_use]
    pub fn new(catalog: &'static Catalog) -> Self {
        Self {
            catalog,
            http: HttpPorts::default(),
            wsus: None,
            sql: port(1433),
            wake_on_lan: port(9),
            amt_provisioning: port(9971),
            rpc_range: PortRange::RPC,
            multicast_range: PortRange::MULTICAST,
            moved: BTreeMap::new(),
            cmg_instances: None,
            site_server_initiated_only: false,
            rpc_dynamic_with_mapper: false,
            features: BTreeSet::new(),
        }
    }

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
        let set = service.port_from.and_then(|setting| self.set(setting));
        let mut ports = set.map_or_else(|| self.listed(service), |ports| vec![ports]);
        match service.port_from {
            // The role speaks with two databases: the site's, too.
            Some(PortSetting::DataWarehouseSql) => {
                let site = self.sql.get()..=self.sql.get();
                if !ports.contains(&site) {
                    ports.insert(0, site);
                }
            }
            Some(PortSetting::CmgInstances) => {
                if let Some(instances) = self.cmg_instances {
                    ports = ports
                        .into_iter()
                        .map(|range| first(range, instances))
                        .collect();
                }
            }
            _ => {}
        }
        ports
    }

    /// The ports that the document lists.
    fn listed(&self, service: &Service) -> Vec<RangeInclusive<u16>> {
        let concrete = |port: &PortSpec| match port {
            PortSpec::Range(range) => Some(range.clone()),
            PortSpec::Dynamic => Some(self.rpc_range.into()),
            PortSpec::EchoRequest => None,
        };
        service.ports.iter().filter_map(concrete).collect()
    }

    /// The ports of a setting; `None` where the document's stay.
    fn set(&self, setting: PortSetting) -> Option<RangeInclusive<u16>> {
        let port = match setting {
            PortSetting::Http => self.http.http(),
            PortSetting::Https => self.http.https(),
            PortSetting::WsusHttp => self.wsus?.http(),
            PortSetting::WsusHttps => self.wsus?.https(),
            PortSetting::Sql => self.sql,
            PortSetting::WakeOnLan => self.wake_on_lan,
            PortSetting::AmtProvisioning => self.amt_provisioning,
            PortSetting::Multicast => return Some(self.multicast_range.into()),
            other => *self.moved.get(&other)?,
        };
        Some(port.get()..=port.get())
    }
}

/// As many ports of a range, from its first.
fn first(range: RangeInclusive<u16>, many: NonZeroU16) -> RangeInclusive<u16> {
    let last = range.start().saturating_add(many.get() - 1);
    *range.start()..=last.min(*range.end())
}

/// A port that is known not to be 0 when the program is written.
const fn port(number: u16) -> NonZeroU16 {
    match NonZeroU16::new(number) {
        Some(port) => port,
        None => panic!("port 0"),
    }
}
