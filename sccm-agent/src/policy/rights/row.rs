//! A row of a link, as a protected entry has it, and who opens it.

use crate::catalog::{Link, RoleId, Service};
use crate::policy::{CLIENT, DHCP_RELAY, PXE_CLIENT, SitePolicy, Target, asks_for_an_address};
use sccm_common::service::ServiceSet;

/// Who opens, seen from the protected end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The peer.
    Inbound,
    /// The protected system.
    Outbound,
}

/// A row of a link that a protected entry has, with the other end's role.
pub(crate) struct Row<'a> {
    pub way: Way,
    pub link: &'a Link,
    pub other: &'a RoleId,
    pub service: &'a Service,
    pub targets: Vec<Target>,
    pub(super) classes: ServiceSet,
    /// Whether its dynamic range is not open, but what the endpoint mapper hands out of it.
    pub(crate) tracked: bool,
    /// Those of UDP, which alone can be sent to many.
    pub(super) datagrams: ServiceSet,
    /// Whether the end that listens sends it to many, unasked.
    pub(super) sent_to_many: bool,
    /// Whether those many get it as a stream, rather than as answers (of DHCP).
    pub(super) streamed: bool,
    /// Whether relays of DHCP alone may open it.
    pub(super) of_relays: bool,
}

/// Who opens the link on which computers boot from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BootOpeners {
    /// Whoever the document says.
    AsDocumented,
    /// The site names peers: its clients, and relays for them.
    Clients,
    /// The site names the clients that boot, too: these, and relays for them.
    PxeClients,
}

impl BootOpeners {
    /// Those of a policy.
    pub(crate) fn of(policy: &SitePolicy) -> Self {
        match &policy.peers {
            None => Self::AsDocumented,
            Some(named) if named.contains_key(&RoleId::from(PXE_CLIENT)) => Self::PxeClients,
            Some(_) => Self::Clients,
        }
    }

    /// Who opens a row for which the document says `opener`.
    pub(crate) fn instead_of(self, link: &Link, opener: &RoleId, row: &Service) -> Vec<RoleId> {
        let clients = match self {
            Self::PxeClients => PXE_CLIENT,
            Self::Clients => CLIENT,
            Self::AsDocumented => return vec![opener.clone()],
        };
        if !link.network_boot || opener.as_str() != CLIENT {
            return vec![opener.clone()];
        }
        let relays = asks_for_an_address(&row.service).then_some(DHCP_RELAY);
        let openers = [clients].into_iter().chain(relays);
        openers.map(RoleId::from).collect()
    }
}

impl Row<'_> {
    /// The roles of which a peer needs one.
    pub(crate) fn wanted(&self, policy: &SitePolicy) -> Vec<RoleId> {
        match (self.of_relays, self.way) {
            (true, _) => vec![RoleId::from(DHCP_RELAY)],
            (false, Way::Outbound) => vec![self.other.clone()],
            (false, Way::Inbound) => {
                BootOpeners::of(policy).instead_of(self.link, self.other, self.service)
            }
        }
    }

    /// Whether it is what computers ask that boot from the network.
    pub(super) fn is_boot(&self) -> bool {
        self.way == Way::Inbound && self.link.network_boot && self.other.as_str() == CLIENT
    }
}
