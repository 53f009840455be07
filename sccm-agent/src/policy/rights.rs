//! What two ends may open to each other, by the document and by the site's rules.

mod row;

pub(super) use row::{BootOpeners, Row, Way};

use super::groups::{self, RuleGroup};
use super::handed_out::{dynamic_range, is_of_rpc, minus};
use super::scopes::{Local, Peer};
use super::target::{ICMP_ECHO_REQUEST, ICMPV6_ECHO_REQUEST};
use super::vocabulary::rows;
use super::{
    CLIENT, DHCP_RELAY, INTERNET, PXE_CLIENT, Rpc, SitePolicy, Target, asks_for_an_address,
};
use crate::catalog::{ANY, RoleId};
use crate::site::Found;
use anyhow::Result;
use sccm_common::policy::Access;
use sccm_common::service::{ServiceClass, ServiceSet};
use std::collections::BTreeSet;

const DHCP: &str = "dhcp";
const DHCPV6_NAME: &str = "dhcpv6";

/// Where servers of DHCPv6 listen (RFC 8415, 7.2).
const DHCPV6: Target = Target::Udp(547..=547);

/// What relays may ask beside the document's DHCP, with its name: DHCPv6, if one of them has an
/// address of that family. An edition that lists it says so itself.
pub(super) fn asked_by_relays(policy: &SitePolicy) -> Option<(&'static str, Target)> {
    if policy.site.catalog.boots_by_dhcpv6() {
        return None;
    }
    let relays = policy.peers.as_ref()?.get(&RoleId::from(DHCP_RELAY))?;
    let any = relays.iter().any(|prefix| prefix.addr().is_ipv6());
    any.then_some((DHCPV6_NAME, DHCPV6))
}

/// The rights of one policy.
pub(super) struct Rights<'a> {
    policy: &'a SitePolicy,
    /// For each protected entry, the rows of its roles.
    entries: Vec<Vec<Row<'a>>>,
    /// For each group of rules, its classes.
    allow: Vec<Ruled<'a>>,
    outbound: Vec<Ruled<'a>>,
    management: Vec<Ruled<'a>>,
}

/// A group of rules.
struct Ruled<'a> {
    group: RuleGroup<'a>,
    classes: ServiceSet,
    /// The same at systems that are tracked.
    tracked: ServiceSet,
    /// Those of them that can be sent to many.
    to_many: ServiceSet,
}

/// Whether rules let a target be sent to many: TCP cannot be, and an echo request to many is
/// answered by all of them.
pub(crate) fn may_reach_many(target: &Target) -> bool {
    match target {
        Target::Tcp(_) => false,
        Target::Icmp(kind) => *kind != ICMP_ECHO_REQUEST,
        Target::Icmpv6(kind) => *kind != ICMPV6_ECHO_REQUEST,
        Target::Udp(_) | Target::Protocol(_) => true,
    }
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
        let range = set_of(&dynamic_range(&policy.site));
        let handed_out = |targets: &[Target]| {
            let mut classes = minus(union(targets.iter().map(set_of)), range);
            classes.insert(ServiceClass::HANDED_OUT);
            classes
        };
        let row = |rpc, way, (link, other, service): Found| {
            let named = rows(service, &policy.site).into_iter();
            let targets: Vec<Target> = named.map(|(_, target)| target).collect();
            let datagrams = targets.iter().filter(|target| is_datagram(target));
            let sent_to_many = &policy.site.catalog.sent_to_many;
            let tracked = rpc == Rpc::Tracked && is_of_rpc(service);
            Row {
                datagrams: union(datagrams.map(set_of)),
                sent_to_many: sent_to_many.contains(&service.service),
                streamed: sent_to_many.contains(&service.service) && service.service != DHCP,
                way,
                link,
                other,
                service,
                classes: match tracked {
                    true => handed_out(&targets),
                    false => union(targets.iter().map(set_of)),
                },
                tracked,
                targets,
                of_relays: false,
            }
        };
        let dhcpv6 = asked_by_relays(policy);
        let of_relays = |row: &Row<'a>| {
            let (_, target) = dhcpv6.clone()?;
            (row.is_boot() && row.service.service == DHCP).then(|| Row {
                datagrams: set_of(&target),
                classes: set_of(&target),
                targets: vec![target],
                sent_to_many: false,
                streamed: false,
                of_relays: true,
                ..*row
            })
        };
        let mut entries = Vec::new();
        for protected in &policy.protect {
            let mut rows = Vec::new();
            for id in &protected.roles {
                let role = policy.site.catalog.role(id.as_str())?;
                for (link, other, service) in policy.site.links_into(role) {
                    let others = policy.others(link, other).into_iter();
                    rows.extend(
                        others
                            .map(|other| row(protected.rpc, Way::Inbound, (link, other, service))),
                    );
                }
                let of_relays: Vec<Row<'_>> = rows.iter().filter_map(of_relays).collect();
                rows.extend(of_relays);
                let out = policy.site.links_out_of(role);
                rows.extend(out.map(|found| row(protected.rpc, Way::Outbound, found)));
            }
            entries.push(rows);
        }
        let classes = |group: RuleGroup<'a>| {
            let to_many = group.targets.iter().filter(|target| may_reach_many(target));
            let classes = union(group.targets.iter().map(set_of));
            Ruled {
                tracked: match group.tracked {
                    true => handed_out(group.targets),
                    false => classes,
                },
                classes,
                to_many: union(to_many.map(set_of)),
                group,
            }
        };
        Ok(Self {
            policy,
            entries,
            allow: groups::of(&policy.allow).into_iter().map(classes).collect(),
            outbound: groups::outbound(&policy.outbound_allow)
                .into_iter()
                .map(classes)
                .collect(),
            management: groups::of(&policy.management)
                .into_iter()
                .map(classes)
                .collect(),
        })
    }

    /// What `local` and `peer` may open to each other.
    pub(crate) fn between(&self, local: &Local<'_>, peer: &Peer<'_>) -> Access {
        if matches!(local, Local::Own) {
            return Access {
                inbound: ruled(
                    &self.management,
                    (peer, &peer.manager),
                    |_| true,
                    |rule| rule.classes,
                ),
                outbound: ServiceSet::ALL,
            };
        }
        let to_gateway = || {
            ruled(
                &self.management,
                (peer, &peer.manager),
                |_| true,
                |rule| rule.to_many,
            )
        };
        if matches!(local, Local::EndsHere) {
            return Access {
                inbound: to_gateway(),
                ..Access::NONE
            };
        }
        let roles = self.roles(peer);
        let granted = |way| {
            let rows = self.concerning(local);
            let rows = rows.filter(|row| self.grants(row, way, local, peer, &roles));
            union(rows.map(|row| match is_to_many(way, local, peer) {
                true => row.datagrams,
                false => row.classes,
            }))
        };
        let inbound = match local {
            Local::Own | Local::EndsHere => ServiceSet::default(),
            // A bridge hands it to the gateway, too.
            Local::Group { listed } => {
                let to = |group: &RuleGroup<'_>| {
                    group.systems.is_empty() || listed.contains(&group.systems)
                };
                ruled(&self.allow, (peer, &peer.allowed), to, |rule| rule.to_many)
                    .union(to_gateway())
            }
            Local::Systems { .. } => ruled(
                &self.allow,
                (peer, &peer.allowed),
                |group| is_for(group, local),
                |rule| self.classes_at(rule, local),
            ),
        };
        let mut outbound = granted(Way::Outbound).union(ruled(
            &self.outbound,
            (peer, &peer.reached),
            |group| is_for(group, local),
            |rule| match peer.group {
                true => rule.to_many,
                false => self.classes_at(rule, local),
            },
        ));
        if self.may_be_where_relays_are_answered(local, peer) {
            outbound.insert(ServiceClass::RELAYED);
        }
        Access {
            inbound: granted(Way::Inbound).union(inbound),
            outbound,
        }
    }

    /// What a rule opens at protected systems, by each of the entries that they are of.
    fn classes_at(&self, rule: &Ruled<'_>, local: &Local<'_>) -> ServiceSet {
        let entries = match local {
            Local::Systems { entries, .. } if !entries.is_empty() => entries,
            // Nobody says how a system is to be treated that is of no entry.
            _ => return rule.classes,
        };
        let modes = entries.iter().map(|entry| self.policy.protect[*entry].rpc);
        union(modes.map(|rpc| match rpc {
            Rpc::Static => rule.classes,
            Rpc::Tracked => rule.tracked,
        }))
    }

    /// Whether a relay that has asked `local` may be answered at this address, because it says so.
    /// Only the address that it asked from must have the right; this one must be of the site.
    pub(crate) fn may_be_where_relays_are_answered(
        &self,
        local: &Local<'_>,
        peer: &Peer<'_>,
    ) -> bool {
        let is_system = match local {
            Local::Own | Local::EndsHere | Local::Group { .. } => false,
            Local::Systems { entries, listed } => !entries.is_empty() || !listed.is_empty(),
        };
        is_system && !peer.group && (self.policy.peers.is_none() || peer.internal)
    }

    /// The rows of all entries that an address belongs to. A group belongs to none, and is told
    /// from what any of them offers.
    pub(crate) fn concerning(&self, local: &Local<'_>) -> impl Iterator<Item = &Row<'a>> {
        let entries = match local {
            Local::Own | Local::EndsHere => Vec::new(),
            Local::Group { .. } => (0..self.entries.len()).collect(),
            Local::Systems { entries, .. } => entries.clone(),
        };
        entries.into_iter().flat_map(|entry| &self.entries[entry])
    }

    /// Whether a row of the protected end lets something be opened this way.
    pub(crate) fn grants(
        &self,
        row: &Row<'_>,
        way: Way,
        local: &Local<'_>,
        peer: &Peer<'_>,
        roles: &BTreeSet<&str>,
    ) -> bool {
        match (way, local) {
            // Nobody sends in the name of a group.
            (Way::Outbound, Local::Group { .. }) => false,
            // Whoever may open it at the sender gets it by way of a group.
            (Way::Inbound, Local::Group { .. }) => {
                (row.way == way || row.streamed) && self.opens(row, peer, roles)
            }
            // To a group, nobody's roles are asked for but the sender's.
            (Way::Outbound, _) if peer.group => row.way == Way::Outbound || row.sent_to_many,
            _ => row.way == way && self.opens(row, peer, roles),
        }
    }

    /// Every role that a peer holds, those that it is by its roles included.
    pub(crate) fn roles(&self, peer: &Peer<'_>) -> BTreeSet<&'a str> {
        let mut roles = BTreeSet::new();
        let catalog = self.policy.site.catalog;
        for role in catalog.all_roles() {
            if peer.roles.contains(&role.id) {
                roles.extend(catalog.lineage(role).iter().map(|id| id.as_str()));
            }
        }
        for own in [PXE_CLIENT, DHCP_RELAY] {
            if peer.roles.iter().any(|id| id.as_str() == own) {
                roles.insert(own);
            }
        }
        if peer.is_of_the_internet() {
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
        if row.of_relays {
            return roles.contains(DHCP_RELAY);
        }
        if !row.is_boot() {
            return self.holds(row.other, roles);
        }
        let named = |role: &str| named.contains_key(&RoleId::from(role));
        let clients = if named(PXE_CLIENT) {
            PXE_CLIENT
        } else {
            CLIENT
        };
        let service = row.service.service.as_str();
        roles.contains(clients)
            || service == DHCPV6_NAME && peer.link_local
            || asks_for_an_address(service) && (peer.unconfigured || roles.contains(DHCP_RELAY))
    }
}

/// Whether what is opened goes to a group.
pub(super) fn is_to_many(way: Way, local: &Local<'_>, peer: &Peer<'_>) -> bool {
    match way {
        Way::Inbound => matches!(local, Local::Group { .. } | Local::EndsHere),
        Way::Outbound => peer.group,
    }
}

pub(super) fn is_datagram(target: &Target) -> bool {
    matches!(target, Target::Udp(_))
}

/// Whether a protected system is one of a group of rules.
fn is_for(group: &RuleGroup<'_>, local: &Local<'_>) -> bool {
    match local {
        Local::Own | Local::EndsHere | Local::Group { .. } => false,
        Local::Systems { entries, .. } if group.systems.is_empty() => !entries.is_empty(),
        Local::Systems { listed, .. } => listed.contains(&group.systems),
    }
}

/// What rules open between a protected system and a peer that is in these groups of them.
fn ruled(
    rules: &[Ruled<'_>],
    (peer, groups): (&Peer<'_>, &[usize]),
    applies: impl Fn(&RuleGroup<'_>) -> bool,
    classes: impl Fn(&Ruled<'_>) -> ServiceSet,
) -> ServiceSet {
    let rules = rules.iter().enumerate();
    let open = rules.filter(|(index, rule)| {
        let group = &rule.group;
        let is_peer = group.everybody
            || groups.contains(index)
            || group.internet && peer.is_of_the_internet();
        is_peer && applies(group)
    });
    union(open.map(|(_, rule)| classes(rule)))
}

fn union(sets: impl IntoIterator<Item = ServiceSet>) -> ServiceSet {
    sets.into_iter()
        .fold(ServiceSet::default(), ServiceSet::union)
}
