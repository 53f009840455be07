//! What changed from one edition to another, for who moves from one to the other.
//!
//! Editions number and arrange their links differently, so what is compared is who may open what to
//! whom: all services of all links between the same two roles. A role that another one took the place
//! of is followed, where that does not meet a pair that was there before.

use super::{Catalog, Direction, Edition, Link, RoleId, Service};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What `catalog diff` prints. Its JSON form is what `catalog diff -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Diff {
    /// The edition that is left.
    pub from: Edition,
    /// The one that takes its place.
    pub to: Edition,
    /// Roles that only the first has.
    pub roles_gone: Vec<Gone>,
    /// Roles that only the second has.
    pub roles_added: Vec<RoleId>,
    /// Pairs of roles between which only the first has links.
    pub gone: Vec<Pair>,
    /// Pairs of roles between which only the second has links.
    pub added: Vec<Pair>,
    /// Pairs of roles between which both have links, but not the same.
    pub changed: Vec<Changed>,
}

/// A role that is there no more.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gone {
    /// The role.
    pub id: RoleId,
    /// The role that took its place, if that is known.
    pub replaced_by: Option<RoleId>,
}

/// All that is spoken between two roles.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pair {
    /// The role on the left of the arrow, or `any`.
    pub from: RoleId,
    /// The role on the right of it.
    pub to: RoleId,
    /// The links, by their ids.
    pub links: Vec<String>,
    /// What is spoken, as `smb tcp 445`, with the arrow where both ends open it.
    pub services: Vec<String>,
}

/// Two roles between which something else is spoken now.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changed {
    /// The role on the left of the arrow, or `any`.
    pub from: RoleId,
    /// The role on the right of it.
    pub to: RoleId,
    /// The links of the first edition.
    pub links_before: Vec<String>,
    /// Those of the second.
    pub links_after: Vec<String>,
    /// Services that are gone.
    pub gone: Vec<String>,
    /// Services that were added.
    pub added: Vec<String>,
}

/// The two ends, as the arrow has them.
type Ends = (RoleId, RoleId);

/// Ids of links, and services.
type Spoken = (Vec<String>, BTreeSet<String>);

impl Diff {
    /// Compares two editions.
    #[must_use]
    pub fn new(from: &Catalog, to: &Catalog) -> Self {
        let before = pairs(from);
        let mut after = pairs(to);
        let renamed = |role: &RoleId| successor(to, role).unwrap_or(role).clone();
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for (ends, (links_before, old)) in &before {
            let followed = (renamed(&ends.0), renamed(&ends.1));
            // Where the successor was there already, the role itself is gone.
            let was_there =
                before.contains_key(&followed) || before.contains_key(&turned(&followed));
            let ends_after = if was_there { ends } else { &followed };
            let Some((links_after, new)) = after.remove(ends_after) else {
                gone.push(pair(ends.clone(), links_before.clone(), old.clone()));
                continue;
            };
            if *old != new {
                changed.push(Changed {
                    from: ends_after.0.clone(),
                    to: ends_after.1.clone(),
                    links_before: links_before.clone(),
                    links_after,
                    gone: old.difference(&new).cloned().collect(),
                    added: new.difference(old).cloned().collect(),
                });
            }
        }
        let added = after.into_iter();
        Self {
            from: from.edition,
            to: to.edition,
            roles_gone: only_in(from, to)
                .map(|id| Gone {
                    replaced_by: successor(to, id).cloned(),
                    id: id.clone(),
                })
                .collect(),
            roles_added: only_in(to, from).cloned().collect(),
            gone,
            added: added
                .map(|(ends, (links, services))| pair(ends, links, services))
                .collect(),
            changed,
        }
    }
}

fn pair((from, to): Ends, links: Vec<String>, services: BTreeSet<String>) -> Pair {
    Pair {
        from,
        to,
        links,
        services: services.into_iter().collect(),
    }
}

/// The roles of the document that another edition does not have.
fn only_in<'a>(of: &'a Catalog, other: &'a Catalog) -> impl Iterator<Item = &'a RoleId> {
    let ids = of.roles.iter().map(|role| &role.id);
    ids.filter(|id| other.find(id.as_str()).is_none())
}

/// The role that took the place of another one.
fn successor<'a>(catalog: &'a Catalog, role: &RoleId) -> Option<&'a RoleId> {
    let mut retired = catalog.retired.iter();
    retired.find(|gone| gone.id == *role)?.replaced_by.as_ref()
}

fn turned((left, right): &Ends) -> Ends {
    (right.clone(), left.clone())
}

/// What the document lets pass between each two roles.
fn pairs(catalog: &Catalog) -> BTreeMap<Ends, Spoken> {
    let mut pairs: BTreeMap<Ends, Spoken> = BTreeMap::new();
    for link in &catalog.links {
        let ends = (link.from.clone(), link.to.clone());
        let (links, services) = pairs.entry(ends).or_default();
        if !links.contains(&link.id) {
            links.push(link.id.clone());
        }
        services.extend(link.services.iter().map(|row| spoken(link, row)));
    }
    pairs
}

fn spoken(link: &Link, row: &Service) -> String {
    let ports: Vec<String> = row.ports.iter().map(ToString::to_string).collect();
    let mut text = format!("{} {} {}", row.service, row.protocol, ports.join(", "));
    if link.direction == Direction::EitherWay {
        text += " <->";
    }
    if let Some(feature) = &link.opt_in {
        text += &format!(" (with {feature})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff() -> Diff {
        Diff::new(
            Catalog::of(Edition::V2007),
            Catalog::of(Edition::CurrentBranch),
        )
    }

    #[test]
    fn an_edition_does_not_differ_from_itself() {
        for edition in Edition::ALL {
            let catalog = Catalog::of(edition);
            let diff = Diff::new(catalog, catalog);
            let pairs = diff.gone.len() + diff.added.len() + diff.changed.len();
            assert_eq!(pairs + diff.roles_gone.len() + diff.roles_added.len(), 0);
        }
    }

    /// 54 pairs of roles then, 74 now.
    #[test]
    fn every_pair_is_gone_added_changed_or_the_same() {
        let diff = diff();
        assert_eq!(diff.roles_gone.len(), 11);
        assert_eq!(diff.roles_added.len(), 46 - (30 - 11));
        let same = 54 - diff.gone.len() - diff.changed.len();
        assert_eq!(diff.added.len() + diff.changed.len() + same, 74);
    }

    #[test]
    fn roles_are_followed_where_nothing_was_there_before() {
        let diff = diff();
        let changed = |from: &str, to: &str| {
            let mut all = diff.changed.iter();
            all.find(|pair| (pair.from.as_str(), pair.to.as_str()) == (from, to))
        };
        let boot = changed("client", "pxe-distribution-point").unwrap();
        assert_eq!(boot.links_before, ["8"]);
        assert_eq!(boot.added, ["dhcpv6 udp 547"]);
        assert_eq!(boot.gone, [""; 0]);
        let directory = changed("site-server", "domain-controller").unwrap();
        let gone = ["global-catalog-ssl tcp 3269", "rpc-endpoint-mapper udp 135"];
        assert_eq!(directory.gone, gone);
        // The management point was there, so the server locator point is gone.
        let gone = |id: &str| {
            diff.gone
                .iter()
                .any(|pair| pair.links.contains(&id.to_owned()))
        };
        for id in ["18", "31", "25", "9", "16", "41"] {
            assert!(gone(id), "link {id}");
        }
        assert!(!gone("8"));
    }
}
