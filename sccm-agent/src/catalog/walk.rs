//! The table read from where one role stands: what others open to it, and what
//! it opens to others.
//!
//! A link with an arrow both ways counts in both. A role has the links of what
//! it is (`is_a`). The site's settings decide which links apply at all, and
//! which end of an arrow both ways may still open (note 6).

use super::{Catalog, Direction, Link, PortSpec, Protocol, Role, RoleId, SITE_SERVER, Service};
use crate::site::Site;

/// The note on who opens connections between site server and site systems.
const SITE_SYSTEM_COMMUNICATION: u8 = 6;

const RPC_ENDPOINT_MAPPER: &str = "rpc-endpoint-mapper";
const RPC_DYNAMIC: &str = "rpc-dynamic";

/// Picks the peer out of (role's lineage, opener, listener), if the role is concerned.
type Peer<'a> = fn(&[&'a RoleId], &'a RoleId, &'a RoleId) -> Option<&'a RoleId>;

impl Catalog {
    /// What others may open to this role: the link, the role that opens
    /// (perhaps [`ANY`](super::ANY)), and one service.
    pub fn links_into<'a>(
        &'a self,
        role: &'a Role,
        site: &'a Site,
    ) -> impl Iterator<Item = (&'a Link, &'a RoleId, &'a Service)> {
        self.walk(role, site, |lineage, opener, listener| {
            lineage.contains(&listener).then_some(opener)
        })
    }

    /// What this role may open to others: the link, the role that listens, and
    /// one service.
    pub fn links_out_of<'a>(
        &'a self,
        role: &'a Role,
        site: &'a Site,
    ) -> impl Iterator<Item = (&'a Link, &'a RoleId, &'a Service)> {
        self.walk(role, site, |lineage, opener, listener| {
            lineage.contains(&opener).then_some(listener)
        })
    }

    fn walk<'a>(
        &'a self,
        role: &'a Role,
        site: &'a Site,
        peer: Peer<'a>,
    ) -> impl Iterator<Item = (&'a Link, &'a RoleId, &'a Service)> {
        let lineage = self.lineage(role);
        let peers = move |link: &'a Link| -> Vec<(&'a Link, &'a RoleId)> {
            self.openings(link, site)
                .into_iter()
                .filter_map(|(opener, listener)| peer(&lineage, opener, listener))
                .map(|peer| (link, peer))
                .collect()
        };
        self.links
            .iter()
            .flat_map(peers)
            .flat_map(move |(link, peer)| {
                self.services(link, site)
                    .map(move |service| (link, peer, service))
            })
    }

    /// Who may open to whom on this link, as (opener, listener).
    fn openings<'a>(&self, link: &'a Link, site: &Site) -> Vec<(&'a RoleId, &'a RoleId)> {
        if !site.applies(link) {
            return Vec::new();
        }
        let mut openings = vec![(&link.from, &link.to)];
        // Between two of a kind, both ways is the same pair twice.
        if link.direction == Direction::EitherWay && link.from != link.to {
            openings.push((&link.to, &link.from));
            if site.site_server_initiated_only && link.notes.contains(&SITE_SYSTEM_COMMUNICATION) {
                openings.retain(|(opener, _)| self.is_site_server(opener));
            }
        }
        openings
    }

    fn is_site_server(&self, id: &RoleId) -> bool {
        self.find(id.as_str()).is_some_and(|role| {
            self.lineage(role)
                .iter()
                .any(|id| id.as_str() == SITE_SERVER)
        })
    }

    /// The link's services, and the dynamic RPC ports where the site adds them.
    fn services<'a>(&'a self, link: &'a Link, site: &Site) -> impl Iterator<Item = &'a Service> {
        let added = (site.rpc_dynamic_with_mapper && link.lacks_dynamic_ports())
            .then(|| self.rpc_dynamic())
            .flatten();
        link.services.iter().chain(added)
    }

    /// The dynamic RPC row, the same on every link that has one.
    fn rpc_dynamic(&self) -> Option<&Service> {
        self.links
            .iter()
            .flat_map(|link| &link.services)
            .find(|service| service.service == RPC_DYNAMIC)
    }
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

#[cfg(test)]
mod tests;
