//! Services that the site moves to a port of another service of the document.

use super::{Warning, once};
use crate::catalog::{PortSpec, Service};
use crate::check::rows::View;
use crate::policy::Target;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let site = &view.policy.site;
    let services = || site.catalog.all_links().flat_map(|link| &link.services);
    let mut messages: Vec<String> = Vec::new();
    for moved in services().filter(|service| service.port_from.is_some()) {
        for target in Target::of_service(moved, site) {
            let of_document = services().filter(|other| other.protocol == moved.protocol);
            let owners: Vec<&Service> = of_document
                .filter(|other| other.ports.iter().any(|port| has(port, &target)))
                .collect();
            // Where the document has it there itself, nothing was moved.
            if owners.iter().any(|owner| owner.service == moved.service) {
                continue;
            }
            for owner in owners {
                once(
                    &mut messages,
                    format!(
                        "{} was moved to {target}, the port of {}: whoever may open the one opens \
                         the other",
                        moved.service, owner.service
                    ),
                );
            }
        }
    }
    let warning = |message| Warning {
        kind: "port-of-another-service",
        links: Vec::new(),
        message,
    };
    messages.into_iter().map(warning).collect()
}

fn has(port: &PortSpec, target: &Target) -> bool {
    match (port, target) {
        (PortSpec::Range(range), Target::Tcp(moved) | Target::Udp(moved)) => {
            range.start() <= moved.end() && moved.start() <= range.end()
        }
        _ => false,
    }
}
