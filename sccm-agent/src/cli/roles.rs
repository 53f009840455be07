//! `sccm-agent roles`: which roles there are, and what one of them needs.

mod detail;

pub(super) use detail::RoleDetail;

use crate::{
    catalog::{Edition, Link, Role, RoleId},
    output::{self, OutputArgs, OutputFormat},
    policy::is_of_rpc,
    site::{Site, SiteArgs},
};
use anyhow::Result;
use clap::Args;
use comfy_table::ColumnConstraint;
use serde::Serialize;

/// Columns of what stands under the list.
const WIDTH: usize = 90;

/// List the roles, or show the links of one role
#[derive(Debug, Clone, Args)]
pub struct RolesArgs {
    /// Role to show, such as distribution-point [default: list all roles]
    role: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    // Last: its heading would cover what follows it.
    #[command(flatten)]
    site: SiteArgs,
}

/// Prints all roles, or one role's ports at a site with these settings.
///
/// # Errors
/// An unknown role, site settings that break a rule, or standard output that
/// cannot be written.
pub fn run(args: &RolesArgs) -> Result<()> {
    let catalog = args.site.catalog();
    let site = args.site.site(catalog)?;
    match (&args.role, args.output.output) {
        (None, OutputFormat::Json) => output::print_json(&RoleList::new(&site)),
        (None, OutputFormat::Table) => output::print(RoleList::new(&site).text()),
        (Some(role), format) => {
            let detail = RoleDetail::new(catalog.role(role)?, &site);
            match format {
                OutputFormat::Json => output::print_json(&detail),
                OutputFormat::Table => output::print(detail.text()),
            }
        }
    }
}

/// All roles; its JSON form is what `roles -o json` prints.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct RoleList<'a> {
    /// The edition of the port table.
    edition: Edition,
    /// The roles, in the catalog's order.
    roles: Vec<Listed<'a>>,
    /// Roles of other pages of the vendor than the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supplement: Vec<Listed<'a>>,
    /// The links that open the RPC dynamic range: `rpc = "tracked"` narrows them.
    rpc_dynamic_links: Vec<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Listed<'a> {
    /// What users type.
    id: &'a RoleId,
    /// What people call it.
    name: &'a str,
    /// The role whose links it has as well.
    is_a: Option<&'a RoleId>,
    /// Links on which others may open something to it.
    links_in: usize,
    /// Links on which it may open something to others.
    links_out: usize,
}

impl<'a> RoleList<'a> {
    fn new(site: &'a Site) -> Self {
        let catalog = site.catalog;
        let listed = |role: &'a Role| Listed {
            id: &role.id,
            name: &role.name,
            is_a: role.is_a.as_ref(),
            links_in: count(site.links_into(role).map(|(link, ..)| link)),
            links_out: count(site.links_out_of(role).map(|(link, ..)| link)),
        };
        Self {
            edition: catalog.edition,
            roles: catalog.roles.iter().map(listed).collect(),
            supplement: catalog.supplement.roles.iter().map(listed).collect(),
            rpc_dynamic_links: rpc_dynamic_links(site),
        }
    }

    /// Lines that are as narrow as the table.
    fn tracked_text(&self) -> String {
        let mut text =
            "With rpc = \"tracked\", the dynamic ports of these links are opened one by one:"
                .to_owned();
        let mut width = WIDTH;
        for (number, link) in self.rpc_dynamic_links.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            width += comma.len() + 1 + link.len();
            match width > WIDTH {
                true => {
                    text += &format!("{comma}\n  {link}");
                    width = 2 + link.len();
                }
                false => text += &format!("{comma} {link}"),
            }
        }
        text
    }

    fn text(&self) -> String {
        let mut table = output::list(["Role", "Name", "Is a", "In", "Out"]);
        for role in self.roles.iter().chain(&self.supplement) {
            table.add_row([
                role.id.to_string(),
                role.name.to_owned(),
                role.is_a.map(ToString::to_string).unwrap_or_default(),
                role.links_in.to_string(),
                role.links_out.to_string(),
            ]);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            // Only names may break: ids are what people copy.
            if index != 1 {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        format!(
            "{}\nIn: links on which others may open something to it. Out: links on which it opens to \
             others.\nOne role's ports: sccm-agent roles ROLE\n{}\n\
             Port table: Configuration Manager {}",
            output::lines(&table),
            self.tracked_text(),
            self.edition
        )
    }
}

/// The links of a site that open the RPC dynamic range, each once.
fn rpc_dynamic_links(site: &Site) -> Vec<&'static str> {
    let mut links: Vec<&str> = Vec::new();
    for role in site.catalog.all_roles() {
        for (link, _, service) in site.links_into(role) {
            if is_of_rpc(service) && !links.contains(&link.id.as_str()) {
                links.push(&link.id);
            }
        }
    }
    links.sort_by_key(|id| {
        let mut all = site.catalog.all_links();
        all.position(|link| link.id == **id)
    });
    links
}

/// How many links there are, given one item for each of their services in turn.
fn count<'a>(links: impl Iterator<Item = &'a Link>) -> usize {
    let mut links: Vec<&Link> = links.collect();
    links.dedup_by(|a, b| std::ptr::eq(*a, *b));
    links.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Protocol, Sets};

    #[test]
    fn every_role_is_listed_with_its_links() {
        let site = Site::default();
        let json = serde_json::to_value(RoleList::new(&site)).unwrap();
        let roles = json["roles"].as_array().unwrap();
        assert_eq!(roles.len(), 30);
        let role = roles
            .iter()
            .find(|role| role["id"] == "multicast-distribution-point")
            .unwrap();
        // In: 14, 15, 19 and dp-package-install, of the distribution point. Out: 41.
        let expected = serde_json::json!({
            "id": "multicast-distribution-point",
            "name": "Multicast distribution point",
            "is_a": "distribution-point",
            "links_in": 4,
            "links_out": 1,
        });
        assert_eq!(*role, expected);
        assert_eq!(json.get("supplement"), None);
    }

    /// Each opens the mapper, too, to the same peers: whatever it hands out, they have asked for.
    #[test]
    fn the_links_of_the_dynamic_range_are_named() {
        let links = |edition| rpc_dynamic_links(&Site::new(Catalog::of(edition)));
        let of_document = [
            "2", "9", "10", "12", "14", "20", "26", "29", "30", "31", "35", "39", "42", "45", "A",
        ];
        let found = links(Edition::V2007);
        assert_eq!(found[..of_document.len()], of_document);
        let found = links(Edition::CurrentBranch);
        assert!(
            found.contains(&"site-server--distribution-point"),
            "{found:?}"
        );
        assert!(!found.contains(&"discovery-and-publishing"), "{found:?}");
        for catalog in Edition::ALL.map(Catalog::of) {
            for link in catalog.all_links() {
                let has = |service: &str| {
                    let mut rows = link.services.iter();
                    rows.any(|row| row.service == service && row.protocol == Protocol::Tcp)
                };
                assert!(
                    !link.services.iter().any(is_of_rpc) || has("rpc-endpoint-mapper"),
                    "{}",
                    link.id
                );
            }
        }
        for set in Sets::known().iter() {
            let rows = || set.services.iter();
            let mapper = rows().any(|row| row.service == "rpc-endpoint-mapper");
            assert!(
                mapper || !rows().any(|row| row.service == "rpc-dynamic"),
                "{}",
                set.id
            );
        }
        let text = RoleList::new(&Site::default()).text();
        assert!(text.contains("  2, 9, 10, 12, 14, 20,"), "{text}");
    }

    #[test]
    fn roles_of_other_pages_stand_apart() {
        let site = Site::new(Catalog::of(Edition::CurrentBranch));
        let json = serde_json::to_value(RoleList::new(&site)).unwrap();
        assert_eq!(json["roles"].as_array().unwrap().len(), 46);
        assert_eq!(json["supplement"][0]["id"], "azure-storage");
    }

    #[test]
    fn the_list_keeps_to_100_columns() {
        for edition in Edition::ALL {
            let text = RoleList::new(&Site::new(Catalog::of(edition))).text();
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
            let last = format!("Port table: Configuration Manager {edition}");
            assert!(text.ends_with(&last), "{text}");
        }
        let text = RoleList::new(&Site::default()).text();
        assert!(
            text.contains("asset-intelligence-synchronization-point"),
            "{text}"
        );
    }
}
