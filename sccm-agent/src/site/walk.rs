//! The table read from where one role stands: what others open to it, and what
//! it opens to others.
//!
//! A link with an arrow both ways counts in both. A role has the links of what
//! it is (`is_a`). The site's settings decide which links apply at all, and
//! which end of an arrow both ways may still open.

use super::Site;
use crate::catalog::{ANY, Direction, Link, Role, RoleId, Service};

const RPC_DYNAMIC: &str = "rpc-dynamic";

/// Picks the peer out of (role's lineage, opener, listener), if the role is concerned.
type Peer = fn(&[&RoleId], &'static RoleId, &'static RoleId) -> Option<&'static RoleId>;

/// A link, the role at its other end (perhaps [`ANY`](crate::catalog::ANY)), and one service.
pub type Found = (&'static Link, &'static RoleId, &'static Service);

impl Site {
    /// What others may open to this role, and the role that opens.
    pub fn links_into(&self, role: &Role) -> impl Iterator<Item = Found> {
        self.walk(role, |lineage, opener, listener| {
            lineage.contains(&listener).then_some(opener)
        })
    }

    /// What this role may open to others, and the role that listens.
    pub fn links_out_of(&self, role: &Role) -> impl Iterator<Item = Found> {
        self.walk(role, |lineage, opener, listener| {
            lineage.contains(&opener).then_some(listener)
        })
    }

    /// The roles that a sentence about [`ANY`](crate::catalog::ANY) means where peers are named:
    /// those to which a table gives one of its services at the same listener.
    #[must_use]
    pub fn openers_by_tables(&self, sentence: &Link) -> Vec<&'static RoleId> {
        let alike = |link: &&Link| link.id == sentence.id && link.to == sentence.to;
        let alike = self.catalog.all_links().filter(alike);
        let spoken: Vec<&Service> = alike.flat_map(|link| &link.services).collect();
        let same = |row: &Service| {
            let mut spoken = spoken.iter();
            spoken.any(|other| (&other.service, other.protocol) == (&row.service, row.protocol))
        };
        let tables = self.catalog.all_links();
        let mut openers: Vec<&RoleId> = tables
            .filter(|link| link.from.as_str() != ANY && link.services.iter().any(same))
            .flat_map(|link| self.openings(link))
            .filter(|(_, listener)| **listener == sentence.to)
            .map(|(opener, _)| opener)
            .collect();
        openers.sort();
        openers.dedup();
        openers
    }

    fn walk(&self, role: &Role, peer: Peer) -> impl Iterator<Item = Found> {
        let lineage = self.catalog.lineage(role);
        let peers = move |link: &'static Link| -> Vec<(&'static Link, &'static RoleId)> {
            self.openings(link)
                .into_iter()
                .filter_map(|(opener, listener)| peer(&lineage, opener, listener))
                .map(|peer| (link, peer))
                .collect()
        };
        self.catalog
            .all_links()
            .flat_map(peers)
            .flat_map(|(link, peer)| {
                self.services(link)
                    .map(move |service| (link, peer, service))
            })
    }

    /// Who may open to whom on this link, as (opener, listener).
    fn openings(&self, link: &'static Link) -> Vec<(&'static RoleId, &'static RoleId)> {
        if !self.applies(link) {
            return Vec::new();
        }
        let mut openings = vec![(&link.from, &link.to)];
        // Between two of a kind, both ways is the same pair twice.
        if link.direction == Direction::EitherWay && link.from != link.to {
            openings.push((&link.to, &link.from));
            let only = link
                .opener
                .as_ref()
                .filter(|_| self.site_server_initiated_only);
            openings.retain(|(opener, _)| {
                only.is_none_or(|only| self.catalog.is(opener, only.as_str()))
            });
        }
        openings
    }

    /// The link's services, and the dynamic RPC ports where the site adds them.
    fn services(&self, link: &'static Link) -> impl Iterator<Item = &'static Service> {
        let added = (self.rpc_dynamic_with_mapper && link.lacks_dynamic_ports())
            .then(|| self.rpc_dynamic())
            .flatten();
        link.services.iter().chain(added)
    }

    /// The dynamic RPC row, the same on every link that has one.
    fn rpc_dynamic(&self) -> Option<&'static Service> {
        self.catalog
            .all_links()
            .flat_map(|link| &link.services)
            .find(|service| service.service == RPC_DYNAMIC)
    }
}

#[cfg(test)]
mod tests;
