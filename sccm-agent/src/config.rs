//! The site's policy file: TOML in, a [`SitePolicy`] out, or every mistake with
//! its location.
//!
//! `policy.toml` and the files of `policy.d` beside it are parsed, merged into
//! one tree, and read key by key. Nothing is guessed and nothing is passed over:
//! a key that is unknown, a prefix with host bits, a rule without a reason are
//! mistakes, and a policy with mistakes is none. The compiler, which turns the
//! result into tables, is elsewhere. `docs/policy.md` describes the file.

mod context;
mod except;
mod expect;
mod files;
mod hooks;
mod labels;
mod lists;
mod location;
mod merge;
mod names;
mod node;
mod peers;
mod prefixes;
mod protect;
mod publish;
mod rules;
mod sets;
mod site;
#[cfg(test)]
mod tests;

pub use context::{MAX_PREFIXES, MAX_RULES};
pub use files::MAX_BYTES;
pub use lists::lists;
pub use location::{Location, Problem, Problems};

use crate::catalog::{Catalog, Edition};
use crate::policy::{SitePolicy, check_roles};
use crate::site::Site;
use anyhow::{Result, bail};
use context::Context;
use files::{Budget, PolicyFile};
use location::Span;
use names::Names;
use node::{Node, Table, Value};
use rules::Rules;
use sets::Wanted;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// What the parser says of a key that a file has twice.
const DUPLICATE_KEY: &str = "duplicate key";

/// A policy, and what its author may have forgotten.
#[derive(Debug)]
pub struct Read {
    /// What the files say.
    pub policy: SitePolicy,
    /// Where they leave it to a default what they had better say.
    pub notice: Option<Problem>,
}

/// Reads the policy of `path` and of `policy.d/*.toml` beside it.
///
/// # Errors
/// [`Problems`]: everything that is wrong with the files, each with its location.
pub fn load(path: &Path) -> Result<SitePolicy> {
    Ok(read(path)?.policy)
}

/// The same, with what is to be said of it.
///
/// # Errors
/// As [`load`].
pub fn read(path: &Path) -> Result<Read> {
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

/// The files of a policy as they are, with their paths. Nothing is asked of what is in them.
///
/// # Errors
/// One that cannot be read.
pub fn texts(path: &Path) -> Result<Vec<(PathBuf, String)>> {
    match files::all(path, &mut Budget::default()) {
        Ok(files) => Ok(files
            .into_iter()
            .map(|file| (file.path, file.text))
            .collect()),
        Err(problem) => bail!("{problem}"),
    }
}

/// Reads a policy of one file that is not there yet.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str) -> Result<SitePolicy, Problems> {
    let file = PolicyFile {
        path: "policy".into(),
        text: text.to_owned(),
    };
    Ok(read_all(&[file], Path::new(""), Budget::default())?.policy)
}

/// Reads files whose text is at hand.
fn read_all(files: &[PolicyFile], folder: &Path, bytes: Budget) -> Result<Read, Problems> {
    let mut cx = Context::new(files, folder, bytes);
    let read = tree(&mut cx).and_then(|mut tree| {
        let (edition, unsaid) = match written_edition(&mut tree) {
            Some(written) => (edition(written, &mut cx)?, None),
            None => (Edition::default(), Some(tree.span)),
        };
        let policy = read_tree(tree, Catalog::of(edition), &mut cx);
        let notice = unsaid.map(|span| Problem {
            location: cx.location(span),
            message: no_edition(),
        });
        Some(Read { policy, notice })
    });
    match read.filter(|_| cx.problems.is_empty()) {
        Some(read) => Ok(read),
        None => Err(cx.problems.sorted()),
    }
}

fn no_edition() -> String {
    let default = Edition::default();
    let known = Edition::ALL.map(|edition| format!("edition = \"{edition}\""));
    format!(
        "the policy does not say its edition, so its port table is that of Configuration Manager \
         {default}: write one of {} below [site]",
        known.join(", ")
    )
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

/// Where the files name their edition.
fn written_edition<'a>(tree: &mut Table<'a>) -> Option<Node<'a>> {
    let (_, site) = tree.entries.get_mut("site")?;
    match &mut site.value {
        Value::Table(site) => site.take("edition"),
        _ => None,
    }
}

/// The edition that everything else is read with; `None` if it is unknown. Then nothing else
/// is read, because another edition has other roles and settings.
fn edition(written: Node<'_>, cx: &mut Context<'_>) -> Option<Edition> {
    let text = written.text(cx)?;
    match text.text.parse() {
        Ok(edition) => Some(edition),
        Err(message) => {
            cx.refuse(text.span, message);
            None
        }
    }
}

fn read_tree(mut tree: Table<'_>, catalog: &'static Catalog, cx: &mut Context<'_>) -> SitePolicy {
    let mut policy = SitePolicy {
        site: Site::new(catalog),
        ..SitePolicy::default()
    };
    let mut sets = Wanted::default();
    let mut site = tree.table("site", cx);
    if let Some(site) = &mut site {
        sets.read_site(site, cx);
    }
    let site::Modes { outbound, rpc } = site::read(site, &mut policy, cx);
    let timeouts = tree.table("timeouts", cx);
    policy.timeouts = site::timeouts(timeouts, cx);
    let peers = tree.table("peers", cx);
    policy.peers = peers::read(peers, catalog, cx);

    if !tree.entries.contains_key("protect") {
        let message = "nothing is protected: write a [[protect]] with a name and roles";
        cx.refuse(tree.span, message);
    }
    let protect = tree.tables("protect", "[[protect]]", cx);
    policy.protect = protect::read(protect, catalog, rpc, &mut sets, cx);
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
    let hooks = tree.table("hooks", cx);
    policy.hooks = hooks::read(hooks, cx);
    let labels = tree.table("names", cx);
    policy.names = labels::read(labels, cx);
    let expected = tree.tables("expect", "[[expect]]", cx);
    policy.expect = expect::read(expected, &policy, cx);
    let others = sets::take_others(&mut policy);
    if cx.problems.is_empty() {
        sets.add_rules(&mut policy, &others, &mut names, cx);
    }
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
