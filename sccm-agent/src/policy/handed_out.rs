//! The ports that the endpoint mapper of RPC hands out: which they are, and which rows speak of them.

use super::explain::Opener;
use super::{Outbound, Target};
use crate::catalog::{PortSpec, Service};
use crate::site::Site;
use sccm_common::policy::Access;
use sccm_common::service::ServiceSet;
use sccm_common::{Policy, ServiceClass};

/// Whether rights let a service be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Openness {
    /// No.
    Closed,
    /// When the endpoint mapper of who listens has handed the port out to who opens.
    IfHandedOut,
    /// At any time.
    Open,
}

impl Openness {
    /// By these rights of a policy.
    #[must_use]
    pub fn by(policy: &Policy, rights: ServiceSet, class: ServiceClass) -> Self {
        if rights.contains(class) {
            return Self::Open;
        }
        match policy.dynamic.contains(class) && rights.contains(ServiceClass::HANDED_OUT) {
            true => Self::IfHandedOut,
            false => Self::Closed,
        }
    }
}

/// What one end may open to the other only as the endpoint mapper hands it out.
pub(super) fn handed_out(
    policy: &Policy,
    outbound: Outbound,
    access: &Access,
    opener: Opener,
) -> ServiceSet {
    let rights = match (opener, outbound) {
        (Opener::Peer, _) => access.inbound,
        (Opener::Protected, Outbound::Enforce) => access.outbound,
        // All of it is open.
        (Opener::Protected, _) => ServiceSet::default(),
    };
    match rights.contains(ServiceClass::HANDED_OUT) {
        true => minus(policy.dynamic, rights),
        false => ServiceSet::default(),
    }
}

/// The TCP ports that the endpoint mapper of a site's systems hands out.
pub(crate) fn dynamic_range(site: &Site) -> Target {
    Target::Tcp(site.rpc_range.into())
}

/// Whether a row is of what the endpoint mapper hands out. It may list ranges beside the site's, of
/// systems that have others.
pub(crate) fn is_of_rpc(service: &Service) -> bool {
    service.ports.contains(&PortSpec::Dynamic)
}

/// Rights as packets are counted by them: of a port that was handed out, by the port's own class.
pub(super) fn counted(rights: Access, dynamic: ServiceSet) -> Access {
    let mut mark = ServiceSet::default();
    mark.insert(ServiceClass::HANDED_OUT);
    let counted = |set: ServiceSet| match set.contains(ServiceClass::HANDED_OUT) {
        true => minus(set, mark).union(dynamic),
        false => set,
    };
    Access {
        inbound: counted(rights.inbound),
        outbound: counted(rights.outbound),
    }
}

/// The classes of the first set that are not in the other.
pub(super) fn minus(set: ServiceSet, other: ServiceSet) -> ServiceSet {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (set.0, other.0);
    ServiceSet([a0 & !b0, a1 & !b1, a2 & !b2, a3 & !b3])
}
