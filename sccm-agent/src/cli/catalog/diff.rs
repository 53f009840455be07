//! `sccm-agent catalog diff`: what changed from one edition to another.

use crate::{
    catalog::{Catalog, Diff, Edition, RoleId},
    output::{self, OutputArgs, OutputFormat},
};
use anyhow::Result;
use clap::Args;
use comfy_table::ColumnConstraint;

/// Columns for a role: what stands beside it must not break.
const ROLE_WIDTH: usize = 24;

/// Print what changed between the port tables of two editions
#[derive(Debug, Clone, Args)]
pub(super) struct DiffArgs {
    /// Edition that is left, such as 2007
    from: Edition,

    /// Edition that takes its place, such as current-branch
    to: Edition,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the differences.
pub(super) fn run(args: &DiffArgs) -> Result<()> {
    let diff = Diff::new(Catalog::of(args.from), Catalog::of(args.to));
    match args.output.output {
        OutputFormat::Json => output::print_json(&diff),
        OutputFormat::Table => output::print(text(&diff)),
    }
}

fn text(diff: &Diff) -> String {
    let mut parts = vec![format!(
        "Configuration Manager {} to {}: {} pairs of roles gone, {} added, {} changed",
        diff.from,
        diff.to,
        diff.gone.len(),
        diff.added.len(),
        diff.changed.len()
    )];
    if !diff.roles_gone.is_empty() {
        let mut roles = output::list(["Role", "In its place"]);
        for gone in &diff.roles_gone {
            let successor = gone.replaced_by.as_ref().map(ToString::to_string);
            roles.add_row([gone.id.to_string(), successor.unwrap_or_default()]);
        }
        parts.push(format!("Roles gone\n{}", output::lines(&roles)));
    }
    if !diff.roles_added.is_empty() {
        let roles: Vec<String> = diff.roles_added.iter().map(ToString::to_string).collect();
        parts.push(format!("Roles added\n{}", roles.join("\n")));
    }
    let pairs = [("Gone", '-', &diff.gone), ("Added", '+', &diff.added)];
    let whole = pairs.map(|(title, sign, pairs)| {
        let rows = pairs.iter().map(|pair| {
            let services = pair.services.iter();
            let services = services.map(|service| format!("{sign} {service}"));
            (&pair.from, &pair.to, services.collect())
        });
        (title, rows.collect::<Vec<_>>())
    });
    let changed = diff.changed.iter().map(|pair| {
        let gone = pair.gone.iter().map(|service| format!("- {service}"));
        let added = pair.added.iter().map(|service| format!("+ {service}"));
        (&pair.from, &pair.to, gone.chain(added).collect())
    });
    let all = whole.into_iter().chain([("Changed", changed.collect())]);
    for (title, rows) in all.filter(|(_, rows)| !rows.is_empty()) {
        parts.push(format!("{title}\n{}", table(&rows)));
    }
    parts.join("\n\n")
}

fn table(rows: &[(&RoleId, &RoleId, Vec<String>)]) -> String {
    let mut table = output::table(["From", "To", "Services"]);
    for (from, to, services) in rows {
        table.add_row([
            output::wrap_id(from.as_str(), ROLE_WIDTH),
            output::wrap_id(to.as_str(), ROLE_WIDTH),
            output::joined(services),
        ]);
    }
    // Each service on a line of its own, however narrow the terminal.
    if let Some(services) = table.column_mut(2) {
        services.set_constraint(ColumnConstraint::ContentWidth);
    }
    output::lines(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differences_keep_to_100_columns() {
        let diff = Diff::new(
            Catalog::of(Edition::V2007),
            Catalog::of(Edition::CurrentBranch),
        );
        let text = text(&diff);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        for expected in ["Roles gone", "cloud-management-gateway", "+ dhcpv6 udp 547"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(text.contains("- pptp tcp 1723 <->"), "{text}");
    }
}
