//! The ports that the endpoint mapper of RPC hands out: which they are, and which rows speak of them.

use super::Target;
use crate::catalog::{PortSpec, Service};
use crate::site::Site;
use sccm_common::service::ServiceSet;

/// The TCP ports that the endpoint mapper of a site's systems hands out.
pub(super) fn dynamic_range(site: &Site) -> Target {
    Target::Tcp(site.rpc_range.into())
}

/// Whether a row is of what the endpoint mapper hands out. It may list ranges beside the site's, of
/// systems that have others.
pub(super) fn is_of_rpc(service: &Service) -> bool {
    service.ports.contains(&PortSpec::Dynamic)
}

/// The classes of the first set that are not in the other.
pub(super) fn minus(set: ServiceSet, other: ServiceSet) -> ServiceSet {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (set.0, other.0);
    ServiceSet([a0 & !b0, a1 & !b1, a2 & !b2, a3 & !b3])
}
