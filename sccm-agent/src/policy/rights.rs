//! What two ends may open to each other, by the document and by the site's rules.

use super::groups::{self, RuleGroup};
use super::scopes::{Local, Peer};
use super::vocabulary::rows;
use super::{CLIENT, DHCP_RELAY, INTERNET, PXE_CLIENT, SitePolicy, Target};
use crate::catalog::{ANY, Link, Protocol, RoleId, Service};
use anyhow::Result;
use sccm_common::policy::Access;
use sccm_common::service::ServiceSet;
use std::collections::BTreeSet;

const DHCP: &str = "dhcp";

/// Who opens, seen from the protected end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The peer.
    Inbound,
    /// The protected system.
    Outbound,
}

/// A row of a link that a protected entry has, with the other end's role.
pub(super) struct Row<'a> {
    pub way: Way,
    pub link: &'a Link,
    pub other: &'a RoleId,
    pub service: &'a Service,
    pub targets: Vec<Target>,
    classes: ServiceSet,
}

impl Row<'_> {
    /// Whether it is carried by UDP, which alone can be sent to many.
    pub(crate) fn is_datagram(&self) -> bool {
        self.service.protocol == Protocol::Udp
    }
}

/// The rights of one policy.
pub(super) struct Rights<'a> {
    policy: &'a SitePolicy,
    /// For each protected entry, the rows of its roles.
    entries: Vec<Vec<Row<'a>>>,
    /// For each group of rules, its classes.
    allow: Vec<(RuleGroup<'a>, ServiceSet)>,
    management: Vec<(RuleGroup<'a>, ServiceSet)>,
}

impl<'a> Rights<'a> {
    /// Reads the links of every entry. `set_of` gives the classes of a target.
    ///
    /// # Errors
    /// A role that the catalog does not know.
    pub(crate) fn new(
        policy: &'a SitePolicy,
        set_of: &impl Fn(&Target) -> ServiceSet,
    ) -> Result<Self> {
        let row = |way, (link, other, service)| {
            let named = rows(service, &policy.site).into_iter();
            let targets: Vec<Target> = named.map(|(_, target)| target).collect();
            Row {
                way,
                link,
                other,
                service,
                classes: union(targets.iter().map(set_of)),
                targets,
            }
        };
        let mut entries = Vec::new();
        for protected in &policy.protect {
            let mut rows = Vec::new();
            for id in &protected.roles {
                let role = policy.site.catalog.role(id.as_str())?;
                for (link, other, service) in policy.site.links_into(role) {
                    let others = policy.others(link, other).into_iter();
                    rows.extend(others.map(|other| row(Way::Inbound, (link, other, service))));
                }
                let out = policy.site.links_out_of(role);
                rows.extend(out.map(|found| row(Way::Outbound, found)));
            }
            entries.push(rows);
        }
        let classes = |group: RuleGroup<'a>| {
            let classes = union(group.targets.iter().map(set_of));
            (group, classes)
        };
        Ok(Self {
            policy,
            entries,
            allow: groups::of(&policy.allow).into_iter().map(classes).collect(),
            management: groups::of(&policy.management)
                .into_iter()
                .map(classes)
                .collect(),
        })
    }

    /// What `local` and `peer` may open to each other.
    pub(crate) fn between(&self, local: &Local<'_>, peer: &Peer<'_>) -> Access {
        match local {
            Local::Own => Access {
                inbound: ruled(&self.management, &peer.manager, |_| true),
                outbound: ServiceSet::ALL,
            },
            Local::Group => {
                let all: Vec<usize> = (0..self.entries.len()).collect();
                let links = self.links(&all, peer, |row| row.is_datagram());
                let rules = ruled(&self.allow, &peer.allowed, |_| true);
                Access {
                    inbound: links.inbound.union(rules),
                    outbound: links.outbound,
                }
            }
            Local::Systems {
                entries,
                destinations,
            } => {
                let to = |group: &RuleGroup<'_>| match group.to.is_empty() {
                    true => !entries.is_empty(),
                    false => destinations.contains(&group.to),
                };
                let links = self.links(entries, peer, |_| true);
                let rules = ruled(&self.allow, &peer.allowed, to);
                Access {
                    inbound: links.inbound.union(rules),
                    outbound: links.outbound,
                }
            }
        }
    }

    /// What the document's links say.
    fn links(
        &self,
        entries: &[usize],
        peer: &Peer<'_>,
        about: impl Fn(&Row<'_>) -> bool,
    ) -> Access {
        let roles = self.roles(peer);
        let mut access = Access::NONE;
        for row in entries.iter().flat_map(|index| &self.entries[*index]) {
            if !about(row) {
                continue;
            }
            if self.opens(row, peer, &roles) {
                let side = match row.way {
                    Way::Inbound => &mut access.inbound,
                    Way::Outbound => &mut access.outbound,
                };
                *side = side.union(row.classes);
            }
            // A group as destination: offers of a service go to everybody (DHCP's
            // do), and so does what a role sends to many.
            if peer.group && row.is_datagram() {
                access.outbound = access.outbound.union(row.classes);
            }
        }
        access
    }

    /// The rows of a protected entry.
    pub(crate) fn rows(&self, entry: usize) -> &[Row<'a>] {
        &self.entries[entry]
    }

    /// Every role that a peer holds, those that it is by its roles included.
    pub(crate) fn roles(&self, peer: &Peer<'_>) -> BTreeSet<&'a str> {
        let mut roles = BTreeSet::new();
        let catalog = self.policy.site.catalog;
        for role in &catalog.roles {
            if peer.roles.contains(&role.id) {
                roles.extend(catalog.lineage(role).iter().map(|id| id.as_str()));
            }
        }
        for own in [PXE_CLIENT, DHCP_RELAY] {
            if peer.roles.iter().any(|id| id.as_str() == own) {
                roles.insert(own);
            }
        }
        if !peer.internal && !peer.group && !peer.unconfigured {
            roles.insert(INTERNET);
        }
        roles
    }

    /// Whether a peer may be the end of a link that this role names.
    fn holds(&self, role: &RoleId, roles: &BTreeSet<&str>) -> bool {
        self.policy.peers.is_none() || role.as_str() == ANY || roles.contains(role.as_str())
    }

    /// Whether a peer is one whom a row lets open, or be opened to.
    pub(crate) fn opens(&self, row: &Row<'_>, peer: &Peer<'_>, roles: &BTreeSet<&str>) -> bool {
        let Some(named) = &self.policy.peers else {
            return true;
        };
        let booting =
            row.way == Way::Inbound && row.link.network_boot && row.other.as_str() == CLIENT;
        if !booting {
            return self.holds(row.other, roles);
        }
        let named = |role: &str| named.contains_key(&RoleId::from(role));
        let clients = if named(PXE_CLIENT) {
            PXE_CLIENT
        } else {
            CLIENT
        };
        let asks_for_an_address = row.service.service == DHCP;
        roles.contains(clients)
            || asks_for_an_address && (peer.unconfigured || roles.contains(DHCP_RELAY))
    }
}

/// What rules let a peer open that is in these groups of them.
fn ruled(
    rules: &[(RuleGroup<'_>, ServiceSet)],
    groups: &[usize],
    applies: impl Fn(&RuleGroup<'_>) -> bool,
) -> ServiceSet {
    let named = |index: &usize| groups.contains(index);
    let rules = rules.iter().enumerate();
    let open =
        rules.filter(|(index, (group, _))| (group.everybody || named(index)) && applies(group));
    union(open.map(|(_, (_, classes))| *classes))
}

fn union(sets: impl IntoIterator<Item = ServiceSet>) -> ServiceSet {
    sets.into_iter()
        .fold(ServiceSet::default(), ServiceSet::union)
}
