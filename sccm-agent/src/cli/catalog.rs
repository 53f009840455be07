//! `sccm-agent catalog`: the whole port table, and what changed from one edition to another.

mod diff;

use crate::{
    catalog::{Catalog, Edition, Link},
    output::{self, OutputArgs, OutputFormat},
};
use anyhow::Result;
use clap::{Args, Subcommand};
use comfy_table::ColumnConstraint;
use diff::DiffArgs;

/// Columns for a link's id, and for each of its roles: the services take the rest.
const LINK_WIDTH: usize = 15;
const ROLE_WIDTH: usize = 21;

/// Print the whole port table: who opens which port to whom
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CatalogArgs {
    #[command(subcommand)]
    command: Option<Command>,

    /// Edition of Configuration Manager, such as current-branch
    #[arg(long, value_name = "EDITION", default_value_t)]
    edition: Edition,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Diff(DiffArgs),
}

/// Prints the catalog: as a summary of its links, or whole as JSON.
pub fn run(args: &CatalogArgs) -> Result<()> {
    if let Some(Command::Diff(args)) = &args.command {
        return diff::run(args);
    }
    let catalog = Catalog::of(args.edition);
    match args.output.output {
        OutputFormat::Json => output::print_json(&catalog),
        OutputFormat::Table => output::print(summary(catalog)),
    }
}

fn summary(catalog: &Catalog) -> String {
    let mut text = format!(
        "Port table of Configuration Manager {}: {} entries, {} roles, {} notes\n{}",
        catalog.edition,
        catalog.links.len(),
        catalog.roles.len(),
        catalog.notes.len(),
        links(&catalog.links),
    );
    if !catalog.supplement.is_empty() {
        text += &format!(
            "\n\nFrom other pages of the vendor: {} entries, {} roles\n{}",
            catalog.supplement.links.len(),
            catalog.supplement.roles.len(),
            links(&catalog.supplement.links),
        );
    }
    text + "\nConditions, notes and the document's lines: sccm-agent catalog -o json\n\
            One role's ports: sccm-agent roles ROLE"
}

fn links(links: &[Link]) -> String {
    let mut table = output::table(["Link", "From", "", "To", "Services"]);
    for link in links {
        table.add_row([
            output::wrap_id(&link.id, LINK_WIDTH),
            output::wrap_id(link.from.as_str(), ROLE_WIDTH),
            link.direction.to_string(),
            output::wrap_id(link.to.as_str(), ROLE_WIDTH),
            services(link),
        ]);
    }
    // Each service on a line of its own, however narrow the terminal.
    if let Some(services) = table.column_mut(4) {
        services.set_constraint(ColumnConstraint::ContentWidth);
    }
    output::lines(&table)
}

fn services(link: &Link) -> String {
    let mut lines: Vec<String> = link
        .services
        .iter()
        .map(|service| {
            let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
            format!(
                "{} {} {}",
                service.service,
                service.protocol,
                ports.join(", ")
            )
        })
        .collect();
    if let Some(feature) = &link.opt_in {
        let apart = if output::is_plain() { ' ' } else { '\n' };
        lines.push(format!("(only with --enable{apart}{feature})"));
    }
    output::joined(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_every_entry_and_keeps_to_100_columns() {
        for (edition, sql) in [(Edition::V2007, 11), (Edition::CurrentBranch, 15)] {
            let text = summary(Catalog::of(edition));
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
            assert!(text.contains("http tcp 80, 8530"), "{text}");
            assert!(text.contains("(only with --enable"), "{text}");
            assert_eq!(text.matches("sql tcp 1433").count(), sql, "{text}");
        }
    }
}
