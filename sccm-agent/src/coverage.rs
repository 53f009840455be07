//! Which attack techniques a policy stops: fully, partly, or not.
//!
//! Each flow of a technique is asked of the compiled policy, from all addresses at which the
//! attacker's computer may be to all systems that the policy protects in the role. A technique has
//! variants; a variant is cut when one flow that it needs passes on none of its ports.

mod change;
mod ends;
mod leg;
mod named;
mod text;

pub use leg::{Decision, Leg};
pub use named::Named;

use crate::catalog::{Edition, Technique, Techniques};
use crate::policy::{Kinds, Request, SitePolicy, Surroundings};
use anyhow::Result;
use leg::Judge;
use serde::Serialize;
use std::collections::BTreeSet;

/// What no port filter stops, whatever the policy.
pub const LIMITS: [&str; 4] = [
    "Whoever is on a computer already (CRED-3, CRED-4, ELEVATE-6, RECON-7) sends nothing that a filter could see.",
    "What clients need, attackers at a client's address have, too: policy and content by HTTP, LDAP to the directory.",
    "Logons that are relayed to a system beyond this machine (directory, certificate authority, other clients) pass by it.",
    "A filter does not look into what it lets pass: who may open a port may send anything to it.",
];

/// Whether a technique is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every variant of it is.
    Full,
    /// Some variants are.
    Partly,
    /// No variant is.
    None,
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partly => "partly",
            Self::None => "none",
        }
    }
}

/// What `sccm-agent coverage -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// The edition of the policy.
    pub edition: Edition,
    /// Whether nothing is dropped, as with `enforce --observe`: then nothing is stopped.
    pub observed: bool,
    /// All techniques, in the order of their catalogue.
    pub techniques: Vec<Covered>,
    /// What no port filter stops, in plain words.
    pub limits: Vec<&'static str>,
}

/// A technique, and whether the policy stops it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Covered {
    /// Its id in the public catalogue, such as `TAKEOVER-1`.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// What the attacker has to begin with.
    pub attacker_holds: &'static str,
    /// Whether it is stopped.
    pub verdict: Verdict,
    /// Its variants: which are cut, and by which legs.
    pub variants: Vec<Variant>,
    /// Its flows.
    pub legs: Vec<Leg>,
    /// What would stop more of it; empty if nothing that a policy can say would.
    pub change: Vec<String>,
    /// The version of the product that ends it, if one does.
    pub fixed_in: Option<&'static str>,
}

/// A way to go about a technique.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// Whether one of the flows that it needs is dropped.
    pub cut: bool,
    /// The legs that decide: those that are dropped, by their places in `legs`.
    pub by: Vec<usize>,
}

impl Coverage {
    /// Judges all techniques.
    ///
    /// # Errors
    /// A policy that cannot be compiled.
    pub fn new(policy: &SitePolicy, machine: &Surroundings, observe: bool) -> Result<Self> {
        let request = Request {
            policy,
            machine,
            observe,
        };
        let kinds = Kinds::new(&request)?;
        let mut judge = Judge::new(&request, &kinds);
        let techniques = Techniques::known().iter();
        let techniques = techniques.map(|technique| covered(technique, &mut judge));
        Ok(Self {
            edition: policy.site.catalog.edition,
            observed: observe,
            techniques: techniques.collect::<Result<_>>()?,
            limits: LIMITS.to_vec(),
        })
    }

    /// Those of these techniques that are not stopped fully.
    ///
    /// # Errors
    /// An id that is unknown.
    pub fn lacking(&self, required: &[String]) -> Result<Vec<&Covered>> {
        let mut lacking = Vec::new();
        for id in required {
            let mut all = self.techniques.iter();
            let Some(found) = all.find(|one| one.id.eq_ignore_ascii_case(id)) else {
                let ids: Vec<&str> = self.techniques.iter().map(|one| one.id).collect();
                anyhow::bail!("unknown technique `{id}`; known are {}", ids.join(", "));
            };
            if found.verdict != Verdict::Full {
                lacking.push(found);
            }
        }
        Ok(lacking)
    }
}

fn covered(technique: &'static Technique, judge: &mut Judge<'_>) -> Result<Covered> {
    let flows = technique.flows.iter();
    let legs = flows.map(|flow| judge.leg(technique, flow));
    let legs: Vec<Leg> = legs.collect::<Result<_>>()?;
    let mut seen = BTreeSet::new();
    let names = technique.flows.iter().flat_map(|flow| &flow.variants);
    let names: Vec<&'static String> = names.filter(|name| seen.insert(*name)).collect();
    let variants = names.into_iter().map(|name| {
        let numbered = legs.iter().enumerate();
        let needed = numbered.filter(|(_, leg)| leg.variants.contains(name) && !leg.optional);
        let by = needed.filter(|(_, leg)| leg.decision.cuts());
        let by: Vec<usize> = by.map(|(number, _)| number).collect();
        Variant {
            name,
            cut: !by.is_empty(),
            by,
        }
    });
    let variants: Vec<Variant> = variants.collect();
    let cut = variants.iter().filter(|variant| variant.cut).count();
    let verdict = match cut {
        0 => Verdict::None,
        all if all == variants.len() => Verdict::Full,
        _ => Verdict::Partly,
    };
    Ok(Covered {
        id: &technique.id,
        title: &technique.title,
        attacker_holds: &technique.attacker_holds,
        verdict,
        change: change::of(judge.policy(), &variants, &legs),
        variants,
        legs,
        fixed_in: technique.fixed_in.as_deref(),
    })
}

#[cfg(test)]
mod tests;
