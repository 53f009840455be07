//! One role: who may open what to it, and what it may open to whom.
//!
//! A row per service is what programs get; people get one block per link and
//! peer. Numbers in the last column are the document's notes, letters are
//! conditions: both are explained under the tables, so that the tables stay
//! narrow enough to read.

use crate::{
    catalog::{Edition, Link, Note, PortSpec, Protocol, Role, RoleId, Service},
    output,
    policy::is_of_rpc,
    site::Site,
};
use comfy_table::ColumnConstraint;
use serde::Serialize;

/// Columns for a link's id and for a peer: what stands beside them must not break.
const LINK_WIDTH: usize = 15;
const PEER_WIDTH: usize = 32;

/// One role's ports; its JSON form is what `roles ROLE -o json` prints.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RoleDetail<'a> {
    /// The edition of the port table.
    edition: Edition,
    /// The role that was asked for.
    role: &'a Role,
    /// What others may open to it.
    inbound: Vec<Row<'a>>,
    /// What it may open to others.
    outbound: Vec<Row<'a>>,
    /// The notes that its rows cite, and those that are about it.
    notes: Vec<&'a Note>,
    /// What the rows do not say by themselves, in sentences.
    hints: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Row<'a> {
    /// The link's id.
    link: &'a str,
    /// The link's line in the document; none of a page that was read in excerpts.
    line: Option<u32>,
    /// The role of the other end, or `any`.
    peer: &'a RoleId,
    /// What is spoken.
    service: &'a str,
    /// The protocol that carries it.
    protocol: Protocol,
    /// After site settings; ICMP entries as the catalog has them.
    ports: Vec<String>,
    /// Of the row and of its link.
    notes: Vec<u8>,
    /// When the link applies at all.
    condition: Option<&'a str>,
}

impl<'a> RoleDetail<'a> {
    pub(super) fn new(role: &'a Role, site: &'a Site) -> Self {
        let catalog = site.catalog;
        let rows = |found: &[(&'a Link, &'a RoleId, &'a Service)]| -> Vec<Row<'a>> {
            found.iter().map(|item| Row::new(*item, site)).collect()
        };
        let into: Vec<_> = site.links_into(role).collect();
        let out_of: Vec<_> = site.links_out_of(role).collect();
        let (inbound, outbound) = (rows(&into), rows(&out_of));
        let lineage = catalog.lineage(role);
        let cited = |note: &Note| {
            let about = note
                .role
                .as_ref()
                .is_some_and(|role| lineage.contains(&role));
            let mut rows = inbound.iter().chain(&outbound);
            about || rows.any(|row| row.notes.contains(&note.id))
        };
        let links = into.iter().chain(&out_of).map(|(link, ..)| *link);
        Self {
            edition: catalog.edition,
            role,
            notes: catalog.notes.iter().filter(|note| cited(note)).collect(),
            hints: stale_hint(role, site)
                .into_iter()
                .chain(mapper_hint(links.clone(), site))
                .chain(tracked_hint(into.iter().chain(&out_of)))
                .chain(sentence_hint(links, site))
                .collect(),
            inbound,
            outbound,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}", self.role.id, self.role.name);
        if let Some(parent) = &self.role.is_a {
            text += &format!("\nIt is a {parent} too, and has its links.");
        }
        let conditions = self.conditions();
        let sections = [
            ("What others may open to it", "From", &self.inbound),
            ("What it may open to others", "To", &self.outbound),
        ];
        for (title, peer, rows) in sections {
            let body = match rows.as_slice() {
                [] => "Nothing.".to_owned(),
                rows => table(peer, rows, &conditions),
            };
            text += &format!("\n\n{title}\n{body}");
        }
        let footnotes = self.footnotes(&conditions);
        if !footnotes.is_empty() {
            text += &format!("\n\n{footnotes}");
        }
        text += &format!("\n\nPort table: Configuration Manager {}", self.edition);
        text
    }

    /// The different conditions of the rows, in the order of their letters.
    fn conditions(&self) -> Vec<&'a str> {
        let mut conditions = Vec::new();
        for condition in self
            .inbound
            .iter()
            .chain(&self.outbound)
            .filter_map(|row| row.condition)
        {
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
        conditions
    }

    fn footnotes(&self, conditions: &[&str]) -> String {
        let mut table = output::plain();
        for note in &self.notes {
            table.add_row([
                note.id.to_string(),
                format!("{}: {}", note.title, note.effect),
            ]);
        }
        for (letter, condition) in ('a'..).zip(conditions) {
            table.add_row([letter.to_string(), (*condition).to_owned()]);
        }
        for hint in &self.hints {
            table.add_row(["!", hint]);
        }
        output::lines(&table)
    }
}

impl<'a> Row<'a> {
    fn new((link, peer, service): (&'a Link, &'a RoleId, &'a Service), site: &Site) -> Self {
        let mut ports: Vec<String> = site
            .resolve(service)
            .iter()
            .map(|range| PortSpec::Range(range.clone()).to_string())
            .collect();
        if ports.is_empty() {
            ports = service.ports.iter().map(ToString::to_string).collect();
        }
        let mut notes = [link.notes.as_slice(), &service.notes].concat();
        notes.sort_unstable();
        notes.dedup();
        Self {
            link: &link.id,
            line: link.line,
            peer,
            service: &service.service,
            protocol: service.protocol,
            ports,
            notes,
            condition: link.condition.as_deref(),
        }
    }

    /// Note numbers and the letter of the condition.
    fn marks(&self, conditions: &[&str]) -> String {
        let letter = ('a'..)
            .zip(conditions)
            .find(|(_, condition)| Some(**condition) == self.condition)
            .map(|(letter, _)| letter.to_string());
        let marks: Vec<String> = self.notes.iter().map(u8::to_string).chain(letter).collect();
        marks.join(" ")
    }
}

/// One block per link and peer; its services stand side by side with their ports.
fn table(peer: &str, rows: &[Row<'_>], conditions: &[&str]) -> String {
    let mut table = output::table(["Link", peer, "Service", "Ports", "Notes"]);
    let is_alike = |a: &Row<'_>, b: &Row<'_>| {
        (a.link, a.peer, a.condition) == (b.link, b.peer, b.condition) && !output::is_plain()
    };
    for block in rows.chunk_by(is_alike) {
        let column = |cell: &dyn Fn(&Row<'_>) -> String| {
            block.iter().map(cell).collect::<Vec<_>>().join("\n")
        };
        let Some(first) = block.first() else { continue };
        table.add_row([
            output::wrap_id(first.link, LINK_WIDTH),
            output::wrap_id(first.peer.as_str(), PEER_WIDTH),
            column(&|row| row.service.to_owned()),
            column(&|row| format!("{} {}", row.protocol, row.ports.join(", "))),
            column(&|row| row.marks(conditions)),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        // These must not break: their lines belong together.
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    output::lines(&table)
}

/// That the product has hardly or no more use for the role.
fn stale_hint(role: &Role, site: &Site) -> Option<String> {
    let stale = site.catalog.stale(&role.id)?;
    Some(format!("Role {}: {}", role.id, stale.status))
}

/// What it means that a link lists the endpoint mapper but no dynamic ports.
fn mapper_hint<'a>(links: impl Iterator<Item = &'a Link>, site: &Site) -> Option<String> {
    if site.rpc_dynamic_with_mapper {
        return None;
    }
    let mut ids: Vec<&str> = Vec::new();
    for link in links.filter(|link| link.lacks_dynamic_ports()) {
        if !ids.contains(&link.id.as_str()) {
            ids.push(&link.id);
        }
    }
    (!ids.is_empty()).then(|| {
        format!(
            "Link {}: the document lists the RPC endpoint mapper (135) but not the dynamic ports \
             that it hands out, so the mapper answers and the connection to the port that it \
             names is dropped; --rpc-dynamic-with-mapper adds those ports.",
            ids.join(", ")
        )
    })
}

/// Which links `rpc = "tracked"` narrows.
fn tracked_hint<'a>(
    rows: impl Iterator<Item = &'a (&'a Link, &'a RoleId, &'a Service)>,
) -> Option<String> {
    let mut ids: Vec<&str> = Vec::new();
    for (link, ..) in rows.filter(|(.., service)| is_of_rpc(service)) {
        if !ids.contains(&link.id.as_str()) {
            ids.push(&link.id);
        }
    }
    (!ids.is_empty()).then(|| {
        format!(
            "Dynamic ports (link {}): with rpc = \"tracked\" in the policy, or --rpc tracked, they are \
             not open as a range, but one by one, as the endpoint mapper hands them out.",
            ids.join(", ")
        )
    })
}

/// Whom a sentence about anybody means, once a policy names peers.
fn sentence_hint<'a>(mut links: impl Iterator<Item = &'a Link>, site: &Site) -> Option<String> {
    let link = links.find(|link| site.catalog.is_sentence(link))?;
    let roles = site.openers_by_tables(link);
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    Some(format!(
        "Link {}: the document says in a sentence that anybody may. Where a policy names [peers], \
         it means the roles that a table names: {}.",
        link.id,
        roles.join(", ")
    ))
}

#[cfg(test)]
mod tests;
