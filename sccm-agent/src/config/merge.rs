//! Makes one tree of several files.
//!
//! Tables of the same name become one, lists of tables (`[[protect]]`,
//! `[[allow]]`) follow each other. Nothing else is put together: a key that two
//! files set is a conflict that names both locations. In particular no file can add
//! holders to a role that another one has listed: who a role is can be read in
//! one place.

use super::context::Context;
use super::location::Span;
use super::node::{Node, Table, Value};
use std::collections::btree_map::Entry;

/// Adds the tree of a later file.
pub(super) fn merge<'a>(into: &mut Table<'a>, from: Table<'a>, cx: &mut Context<'_>) {
    for (key, (span, node)) in from.entries {
        match into.entries.entry(key) {
            Entry::Vacant(free) => {
                free.insert((span, node));
            }
            Entry::Occupied(mut taken) => {
                let key = taken.key().to_string();
                let (first, before) = taken.get_mut();
                join(&key, (*first, before), (span, node), cx);
            }
        }
    }
}

fn join<'a>(
    key: &str,
    (first, before): (Span, &mut Node<'a>),
    (second, node): (Span, Node<'a>),
    cx: &mut Context<'_>,
) {
    match (&mut before.value, node.value) {
        (Value::Table(before), Value::Table(table)) => merge(before, table, cx),
        (Value::List(before), Value::List(more)) if tables(before) && tables(&more) => {
            before.extend(more);
        }
        _ => {
            let first = cx.location(first);
            cx.refuse(
                second,
                format!("`{key}` is set already, at {first}: keep one of the two"),
            );
        }
    }
}

fn tables(list: &[Node<'_>]) -> bool {
    !list.is_empty()
        && list
            .iter()
            .all(|node| matches!(node.value, Value::Table(_)))
}
