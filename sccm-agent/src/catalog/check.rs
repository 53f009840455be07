//! What a catalog must satisfy before anybody relies on it.
//!
//! The compiler sees types only. Here is the rest: what is cited must exist,
//! what must be unique is, ports fit their protocol, and `is_a` leads somewhere.

use super::{ANY, Catalog, Direction, Link, PortSpec, Protocol, RoleId, Service};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashSet;

/// Checks the whole catalog; the error names the entry that is wrong.
pub(super) fn check(catalog: &Catalog) -> Result<()> {
    roles(catalog)?;
    notes(catalog)?;
    for id in &catalog.sentences {
        let mut named = catalog.all_links().filter(|link| link.id == *id).peekable();
        ensure!(named.peek().is_some(), "sentence `{id}` is no link");
        ensure!(
            named.all(|link| link.from.as_str() == ANY),
            "sentence `{id}` is not from `{ANY}`"
        );
    }
    for id in &catalog.sent_to_many {
        let mut rows = catalog.all_links().flat_map(|link| &link.services);
        let sent = |row: &Service| row.service == *id && row.protocol == Protocol::Udp;
        ensure!(rows.any(sent), "service `{id}` is in no row for UDP");
    }
    for link in &catalog.links {
        lines(link)
            .and_then(|()| check_link(catalog, link))
            .with_context(|| about(link))?;
    }
    for link in &catalog.supplement.links {
        check_link(catalog, link).with_context(|| about(link))?;
    }
    Ok(())
}

fn about(link: &Link) -> String {
    format!("link {} ({} to {})", link.id, link.from, link.to)
}

/// Of the document itself, every line is known.
fn lines(link: &Link) -> Result<()> {
    ensure!(link.line.is_some(), "no line cited");
    for row in &link.services {
        ensure!(
            row.line.is_some(),
            "service {} over {}: no line cited",
            row.service,
            row.protocol
        );
    }
    Ok(())
}

fn roles(catalog: &Catalog) -> Result<()> {
    let mut seen = HashSet::new();
    for role in catalog.all_roles() {
        let id = role.id.as_str();
        ensure!(is_name(id), "role id `{id}` is not in kebab-case");
        ensure!(id != ANY, "`{ANY}` stands for any source and is not a role");
        ensure!(seen.insert(id), "role `{id}` appears twice");
    }
    for role in catalog.all_roles() {
        let mut ancestor = role;
        // A chain longer than the list of roles has come round to its start.
        for _ in catalog.all_roles() {
            let Some(parent) = &ancestor.is_a else { break };
            ancestor = catalog.find(parent.as_str()).with_context(|| {
                format!("role `{}` is a `{parent}`, which is not there", role.id)
            })?;
        }
        ensure!(
            ancestor.is_a.is_none(),
            "role `{}` is itself by way of `is_a`",
            role.id
        );
    }
    for gone in &catalog.retired {
        let id = gone.id.as_str();
        ensure!(seen.insert(id), "retired role `{id}` is there, or twice");
        if let Some(role) = &gone.replaced_by {
            known_role(catalog, role)?;
        }
    }
    for stale in &catalog.stale {
        known_role(catalog, &stale.id)?;
    }
    Ok(())
}

fn notes(catalog: &Catalog) -> Result<()> {
    let (mut seen, mut kinds) = (HashSet::new(), HashSet::new());
    for note in &catalog.notes {
        ensure!(seen.insert(note.id), "note {} appears twice", note.id);
        let kind = note.kind.as_str();
        ensure!(is_name(kind), "kind `{kind}` is not in kebab-case");
        ensure!(kinds.insert(kind), "two notes are of the kind `{kind}`");
        ensure!(note.line > 0, "note {} cites no line", note.id);
        if let Some(role) = &note.role {
            known_role(catalog, role)?;
        }
    }
    Ok(())
}

fn check_link(catalog: &Catalog, link: &Link) -> Result<()> {
    ensure!(link.line != Some(0), "line 0 cited");
    if let Some(source) = &link.source {
        ensure!(
            catalog.sources.contains_key(source),
            "source `{source}` is not there"
        );
    }
    ensure!(!link.services.is_empty(), "no services");
    known_notes(catalog, &link.notes)?;
    if link.from.as_str() != ANY {
        known_role(catalog, &link.from)?;
    }
    known_role(catalog, &link.to)?;
    if let Some(opener) = &link.opener {
        let may_open = |end| catalog.is(end, opener.as_str());
        ensure!(
            may_open(&link.from) || link.direction == Direction::EitherWay && may_open(&link.to),
            "opener `{opener}` is not an end that may open"
        );
    }
    if let Some(feature) = &link.opt_in {
        ensure!(is_name(feature), "feature `{feature}` is not in kebab-case");
    }
    for service in &link.services {
        check_service(catalog, service)
            .with_context(|| format!("service {} over {}", service.service, service.protocol))?;
    }
    Ok(())
}

fn check_service(catalog: &Catalog, service: &Service) -> Result<()> {
    ensure!(is_name(&service.service), "the id is not in kebab-case");
    ensure!(service.line != Some(0), "line 0 cited");
    ensure!(!service.ports.is_empty(), "no ports");
    known_notes(catalog, &service.notes)?;
    for port in &service.ports {
        let fits = match service.protocol {
            Protocol::Tcp => *port != PortSpec::EchoRequest,
            Protocol::Udp => matches!(port, PortSpec::Range(_)),
            Protocol::Icmp | Protocol::Icmpv6 => *port == PortSpec::EchoRequest,
        };
        ensure!(fits, "port `{port}` does not fit the protocol");
        ensure!(
            service.port_from.is_none() || matches!(port, PortSpec::Range(_)),
            "port `{port}` has a setting of its own: port_from cannot replace it"
        );
    }
    Ok(())
}

fn known_role(catalog: &Catalog, role: &RoleId) -> Result<()> {
    let known = catalog.find(role.as_str()).is_some();
    ensure!(known, "unknown role `{role}`");
    Ok(())
}

fn known_notes(catalog: &Catalog, notes: &[u8]) -> Result<()> {
    if let Some(missing) = notes.iter().find(|id| catalog.note(**id).is_none()) {
        bail!("note {missing} is cited but not there");
    }
    Ok(())
}

/// Lower-case words and digits, joined by single hyphens.
fn is_name(text: &str) -> bool {
    text.split('-').all(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests;
