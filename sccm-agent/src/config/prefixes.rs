//! Lists of addresses: in the policy itself, or one prefix a line in a file.

use super::context::Context;
use super::location::{Location, Problem};
use super::node::{Node, Table, Value};
use crate::policy::prefix;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const EXAMPLE: &str = "192.0.2.0/24";

/// Stands for every address.
pub(super) const ANY: &str = "any";

/// Every address of both families.
pub(super) fn everywhere() -> [IpNet; 2] {
    [Ipv4Net::default().into(), Ipv6Net::default().into()]
}

/// Who is meant.
pub(super) enum Addresses {
    Any,
    Listed(Vec<IpNet>),
}

/// Reads `"any"`, a list of prefixes, or `{ file = "..." }`.
pub(super) fn read(node: Node<'_>, cx: &mut Context<'_>) -> Option<Addresses> {
    match node.value {
        Value::Text(text) if text == ANY => Some(Addresses::Any),
        Value::Text(text) => {
            let message =
                format!("write [\"{text}\"], a list; \"{ANY}\" alone stands for everybody");
            cx.refuse(node.span, message);
            None
        }
        Value::Table(table) => Some(Addresses::Listed(of_file(table, cx)?)),
        _ => Some(Addresses::Listed(listed(node, cx))),
    }
}

/// Reads a list of prefixes; those that are none are left out, and refused.
pub(super) fn listed(node: Node<'_>, cx: &mut Context<'_>) -> Vec<IpNet> {
    let span = node.span;
    let Some(texts) = node.texts(cx) else {
        return Vec::new();
    };
    if !cx.count(texts.len(), span) {
        return Vec::new();
    }
    let mut prefixes = Vec::with_capacity(texts.len());
    for text in texts {
        if text.text == ANY {
            cx.refuse(text.span, any_stands_alone());
            continue;
        }
        match prefix(&text.text) {
            Ok(prefix) => prefixes.push(prefix),
            Err(message) => cx.refuse(text.span, message),
        }
    }
    prefixes
}

pub(super) fn any_stands_alone() -> String {
    format!("\"{ANY}\" stands alone, without a list around it")
}

fn of_file(mut table: Table<'_>, cx: &mut Context<'_>) -> Option<Vec<IpNet>> {
    "a list of addresses".clone_into(&mut table.name);
    let at = table.span;
    let name = table.require("file", "\"clients.txt\"", cx);
    table.finish(cx);
    let name = name?.text(cx)?;
    let path = cx.folder.join(&*name.text);
    let file = match cx.bytes.read(&path) {
        Ok(file) => file,
        Err(problem) => {
            // If it has no line of its own, say where the file is named.
            match problem.location.position {
                Some(_) => cx.refuse_elsewhere(problem),
                None => cx.refuse(name.span, problem.to_string()),
            }
            return None;
        }
    };
    let mut prefixes = Vec::new();
    // Editors of other systems begin a file with a byte order mark.
    let text = file.text.trim_start_matches('\u{feff}');
    for (line, text) in text.lines().enumerate() {
        let content = text.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match prefix(content) {
            Ok(prefix) => prefixes.push(prefix),
            Err(_) => {
                // Not the content: it may be a file that the reader of the message may not see.
                let message = match content.parse::<IpNet>() {
                    Ok(_) => format!("has bits set behind its prefix length, unlike {EXAMPLE}"),
                    Err(_) => format!("is not an address or a prefix, such as {EXAMPLE}"),
                };
                let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
                let location = Location {
                    file: path.clone(),
                    position: Some((line + 1, column)),
                };
                cx.refuse_elsewhere(Problem { location, message });
            }
        }
    }
    if prefixes.is_empty() {
        let message = format!("{} lists no address: it needs at least one", path.display());
        cx.refuse(name.span, message);
    }
    cx.count(prefixes.len(), at).then_some(prefixes)
}
