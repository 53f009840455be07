//! The vendor's port table as data: who opens which port to whom, and why.
//!
//! Each product [`Edition`] is one TOML file, embedded in the program. It is read
//! once, checked wholly (an entry that cites an unknown note or role stops the
//! program, not the traffic), and then only looked at: by a `Site`,
//! which knows the ports that were moved, and by the commands that print it.
//! Every entry cites the document's line, so that each port that is open can be
//! traced to a sentence.

mod check;
mod diff;
mod edition;
mod model;
mod nearest;
mod port;
mod sets;
mod techniques;
#[cfg(test)]
mod tests;

pub use diff::Diff;
pub use edition::Edition;
pub use model::{
    ANY, Direction, Link, Note, PortSetting, Protocol, Retired, Role, RoleId, SITE_SERVER, Service,
    Source, Stale, Supplement,
};
pub use nearest::nearest;
pub use port::PortSpec;
pub use sets::{Set, SetPeer, SetService, Sets};
pub use techniques::{
    AttackFlow, AttackPort, NamedPort, Position, Purpose, Seen, Technique, Techniques,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    sync::OnceLock,
};

const DHCPV6: &str = "dhcpv6";

/// What people call roles, and their ids. Editions may have different ones.
const SHORT_NAMES: [(&str, &str); 7] = [
    ("dp", "distribution-point"),
    ("mp", "management-point"),
    ("sup", "software-update-point"),
    ("pxe", "pxe-service-point"),
    ("pxe", "pxe-distribution-point"),
    ("dc", "domain-controller"),
    ("sql", "sql-server"),
];

/// One edition of the vendor's port table. Its JSON form is what `catalog -o json` prints.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The edition that the table is of.
    pub edition: Edition,
    /// Ids of links that the document states in a sentence from [`ANY`], not in a table.
    #[serde(default, skip_serializing)]
    pub sentences: Vec<String>,
    /// Services that the end that listens sends to groups, unasked or to all who asked.
    #[serde(default, skip_serializing)]
    pub sent_to_many: Vec<String>,
    /// The computers that the table speaks of. `any` is not one of them.
    pub roles: Vec<Role>,
    /// The entries in the document's order. Ids are not unique: links that name
    /// two role pairs, or two arrows, appear once for each.
    pub links: Vec<Link>,
    /// The document's numbered notes, as people read them. What they change is said
    /// by keys of the links and services that cite them.
    pub notes: Vec<Note>,
    /// What other pages of the vendor add; it belongs to the policy as the document does.
    #[serde(default, skip_serializing_if = "Supplement::is_empty")]
    pub supplement: Supplement,
    /// Roles that an edition before had, and this one has no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    /// Roles that the product has hardly or no more, although the table has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<Stale>,
    /// The documents that `source` names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, Source>,
}

impl Catalog {
    /// The port table of an edition, read when it is first asked for.
    ///
    /// # Panics
    /// If the embedded file is broken, which the tests rule out.
    #[must_use]
    pub fn of(edition: Edition) -> &'static Self {
        static CATALOGS: [OnceLock<Catalog>; Edition::ALL.len()] =
            [const { OnceLock::new() }; Edition::ALL.len()];
        CATALOGS[edition as usize].get_or_init(|| {
            Self::parse(edition.text())
                .unwrap_or_else(|error| panic!("the embedded catalog {edition}: {error:#}"))
        })
    }

    /// Reads and checks one edition.
    ///
    /// # Errors
    /// Text that is not TOML of this shape, and whatever breaks the catalog's
    /// rules: unknown roles or notes, malformed ports, a circle of `is_a`.
    pub fn parse(text: &str) -> Result<Self> {
        let catalog: Self = toml::from_str(text)?;
        check::check(&catalog)?;
        Ok(catalog)
    }

    /// Every link: the document's, then the supplement's.
    pub fn all_links(&self) -> impl Iterator<Item = &Link> + Clone {
        self.links.iter().chain(&self.supplement.links)
    }

    /// Every role: the document's, then the supplement's.
    pub fn all_roles(&self) -> impl Iterator<Item = &Role> + Clone {
        self.roles.iter().chain(&self.supplement.roles)
    }

    /// The role with this id, or with this short name, such as `dp`.
    ///
    /// # Errors
    /// [`UnknownRole`], which says what took its place, which edition has it, or which roles look
    /// most alike.
    pub fn role(&self, id: &str) -> Result<&Role, UnknownRole> {
        let mut short = SHORT_NAMES.iter().filter(|(short, _)| *short == id);
        let role = self.find(id);
        let role = role.or_else(|| short.find_map(|(_, id)| self.find(id)));
        role.ok_or_else(|| UnknownRole {
            asked: id.to_owned(),
            instead: self.instead_of(id),
            nearest: nearest(id, self.all_roles().map(|role| role.id.as_str())),
        })
    }

    /// What is known of a role that this edition does not have.
    fn instead_of(&self, id: &str) -> Option<String> {
        let edition = self.edition;
        if let Some(retired) = self.retired.iter().find(|role| role.id.as_str() == id) {
            let instead = match &retired.replaced_by {
                Some(role) => format!("name {role} in its place"),
                None => "nothing took its place".to_owned(),
            };
            return Some(format!(
                "role `{id}` is not in edition {edition}: {instead}. {}",
                retired.reason
            ));
        }
        let others = Edition::ALL.into_iter().filter(|other| *other != edition);
        let mut others = others.filter(|other| Self::of(*other).find(id).is_some());
        others.next().map(|other| {
            format!(
                "`{id}` is a role of edition {other}, and this is edition {edition}: `edition` in \
                 [site], or the flag --edition, chooses another"
            )
        })
    }

    /// How it stands with a role that the product has hardly or no more.
    #[must_use]
    pub fn stale(&self, id: &RoleId) -> Option<&Stale> {
        self.stale.iter().find(|role| role.id == *id)
    }

    /// The role itself, then what it is, nearest first: a primary site server
    /// has every link of a site server.
    #[must_use]
    pub fn lineage<'a>(&'a self, role: &'a Role) -> Vec<&'a RoleId> {
        let parent = |role: &&'a Role| self.find(role.is_a.as_ref()?.as_str());
        std::iter::successors(Some(role), parent)
            .map(|role| &role.id)
            .collect()
    }

    /// Whether a role is this one, or a kind of it.
    #[must_use]
    pub fn is(&self, id: &RoleId, asked: &str) -> bool {
        id.as_str() == asked
            || self.find(id.as_str()).is_some_and(|role| {
                let lineage = self.lineage(role);
                lineage.iter().any(|id| id.as_str() == asked)
            })
    }

    /// Whether the document states a link in a sentence, not in a table.
    #[must_use]
    pub fn is_sentence(&self, link: &Link) -> bool {
        self.sentences.contains(&link.id)
    }

    /// Whether computers that boot from the network ask by DHCPv6, too.
    #[must_use]
    pub fn boots_by_dhcpv6(&self) -> bool {
        let mut boots = self.all_links().filter(|link| link.network_boot);
        boots.any(|link| link.services.iter().any(|row| row.service == DHCPV6))
    }

    /// The features that the table's `opt_in` links wait for, sorted.
    #[must_use]
    pub fn features(&self) -> BTreeSet<&str> {
        self.all_links()
            .filter_map(|link| link.opt_in.as_deref())
            .collect()
    }

    /// The note with this number.
    #[must_use]
    pub fn note(&self, id: u8) -> Option<&Note> {
        self.notes.iter().find(|note| note.id == id)
    }

    /// The role with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Role> {
        self.all_roles().find(|role| role.id.as_str() == id)
    }
}

impl fmt::Debug for Catalog {
    /// Its edition alone: whatever carries a catalog carries one of the few that there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({})", self.edition)
    }
}

/// A role that the catalog does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRole {
    /// What was asked for.
    pub asked: String,
    /// What is known of it: what took its place, or which edition has it.
    pub instead: Option<String>,
    /// The ids that look most like it, best first; perhaps none.
    pub nearest: Vec<String>,
}

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(instead) = &self.instead {
            return f.write_str(instead);
        }
        write!(f, "unknown role `{}`", self.asked)?;
        if !self.nearest.is_empty() {
            write!(f, "; did you mean {}?", self.nearest.join(" or "))?;
        }
        f.write_str(" (`sccm-agent roles` lists all roles)")
    }
}

impl Error for UnknownRole {}
