//! A row for each opening, for people who decide about changes (RFC 4180).

use super::{grounds, is_carried};
use crate::diff::Change;

const HEADER: &str = "direction,entries,systems,peers,roles,protocol,ports,because";

/// All openings.
#[must_use]
pub fn csv(openings: &[Change]) -> String {
    let rows = openings
        .iter()
        .filter(|change| is_carried(change))
        .map(|change| {
            let fields = [
                change.direction.to_owned(),
                change.entries.join(" "),
                change.systems.join(" "),
                change.peers.join(" "),
                change.roles.join(" "),
                change.protocol.to_owned(),
                change.ports.join(" "),
                match change.if_handed_out {
                    true => format!("if the endpoint mapper hands it out: {}", grounds(change)),
                    false => grounds(change),
                },
            ];
            fields.map(|field| quoted(&field)).join(",")
        });
    let lines: Vec<String> = [HEADER.to_owned()].into_iter().chain(rows).collect();
    lines.join("\n")
}

/// A field: in quotes where it must be. No spreadsheet takes it for a formula.
fn quoted(field: &str) -> String {
    let field = match field.starts_with(['=', '+', '-', '@', '\t']) {
        true => format!("'{field}"),
        false => field.to_owned(),
    };
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}
