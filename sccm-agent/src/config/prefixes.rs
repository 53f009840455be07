//! Lists of addresses: in the policy itself, or one prefix a line in a file.

use super::context::{Context, MAX_PREFIXES};
use super::except::subtract;
use super::location::{Location, Problem, Span};
use super::node::{Node, Table, Text, Value};
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

/// Reads `"any"`, a list of prefixes, `{ file = "..." }`, or `{ prefixes = [...] }`, the last two perhaps with
/// `except`.
pub(super) fn read(node: Node<'_>, cx: &mut Context<'_>) -> Option<Addresses> {
    match node.value {
        Value::Text(text) if text == ANY => Some(Addresses::Any),
        Value::Text(text) => {
            let message =
                format!("write [\"{text}\"], a list; \"{ANY}\" alone stands for everybody");
            cx.refuse(node.span, message);
            None
        }
        Value::Table(table) => Some(Addresses::Listed(of_table(table, cx)?)),
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

fn of_table(mut table: Table<'_>, cx: &mut Context<'_>) -> Option<Vec<IpNet>> {
    "a list of addresses".clone_into(&mut table.name);
    let at = table.span;
    let (file, prefixes) = (table.take("file"), table.take("prefixes"));
    let except = table.take("except");
    table.finish(cx);
    let list = match (file, prefixes) {
        (Some(file), None) => of_file(file.text(cx)?, at, cx)?,
        (None, Some(prefixes)) => listed(prefixes, cx),
        _ => {
            let message = "a list of addresses is from one place: write file = \"clients.txt\", or \
                           prefixes = [\"192.0.2.0/24\"], and perhaps except = [\"192.0.2.7\"]";
            cx.refuse(at, message);
            return None;
        }
    };
    match except {
        Some(except) => without(&list, except, at, cx),
        None => Some(list),
    }
}

/// What `except` takes away from this list alone.
fn without(list: &[IpNet], except: Node<'_>, at: Span, cx: &mut Context<'_>) -> Option<Vec<IpNet>> {
    let span = except.span;
    let excepted = listed(except, cx);
    let Some(rest) = subtract(list, excepted, MAX_PREFIXES) else {
        cx.count(MAX_PREFIXES + 1, span);
        return None;
    };
    if rest.is_empty() && !list.is_empty() {
        cx.refuse(
            span,
            "nothing is left of the list: leave out what `except` takes away",
        );
    }
    let more = rest.len().saturating_sub(list.len());
    cx.count(more, at).then_some(rest)
}

fn of_file(name: Text<'_>, at: Span, cx: &mut Context<'_>) -> Option<Vec<IpNet>> {
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
