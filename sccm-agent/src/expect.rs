//! Whether a policy does what its `[[expect]]` say, proved for all addresses.
//!
//! The compiled policy tells few kinds of addresses apart, and few sorts of ports. Each is asked, so
//! what is found to hold holds for every address and every port, and what does not is shown by one.

mod only;
mod pair;

use crate::policy::{Ends, Expectation, Kind, Kinds, Must, Request, SitePolicy, Surroundings};
use anyhow::{Result, bail};
use ipnet::IpNet;
use serde::Serialize;

/// What `sccm-agent test -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verdicts {
    /// Whether all hold.
    pub hold: bool,
    /// Each expectation, in the order of the policy.
    pub expectations: Vec<Outcome>,
}

/// An expectation, and whether it holds.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What must be so.
    pub must: Must,
    /// Whether it is.
    pub holds: bool,
    /// What breaks it: two addresses and a port, or that it is about nothing.
    pub broken_by: Option<String>,
}

/// Asks a policy for each of its expectations.
///
/// # Errors
/// A policy that cannot be compiled.
pub fn test(policy: &SitePolicy, machine: &Surroundings) -> Result<Verdicts> {
    let request = Request {
        policy,
        machine,
        observe: false,
    };
    let kinds = Kinds::new(&request)?;
    let expectations = policy.expect.iter().map(|expectation| {
        let broken_by = match expectation.must {
            Must::Pass | Must::Drop => pair::breaks(&kinds, expectation),
            Must::Only => only::breaks(&kinds, expectation),
        };
        Outcome {
            name: expectation.name.clone(),
            must: expectation.must,
            holds: broken_by.is_none(),
            broken_by,
        }
    });
    let expectations: Vec<Outcome> = expectations.collect();
    Ok(Verdicts {
        hold: expectations.iter().all(|outcome| outcome.holds),
        expectations,
    })
}

/// Refuses a policy that breaks one of its expectations.
///
/// # Errors
/// It does, or cannot be compiled.
pub fn ensure(policy: &SitePolicy) -> Result<()> {
    if policy.expect.is_empty() {
        return Ok(());
    }
    let verdicts = test(policy, &Surroundings::default())?;
    let broken = verdicts.expectations.iter().filter_map(|outcome| {
        let why = outcome.broken_by.as_ref()?;
        Some(format!("expectation {}: {why}", outcome.name))
    });
    let broken: Vec<String> = broken.collect();
    if !broken.is_empty() {
        bail!(
            "the policy does not do what it is expected to: {}; correct the policy, or the [[expect]]",
            broken.join("; ")
        );
    }
    Ok(())
}

/// Whether some addresses of a kind are meant by an end.
fn meets(end: &Ends, kind: &Kind) -> bool {
    match end {
        Ends::Protected => !kind.systems.is_empty(),
        Ends::Anybody => !kind.is_group && !kind.is_own(),
        Ends::Listed(prefixes, internet) => {
            *internet && kind.is_of_the_internet || prefixes.iter().any(|one| touches(kind, one))
        }
    }
}

fn touches(kind: &Kind, prefix: &IpNet) -> bool {
    kind.touches(prefix.network(), prefix.broadcast())
}

/// Whether a policy judges what comes in for a kind of addresses, or what goes out from there.
fn is_system(kind: &Kind, end: &Ends) -> bool {
    let is_here = !kind.systems.is_empty() && (kind.is_listed || *end == Ends::Protected);
    is_here || kind.is_own()
}

/// Whether packets that come in may have such a source.
fn may_send(kind: &Kind) -> bool {
    !kind.is_nobody() || kind.is_unconfigured
}

/// An address of a kind that an end means.
fn example(end: &Ends, kind: &Kind) -> String {
    let Ends::Listed(prefixes, _) = end else {
        return kind.example().to_string();
    };
    let mut inside = prefixes.iter().filter(|one| touches(kind, one));
    let found = inside.find_map(|prefix| {
        let mut rows = kind.rows.iter();
        rows.find_map(|(first, last)| {
            let address = (*first).max(prefix.network());
            let same = address.is_ipv4() == prefix.network().is_ipv4();
            (same && address <= *last && prefix.contains(&address)).then_some(address)
        })
    });
    found.unwrap_or_else(|| kind.example()).to_string()
}

/// The expectations of one sort.
fn of_sort(policy: &SitePolicy, must: Must) -> impl Iterator<Item = &Expectation> {
    policy.expect.iter().filter(move |one| one.must == must)
}

#[cfg(test)]
mod tests;
