//! Attack techniques of the field, as flows that a port filter may see: `catalog/techniques.toml`.

use super::{Catalog, Protocol, RoleId};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The techniques, and between whom their flows are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Techniques {
    systems: Vec<AttackEnd>,
    techniques: Vec<Technique>,
}

/// An end of a flow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttackEnd {
    /// What flows call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Roles that stand for it; the first that an edition has counts.
    roles: Vec<RoleId>,
}

/// A way to attack a site.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technique {
    /// Its id in the public catalogue, such as `TAKEOVER-1`.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// What the attacker has to begin with.
    pub attacker_holds: String,
    /// Where the attacker's computer is.
    #[serde(default)]
    pub at: Position,
    /// The version of the product that ends it, if one does.
    pub fixed_in: Option<String>,
    /// What it sends; nothing, if it stays on one computer.
    #[serde(default)]
    pub flows: Vec<AttackFlow>,
}

/// Where the attacker's computer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// At the address of an ordinary client.
    #[default]
    Client,
    /// At any address that may boot from the network.
    Boot,
}

/// One of the flows of a technique.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackFlow {
    /// Who opens it.
    pub from: String,
    /// Who listens.
    pub to: String,
    /// What is spoken.
    pub service: String,
    /// What carries it.
    pub protocol: Protocol,
    /// The ports, of which it needs one.
    pub ports: Vec<AttackPort>,
    /// What it is for.
    pub leg: Purpose,
    /// How it comes by the systems that a policy may protect.
    pub seen: Seen,
    /// The variants of the technique that need it.
    pub variants: Vec<String>,
    /// Whether they can do without it.
    #[serde(default)]
    pub optional: bool,
}

/// A port of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum AttackPort {
    /// This one.
    Number(u16),
    /// One that the site knows.
    Named(NamedPort),
}

/// A port that the site knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedPort {
    /// 80, and the site's own.
    Http,
    /// 443, and the site's own.
    Https,
    /// 1433, and the site's own.
    Sql,
    /// The site's range of RPC.
    Dynamic,
    /// One that the attacker chooses.
    Any,
}

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Prepares the attack.
    Setup,
    /// Reaches for what is wanted.
    Access,
    /// Makes a system log on at the attacker's.
    Coerce,
    /// That logon.
    Callback,
    /// Hands the logon on.
    Relay,
    /// Uses what was gained.
    Use,
}

/// How a flow comes by the systems that a policy may protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Towards them.
    Inbound,
    /// From them.
    Outbound,
    /// Past them.
    No,
}

impl Techniques {
    /// Those that this program knows.
    ///
    /// # Panics
    /// Never: a test reads the table.
    #[must_use]
    pub fn known() -> &'static Self {
        static TECHNIQUES: OnceLock<Techniques> = OnceLock::new();
        TECHNIQUES.get_or_init(|| {
            let read = toml::from_str(include_str!("../../catalog/techniques.toml"));
            read.unwrap_or_else(|error| panic!("catalog/techniques.toml: {error}"))
        })
    }

    /// All of them, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = &Technique> {
        self.techniques.iter()
    }

    /// What people call an end of a flow.
    #[must_use]
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.end(id).map_or(id, |end| &end.name)
    }

    /// The role that stands for an end in an edition, if the edition has one.
    #[must_use]
    pub fn role(&self, id: &str, catalog: &Catalog) -> Option<&RoleId> {
        let mut roles = self.end(id)?.roles.iter();
        roles.find(|role| catalog.find(role.as_str()).is_some())
    }

    fn end(&self, id: &str) -> Option<&AttackEnd> {
        self.systems.iter().find(|end| end.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Edition;
    use std::collections::BTreeSet;

    #[test]
    fn every_flow_is_between_ends_that_are_known_and_belongs_to_a_variant() {
        let techniques = Techniques::known();
        let ids: BTreeSet<&str> = techniques.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((ids.len(), techniques.iter().count()), (34, 34));
        let flows = techniques.iter().flat_map(|technique| &technique.flows);
        for flow in flows {
            for end in [&flow.from, &flow.to] {
                assert!(techniques.end(end).is_some(), "{end}");
            }
            assert!(!flow.ports.is_empty() && !flow.variants.is_empty());
            // What is seen has a system of the site at one end, in every edition.
            let system = match flow.seen {
                Seen::Inbound => &flow.to,
                Seen::Outbound => &flow.from,
                Seen::No => continue,
            };
            for edition in Edition::ALL {
                let role = techniques.role(system, Catalog::of(edition));
                assert!(role.is_some(), "{system} in {edition}");
            }
        }
    }
}
