//! Names that operators give: of protected systems, and of rules.

use super::context::Context;
use super::location::Span;
use super::node::{Table, Text};
use std::collections::BTreeMap;

/// Characters of a name: it becomes a metric's label and a column of tables.
const LONGEST: usize = 64;

/// The names of one kind, and where each is given.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, Span>);

impl Names {
    /// Reads `name`, which nothing else of the kind may have.
    pub(crate) fn read(&mut self, table: &mut Table<'_>, cx: &mut Context<'_>) -> Option<String> {
        let name = table.require("name", "\"...\"", cx)?.text(cx)?;
        if !is_name(&name) {
            let message = format!(
                "`{}` is not a name: write a letter, then letters, digits, `-`, `_` or `.`, \
                 {LONGEST} characters at most",
                name.text.escape_debug()
            );
            cx.refuse(name.span, message);
            return None;
        }
        if let Some(first) = self.0.get(&*name.text) {
            let message = format!(
                "the name `{}` is given already, at {}: every {} needs its own",
                name.text,
                cx.location(*first),
                table.name
            );
            cx.refuse(name.span, message);
            return None;
        }
        self.0.insert(name.text.to_string(), name.span);
        Some(name.text.into_owned())
    }

    /// Takes the name for a rule that the key at `at` stands for.
    pub(crate) fn add(&mut self, name: &str, at: Span, cx: &mut Context<'_>) -> bool {
        let Some(given) = self.0.insert(name.to_owned(), at) else {
            return true;
        };
        let message = format!("a rule is called `{name}`, as what this stands for is: rename it");
        cx.refuse(given, message);
        false
    }
}

/// A letter first: a name can never be taken for an address.
fn is_name(name: &Text<'_>) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.text.len() <= LONGEST
        && name.text.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.text.chars().all(allowed)
}
