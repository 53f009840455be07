//! The tree that TOML describes, each node with its location.
//!
//! Serde would stop at the first mistake, and knows neither the nearest name nor
//! the location of a key; so the parser's own tree is read here, key by key. Keys
//! that nobody asked for are refused at the end, with the one that was meant.

use super::context::Context;
use super::location::Span;
use crate::catalog::nearest;
use std::borrow::Cow;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Deeper trees than any policy; dotted keys alone can make a tree of any depth.
const MAX_DEPTH: usize = 8;

/// A value, and where it begins.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub span: Span,
    pub value: Value<'a>,
}

#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// `None`: more than 64 bits.
    Number(Option<i64>),
    Boolean(bool),
    List(Vec<Node<'a>>),
    Table(Table<'a>),
    /// Of a type that no key has.
    Other(&'static str),
}

/// A table whose keys are taken out one after the other.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// What people call it, as `[site]`.
    pub name: String,
    pub span: Span,
    /// Each key with its location and value.
    pub entries: BTreeMap<Cow<'a, str>, (Span, Node<'a>)>,
    /// The keys that it may have.
    known: Vec<&'static str>,
}

/// A text, and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    pub span: Span,
    pub text: Cow<'a, str>,
}

impl<'a> Table<'a> {
    /// The tree of one file.
    pub(crate) fn of_file(file: usize, table: Spanned<DeTable<'a>>, cx: &mut Context<'_>) -> Self {
        let span = Span {
            file,
            start: table.span().start,
        };
        Self::new(span, table.into_inner(), MAX_DEPTH, cx)
    }

    fn new(span: Span, table: DeTable<'a>, depth: usize, cx: &mut Context<'_>) -> Self {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let at = Span {
                file: span.file,
                start: key.span().start,
            };
            let node = Node::new(span.file, value, depth, cx);
            entries.insert(key.into_inner(), (at, node));
        }
        Self {
            name: "the file".to_owned(),
            span,
            entries,
            known: Vec::new(),
        }
    }

    /// The value of a key, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        self.entries.remove(key).map(|(_, node)| node)
    }

    /// The value of a key that must be there.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        example: &str,
        cx: &mut Context<'_>,
    ) -> Option<Node<'a>> {
        let node = self.take(key);
        if node.is_none() {
            let message = format!("{} lacks `{key}`: write {key} = {example}", self.name);
            cx.refuse(self.span, message);
        }
        node
    }

    /// A table of tables, such as `[site]`.
    pub(crate) fn table(&mut self, key: &'static str, cx: &mut Context<'_>) -> Option<Table<'a>> {
        let mut table = self.take(key)?.table(cx)?;
        table.name = format!("[{key}]");
        Some(table)
    }

    /// A list of tables, such as `[[allow]]`, called `name`.
    pub(crate) fn tables(
        &mut self,
        key: &'static str,
        name: &str,
        cx: &mut Context<'_>,
    ) -> Vec<Table<'a>> {
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        if !matches!(node.value, Value::List(_)) {
            cx.refuse(
                node.span,
                format!("`{key}` is a list of tables: write {name}"),
            );
            return Vec::new();
        }
        let nodes = node.list(cx).unwrap_or_default();
        let mut tables: Vec<_> = nodes
            .into_iter()
            .filter_map(|node| node.table(cx))
            .collect();
        tables
            .iter_mut()
            .for_each(|table| name.clone_into(&mut table.name));
        tables
    }

    /// Refuses the keys that nobody has taken.
    pub(crate) fn finish(self, cx: &mut Context<'_>) {
        for (key, (span, _)) in &self.entries {
            let hint = match nearest(key, self.known.iter().copied()).as_slice() {
                [] => format!("there are {}", self.known.join(", ")),
                alike => format!("did you mean {}?", alike.join(" or ")),
            };
            cx.refuse(*span, format!("{} has no key `{key}`; {hint}", self.name));
        }
    }
}

impl<'a> Node<'a> {
    fn new(file: usize, value: Spanned<DeValue<'a>>, depth: usize, cx: &mut Context<'_>) -> Self {
        let span = Span {
            file,
            start: value.span().start,
        };
        if depth == 0 {
            cx.refuse(span, "no policy has tables within tables so deep");
            let value = Value::Other("a table");
            return Self { span, value };
        }
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text),
            DeValue::Integer(number) => {
                Value::Number(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date or time"),
            DeValue::Array(list) => Value::List(
                list.into_iter()
                    .map(|value| Self::new(file, value, depth - 1, cx))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(Table::new(span, table, depth - 1, cx)),
        };
        Self { span, value }
    }

    /// What people call its type.
    fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Number(Some(_)) => "a number",
            Value::Number(None) => "a number of more than 64 bits",
            Value::Boolean(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }

    fn unlike<T>(&self, wanted: &str, cx: &mut Context<'_>) -> Option<T> {
        cx.refuse(
            self.span,
            format!("{wanted} belongs here, not {}", self.kind()),
        );
        None
    }

    pub(crate) fn text(self, cx: &mut Context<'_>) -> Option<Text<'a>> {
        match self.value {
            Value::Text(text) => Some(Text {
                span: self.span,
                text,
            }),
            _ => self.unlike("text in quotes", cx),
        }
    }

    /// A text, or a number as it would be written in one: ports come as both.
    pub(crate) fn text_or_number(self, cx: &mut Context<'_>) -> Option<Text<'a>> {
        match self.value {
            Value::Number(Some(number)) => Some(Text {
                span: self.span,
                text: number.to_string().into(),
            }),
            Value::Text(_) => self.text(cx),
            _ => self.unlike("a number, or text in quotes", cx),
        }
    }

    pub(crate) fn boolean(self, cx: &mut Context<'_>) -> Option<bool> {
        match self.value {
            Value::Boolean(value) => Some(value),
            _ => self.unlike("true or false", cx),
        }
    }

    pub(crate) fn table(self, cx: &mut Context<'_>) -> Option<Table<'a>> {
        match self.value {
            Value::Table(table) => Some(table),
            _ => self.unlike("a table", cx),
        }
    }

    /// Whether it is a list without an element.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::List(list) if list.is_empty())
    }

    /// A list with at least one element: an empty one could mean all or nothing.
    pub(crate) fn list(self, cx: &mut Context<'_>) -> Option<Vec<Node<'a>>> {
        match self.value {
            Value::List(list) if list.is_empty() => {
                cx.refuse(
                    self.span,
                    "the list is empty: fill it, or leave the key out if the table can do without it",
                );
                None
            }
            Value::List(list) => Some(list),
            _ => self.unlike("a list in [ ]", cx),
        }
    }

    pub(crate) fn texts(self, cx: &mut Context<'_>) -> Option<Vec<Text<'a>>> {
        let list = self.list(cx)?;
        Some(list.into_iter().filter_map(|node| node.text(cx)).collect())
    }
}
