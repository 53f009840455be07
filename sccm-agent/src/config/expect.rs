//! `[[expect]]`: what must pass, what must not, and what alone may reach a system.

use super::context::{Context, MAX_RULES};
use super::names::Names;
use super::node::{Node, Table};
use super::peers;
use super::prefixes;
use super::rules::targets;
use super::sets;
use crate::catalog::nearest;
use crate::policy::{Ends, Expectation, INTERNET, Must, SitePolicy, Target, prefix};
use ipnet::IpNet;

const WORDS: [(&str, Must); 3] = [
    ("pass", Must::Pass),
    ("drop", Must::Drop),
    ("only", Must::Only),
];

/// Reads all of them, by the peers and the protected systems of the policy.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    policy: &SitePolicy,
    cx: &mut Context<'_>,
) -> Vec<Expectation> {
    if let Some(surplus) = tables.get(MAX_RULES) {
        let message = format!("this is more than {MAX_RULES} expectations: put ports together");
        cx.refuse(surplus.span, message);
        return Vec::new();
    }
    let mut names = Names::default();
    let tables = tables.into_iter();
    tables
        .filter_map(|table| one(table, policy, &mut names, cx))
        .collect()
}

fn one(
    mut table: Table<'_>,
    policy: &SitePolicy,
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Option<Expectation> {
    let span = table.span;
    let name = names.read(&mut table, cx);
    let must = table
        .require("must", "\"pass\", \"drop\" or \"only\"", cx)
        .and_then(|node| must(node, cx));
    let (targets, mut from, mut to) = match table.take("set") {
        Some(node) => of_set(node, policy, cx)?,
        None => (targets(&mut table, cx), Ends::Protected, Ends::Protected),
    };
    if let Some(node) = table.take("from") {
        from = ends(node, policy, cx)?;
    }
    if let Some(node) = table.take("to") {
        to = ends(node, policy, cx)?;
    }
    table.finish(cx);
    let must = must?;
    let message = match (&from, &to, must) {
        (Ends::Protected, Ends::Protected, _) => Some(
            "`from` and `to` are both left out: name one, and the other means the protected systems",
        ),
        (Ends::Protected, _, Must::Only) => {
            Some("`only` is about what reaches protected systems: write who may as `from`")
        }
        _ => None,
    };
    if let Some(message) = message {
        cx.refuse(span, message);
    }
    Some(Expectation {
        name: name?,
        must,
        targets,
        from,
        to,
    })
}

fn must(node: Node<'_>, cx: &mut Context<'_>) -> Option<Must> {
    let text = node.text(cx)?;
    let known = WORDS.iter().find(|(word, _)| *word == text.text);
    if known.is_none() {
        cx.refuse(
            text.span,
            format!(
                "`{}` is nothing that must be: write \"pass\", \"drop\" or \"only\"",
                text.text.escape_debug()
            ),
        );
    }
    known.map(|(_, must)| *must)
}

/// What the services of a set are, and whom they are between.
fn of_set(
    node: Node<'_>,
    policy: &SitePolicy,
    cx: &mut Context<'_>,
) -> Option<(Vec<Target>, Ends, Ends)> {
    let text = node.text(cx)?;
    let found = sets::known(&text).and_then(|set| {
        let services = set.services.iter();
        let targets = services.flat_map(|service| Target::of_set(service, &policy.site));
        let far = |id: &String| match id.as_str() {
            INTERNET => Ok(Ends::Listed(Vec::new(), true)),
            id => Ok::<_, String>(Ends::Listed(peers::holders(policy, id)?, false)),
        };
        let from = set.from.as_ref().map_or(Ok(Ends::Protected), far)?;
        let to = set.to.as_ref().map_or(Ok(Ends::Protected), far)?;
        Ok((targets.collect(), from, to))
    });
    match found {
        Ok(found) => Some(found),
        Err(message) => {
            cx.refuse(text.span, message);
            None
        }
    }
}

/// Reads `"any"`, or a list of prefixes, roles, names of protected systems, and `internet`.
fn ends(node: Node<'_>, policy: &SitePolicy, cx: &mut Context<'_>) -> Option<Ends> {
    if !matches!(node.value, super::node::Value::List(_)) {
        return Some(match prefixes::read(node, cx)? {
            prefixes::Addresses::Any => Ends::Anybody,
            prefixes::Addresses::Listed(listed) => Ends::Listed(listed, false),
        });
    }
    let (mut listed, mut internet) = (Vec::new(), false);
    for text in node.texts(cx)? {
        let found = match &*text.text {
            INTERNET => {
                internet = true;
                continue;
            }
            prefixes::ANY => Err(prefixes::any_stands_alone()),
            word => end(word, policy),
        };
        match found {
            Ok(found) if cx.count(found.len(), text.span) => listed.extend(found),
            Ok(_) => {}
            Err(message) => cx.refuse(text.span, message),
        }
    }
    Some(Ends::Listed(listed, internet))
}

fn end(word: &str, policy: &SitePolicy) -> Result<Vec<IpNet>, String> {
    if !super::rules::is_word(word) {
        return prefix(word).map(|prefix| vec![prefix]);
    }
    match policy.protect.iter().find(|entry| entry.name == word) {
        Some(entry) if entry.addresses.is_empty() => Err(format!(
            "`{word}` has no addresses of its own: leave the key out to mean the protected systems"
        )),
        Some(entry) => Ok(entry.addresses.clone()),
        None => peers::holders(policy, word).map_err(|message| {
            let names = policy.protect.iter().map(|entry| entry.name.as_str());
            match nearest(word, names).as_slice() {
                [] => message,
                alike => format!(
                    "{message}; or is a [[protect]] meant: {}?",
                    alike.join(", ")
                ),
            }
        }),
    }
}
