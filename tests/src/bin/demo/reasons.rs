//! What should become of an attempt, and why, in words: read from the catalog.

use std::collections::BTreeSet;

use anyhow::Result;
use sccm_agent::catalog::{Direction, PortSpec, Service};
use sccm_agent::site::Site;

use crate::attempt::{Attempt, Kind, Opener};

/// What should happen.
pub struct Expectation {
    /// Whether it is to work with the agent, too.
    pub passes: bool,
    /// Why.
    pub reason: String,
}

/// What the port table says of an attempt on a host of this role.
pub fn expect(role: &str, attempt: &Attempt) -> Result<Expectation> {
    let passes = |reason: &str| Expectation {
        passes: true,
        reason: reason.to_owned(),
    };
    if attempt.kind == Kind::Neighbour {
        return Ok(passes("essential to a network"));
    }
    if attempt.opener == Opener::DistributionPoint {
        return Ok(passes("reply: the host began"));
    }
    let site = Site::default();
    let role = site.catalog.role(role)?;
    let mut services = Vec::new();
    let mut links = Vec::new();
    for (link, _, service) in site.links_into(role) {
        if covers(&site, service, attempt) {
            services.push(service.service.as_str());
            links.push(link.id.as_str());
        }
    }
    if !links.is_empty() {
        return Ok(passes(&format!(
            "{}: {}",
            unique(&services),
            name_links(&links)
        )));
    }
    let reason = match owners(&site, attempt) {
        Some(owners) => owners,
        None if matches!(attempt.kind, Kind::Udp { from: 1.. }) => {
            "no link, and no reply".to_owned()
        }
        None => "no link of the table".to_owned(),
    };
    Ok(Expectation {
        passes: false,
        reason,
    })
}

/// Which other roles have it, for a drop that somebody might wonder about.
fn owners(site: &Site, attempt: &Attempt) -> Option<String> {
    let (mut services, mut roles, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for link in site.catalog.all_links() {
        for service in &link.services {
            if covers(site, service, attempt) {
                services.push(service.service.as_str());
                links.push(link.id.as_str());
                roles.push(link.to.as_str());
                if link.direction == Direction::EitherWay {
                    roles.push(link.from.as_str());
                }
            }
        }
    }
    let first = *links.first()?;
    let more = links.len() - 1;
    let links = match more {
        0 => format!("link {first}"),
        _ => format!("link {first}, {more} more"),
    };
    Some(format!(
        "{}: {} only ({links})",
        unique(&services),
        unique(&roles)
    ))
}

fn covers(site: &Site, service: &Service, attempt: &Attempt) -> bool {
    let echo = attempt.kind == Kind::Ping && service.ports.contains(&PortSpec::EchoRequest);
    let ports = site.resolve(service);
    service.protocol.to_string() == attempt.protocol()
        && (echo || ports.iter().any(|ports| ports.contains(&attempt.port)))
}

/// `link 15`, `links 14, dp-package-install`.
fn name_links(links: &[&str]) -> String {
    let plural = if links.len() > 1 { "s" } else { "" };
    format!("link{plural} {}", links.join(", "))
}

fn unique(names: &[&str]) -> String {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt;

    fn of(name: &str) -> Expectation {
        let attempts = attempt::all();
        let attempt = attempts
            .iter()
            .find(|attempt| attempt.name == name)
            .unwrap();
        expect("distribution-point", attempt).unwrap()
    }

    #[test]
    fn the_role_s_own_links_are_named() {
        let download = of("package download");
        assert!(download.passes);
        assert_eq!(download.reason, "http: links 15, 19");
    }

    #[test]
    fn what_belongs_to_another_role_is_dropped_and_says_whose_it_is() {
        let tftp = of("TFTP");
        assert!(!tftp.passes);
        assert_eq!(tftp.reason, "tftp: pxe-service-point only (link 8)");
    }

    #[test]
    fn what_nobody_has_is_dropped() {
        for name in ["Telnet", "SSH", "unknown high port", "NTP answer, unasked"] {
            let expectation = of(name);
            assert!(!expectation.passes, "{name}");
            assert!(expectation.reason.starts_with("no link"), "{name}");
        }
    }
}
