//! The site's policy file: TOML in, a [`SitePolicy`] out, or every mistake with
//! its location.
//!
//! `policy.toml` and the files of `policy.d` beside it are parsed, merged into
//! one tree, and read key by key. Nothing is guessed and nothing is passed over:
//! a key that is unknown, a prefix with host bits, a rule without a reason are
//! mistakes, and a policy with mistakes is none. The compiler, which turns the
//! result into tables, is elsewhere. `docs/policy.md` describes the file.

mod context;
mod files;
mod location;
mod merge;
mod names;
mod node;
mod peers;
mod prefixes;
mod protect;
mod publish;
mod rules;
mod site;
#[cfg(test)]
mod tests;

pub use context::{MAX_PREFIXES, MAX_RULES};
pub use files::MAX_BYTES;
pub use location::{Location, Problem, Problems};

use crate::catalog::{Catalog, Edition};
use crate::policy::{SitePolicy, check_roles};
use crate::site::Site;
use anyhow::Result;
use context::Context;
use files::{Budget, PolicyFile};
use location::Span;
use names::Names;
use node::{Table, Value};
use rules::Rules;
use std::path::Path;
use toml::de::DeTable;

/// What the parser says of a key that a file has twice.
const DUPLICATE_KEY: &str = "duplicate key";

/// Reads the policy of `path` and of `policy.d/*.toml` beside it.
///
/// # Errors
/// [`Problems`]: everything that is wrong with the files, each with its location.
pub fn load(path: &Path) -> Result<SitePolicy> {
    let mut bytes = Budget::default();
    let files = match files::all(path, &mut bytes) {
        Ok(files) => files,
        Err(problem) => {
            let mut problems = Problems::default();
            problems.add(|| problem.location, problem.message);
            return Err(problems.into());
        }
    };
    let folder = files::folder_of(path);
    Ok(read_all(&files, folder, bytes)?)
}

/// Reads files whose text is at hand.
fn read_all(files: &[PolicyFile], folder: &Path, bytes: Budget) -> Result<SitePolicy, Problems> {
    let mut cx = Context::new(files, folder, bytes);
    let policy = tree(&mut cx).and_then(|mut tree| {
        let edition = edition(&mut tree, &mut cx)?;
        Some(read(tree, Catalog::of(edition), &mut cx))
    });
    match policy.filter(|_| cx.problems.is_empty()) {
        Some(policy) => Ok(policy),
        None => Err(cx.problems.sorted()),
    }
}

/// All files as one tree; `None` if one of them is not TOML.
fn tree<'a>(cx: &mut Context<'a>) -> Option<Table<'a>> {
    let files: &'a [PolicyFile] = cx.files;
    let mut trees = Vec::new();
    for (number, file) in files.iter().enumerate() {
        match DeTable::parse(&file.text) {
            Ok(table) => trees.push((number, table)),
            Err(error) => {
                let at = error.span().unwrap_or_default();
                let message = match (error.message(), file.text.get(at.clone())) {
                    (DUPLICATE_KEY, Some(key)) => {
                        format!("`{key}` is set twice: keep one of the two")
                    }
                    (message, _) => message.replace('\n', "; "),
                };
                let start = at.start;
                cx.refuse(
                    Span {
                        file: number,
                        start,
                    },
                    message,
                );
            }
        }
    }
    if trees.len() < files.len() {
        return None;
    }
    let mut whole: Option<Table<'a>> = None;
    for (file, table) in trees {
        let table = Table::of_file(file, table, cx);
        match &mut whole {
            Some(whole) => merge::merge(whole, table, cx),
            None => whole = Some(table),
        }
    }
    whole
}

/// The edition that everything else is read with; `None` if it is unknown. Then nothing else
/// is read, because another edition has other roles and settings.
fn edition(tree: &mut Table<'_>, cx: &mut Context<'_>) -> Option<Edition> {
    let site = tree.entries.get_mut("site");
    let written = site.and_then(|(_, site)| match &mut site.value {
        Value::Table(site) => site.take("edition"),
        _ => None,
    });
    let Some(written) = written else {
        return Some(Edition::default());
    };
    let text = written.text(cx)?;
    match text.text.parse() {
        Ok(edition) => Some(edition),
        Err(message) => {
            cx.refuse(text.span, message);
            None
        }
    }
}

fn read(mut tree: Table<'_>, catalog: &'static Catalog, cx: &mut Context<'_>) -> SitePolicy {
    let mut policy = SitePolicy {
        site: Site::new(catalog),
        ..SitePolicy::default()
    };
    let site = tree.table("site", cx);
    let outbound = site::read(site, &mut policy, cx);
    let timeouts = tree.table("timeouts", cx);
    policy.timeouts = site::timeouts(timeouts, cx);
    let peers = tree.table("peers", cx);
    policy.peers = peers::read(peers, catalog, cx);

    if !tree.entries.contains_key("protect") {
        let message = "nothing is protected: write a [[protect]] with a name and roles";
        cx.refuse(tree.span, message);
    }
    let protect = tree.tables("protect", "[[protect]]", cx);
    policy.protect = protect::read(protect, catalog, cx);
    let allow = tree.tables("allow", "[[allow]]", cx);
    let mut within = |key, name| {
        let Some(mut table) = tree.table(key, cx) else {
            return Vec::new();
        };
        let rules = table.tables("allow", name, cx);
        table.finish(cx);
        rules
    };
    let rules = Rules {
        allow,
        outbound: within("outbound", "[[outbound.allow]]"),
        management: within("management", "[[management.allow]]"),
    };
    let publish = tree.tables("publish", "[[publish]]", cx);
    let mut names = Names::default();
    let rules = rules::read(rules, &policy, &mut names, cx);
    policy.publish = publish::read(publish, &policy.protect, &mut names, cx);
    policy.allow = rules.allow;
    policy.outbound_allow = rules.outbound;
    policy.management = rules.management;
    tree.finish(cx);
    if cx.problems.is_empty()
        && let Err(error) = check_roles(&policy)
    {
        cx.refuse(
            outbound.unwrap_or(Span { file: 0, start: 0 }),
            error.to_string(),
        );
    }
    policy
}
