//! The report for people.

use super::matrix::{Narrowed, Published, Right, Rules, shown};
use super::{Report, System, Warning};
use crate::diff::Difference;
use crate::output;
use crate::policy::{Hooks, INTERNET};
use crate::units::KIB;
use comfy_table::ColumnConstraint;
use ipnet::IpNet;
use std::net::SocketAddr;

/// Columns for the other end: what stands beside it must not break.
const PEER_WIDTH: usize = 22;
/// Prefixes that are written out; more are counted.
const SHOWN: usize = 3;

impl Report {
    /// Tables that fit the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let matrix = &self.matrix;
        let mut parts: Vec<String> = matrix
            .protect
            .iter()
            .map(|entry| self.system(entry))
            .collect();
        if !matrix.narrowed.is_empty() {
            parts.push(narrowed(&matrix.narrowed));
        }
        let rules = [
            ("Rules of this site", ["anybody", "all"], &matrix.allow),
            (
                "What rules of this site let out",
                ["all", "anybody"],
                &matrix.outbound_allow,
            ),
            (
                "At the gateway itself",
                ["anybody", "itself"],
                &matrix.management,
            ),
        ];
        for (title, none, rules) in rules {
            if !rules.is_empty() {
                parts.push(format!("{title}\n{}", self::rules(rules, none)));
            }
        }
        if !matrix.publish.is_empty() {
            parts.push(published(&matrix.publish));
        }
        if !self.hooks.is_empty() {
            parts.push(hooks(&self.hooks));
        }
        parts.push(self.summary());
        parts.extend(listed("Warnings", "!", &self.warnings));
        parts.extend(listed("Notes", "-", &self.notes));
        parts.extend(self.difference.as_ref().map(Difference::text));
        parts.join("\n\n")
    }

    fn system(&self, system: &System) -> String {
        let place = match &system.addresses[..] {
            [] => "every address that no other entry names".to_owned(),
            some if system.elsewhere => {
                format!("{}, behind another gateway", addresses(some, ""))
            }
            some => addresses(some, ""),
        };
        let mut text = format!("{} ({}): {place}", system.name, system.roles.join(", "));
        let sections = [
            ("What others may open there", "From", &system.inbound),
            ("What it may open", "To", &system.outbound),
        ];
        for (title, peer, rights) in sections {
            // What is not judged would be a promise that nobody keeps.
            let judged = peer == "From" || self.matrix.outbound == "enforce";
            let body = match (&rights[..], judged) {
                (_, false) => format!("Anything (outbound = \"{}\").", self.matrix.outbound),
                ([], true) => "Nothing.".to_owned(),
                (rights, true) => self::rights(peer, rights),
            };
            text += &format!("\n{title}\n{body}");
        }
        text
    }

    fn summary(&self) -> String {
        let size = &self.size;
        let kib = |bytes: usize| bytes as u64 / KIB;
        format!(
            "Port table: Configuration Manager {}\n\
             Policy {}: {} kinds of peers x {} of protected systems, of at most {} pairs\n\
             Services that it tells apart: {}\nKernel memory: {} KiB of the {} KiB that are reserved; {} KiB of {} KiB for prefixes",
            self.edition,
            &self.hash[..12],
            size.peer_classes,
            size.local_classes,
            size.class_pairs_limit,
            size.service_classes,
            kib(size.bytes),
            kib(size.reserved_bytes),
            kib(size.address_bytes),
            kib(size.address_bytes_limit),
        )
    }
}

fn listed(title: &str, mark: &str, list: &[Warning]) -> Option<String> {
    if list.is_empty() {
        return None;
    }
    let mut table = output::plain();
    for one in list {
        let text = format!("{}: {}", one.kind, one.message);
        table.add_row([mark, &text]);
    }
    Some(format!(
        "{title}: {}\n{}",
        list.len(),
        output::lines(&table)
    ))
}

/// Which sentences about anybody mean fewer, one by one.
fn narrowed(narrowed: &[Narrowed]) -> String {
    let mut table = output::plain();
    for link in narrowed {
        let roles = link.from.join(", ");
        table.add_row([
            format!("link {}", link.link),
            format!("from any to {}: {roles} only", link.to),
        ]);
    }
    format!(
        "Narrowed by [peers] to the roles that the document's tables name\n{}",
        output::lines(&table)
    )
}

/// One block for each peer; its services stand side by side with their ports.
fn rights(peer: &str, rights: &[Right]) -> String {
    let mut table = output::table([peer, "Who", "Service", "Ports", "Links"]);
    for block in rights.chunk_by(|a, b| a.peer == b.peer && !output::is_plain()) {
        let column =
            |cell: &dyn Fn(&Right) -> String| block.iter().map(cell).collect::<Vec<_>>().join("\n");
        let Some(first) = block.first() else { continue };
        table.add_row([
            output::wrap_id(&first.peer, PEER_WIDTH),
            first.holders.clone(),
            column(&|right| right.service.clone()),
            column(&Right::what),
            column(&|right| right.links.join(", ")),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        // These must not break: their lines belong together.
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    output::lines(&table)
}

impl Right {
    /// Its ports, and when they are open.
    fn what(&self) -> String {
        let when = if self.if_handed_out {
            ", if handed out"
        } else {
            ""
        };
        format!("{} {}{when}", self.protocol, self.ports)
    }
}

/// `none` says who is meant where nobody is listed, at either end.
fn rules(rules: &[Rules], none: [&str; 2]) -> String {
    let mut table = output::table(["Rule", "What", "From", "To", "Why"]);
    for rule in rules {
        let end = |list: &[IpNet], none: &str| {
            let is_peers = none == "anybody";
            match (rule.internet && is_peers, list) {
                (false, _) => addresses(list, none),
                (true, []) => INTERNET.to_owned(),
                (true, _) => format!("{}, {INTERNET}", addresses(list, none)),
            }
        };
        table.add_row([
            rule.name.clone(),
            match rule.if_handed_out {
                true => format!("{}; of RPC, if handed out", output::joined(&rule.targets)),
                false => output::joined(&rule.targets),
            },
            end(&rule.from, none[0]),
            end(&rule.to, none[1]),
            rule.reason.clone(),
        ]);
    }
    output::lines(&table)
}

fn published(list: &[Published]) -> String {
    let mut table = output::table(["Published", "At the gateway", "Behind it", "Why"]);
    for one in list {
        let behind = match one.to_port {
            Some(port) => SocketAddr::new(one.to, port).to_string(),
            None => one.to.to_string(),
        };
        let targets = output::joined(&one.targets);
        table.add_row([&one.name, &targets, &behind, &one.reason]);
    }
    format!(
        "Published ports, for whoever may open them behind the gateway\n{}",
        output::lines(&table)
    )
}

fn hooks(hooks: &Hooks) -> String {
    let mut table = output::table(["Card", "Hook"]);
    for (card, hook) in hooks {
        table.add_row([card.as_str(), hook.label()]);
    }
    format!(
        "Where what comes in is judged; at all other cards as --hook says\n{}",
        output::lines(&table)
    )
}

fn addresses(list: &[IpNet], none: &str) -> String {
    match list {
        [] => none.to_owned(),
        list if list.len() > SHOWN => format!("{} prefixes", list.len()),
        list => list.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}
