//! `[hooks]`: cards that are judged at another hook than the flag `--hook` says.

use super::context::Context;
use super::node::Table;
use super::site::choice;
use crate::policy::Hooks;

/// Bytes of an interface's name (`IFNAMSIZ`, without the end).
const LONGEST: usize = 15;

pub(super) fn read(table: Option<Table<'_>>, cx: &mut Context<'_>) -> Hooks {
    let mut hooks = Hooks::new();
    for (name, (span, node)) in table.into_iter().flat_map(|table| table.entries) {
        if !is_name(&name) {
            let message = format!(
                "`{}` is not the name of a card: write 1 to {LONGEST} characters without `/`, `:` and blanks",
                name.escape_debug()
            );
            cx.refuse(span, message);
            continue;
        }
        let hook = node.text(cx).and_then(|text| choice(&text, cx));
        hooks.extend(hook.map(|hook| (name.into_owned(), hook)));
    }
    hooks
}

/// Whether the kernel takes such a name (`dev_valid_name`, net/core/dev.c).
fn is_name(name: &str) -> bool {
    let is_shown = |c: char| !c.is_whitespace() && !c.is_control() && !"/:".contains(c);
    (1..=LONGEST).contains(&name.len()) && name != "." && name != ".." && name.chars().all(is_shown)
}
