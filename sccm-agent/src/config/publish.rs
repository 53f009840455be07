//! `[[publish]]`: ports of the gateway behind which protected systems are.

use super::context::{Context, MAX_RULES};
use super::names::Names;
use super::node::{Node, Table};
use super::rules::{Destinations, reason, targets};
use crate::policy::{Protected, Publish, Target};
use crate::site::parse_port;
use std::net::IpAddr;

/// Reads all of them. `names` are those of the rules.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    protect: &[Protected],
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Vec<Publish> {
    if let Some(surplus) = tables.get(MAX_RULES) {
        let message = format!("this is more than {MAX_RULES} published ports: put ports together");
        cx.refuse(surplus.span, message);
        return Vec::new();
    }
    let destinations = Destinations::new(protect);
    let tables = tables.into_iter();
    tables
        .filter_map(|table| one(table, &destinations, names, cx))
        .collect()
}

fn one(
    mut table: Table<'_>,
    destinations: &Destinations<'_>,
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Option<Publish> {
    let name = names.read(&mut table, cx);
    let span = table.span;
    let targets = targets(&mut table, cx);
    let has_ports = |target: &Target| matches!(target, Target::Tcp(_) | Target::Udp(_));
    if !targets.iter().all(has_ports) {
        cx.refuse(span, "only ports of tcp and udp can be published");
    }
    let to = table
        .require("to", "\"10.2.0.30\", the protected system behind it", cx)
        .and_then(|node| system(node, destinations, cx));
    let to_port = table.take("to-port").map(|node| {
        let text = node.text_or_number(cx)?;
        if !is_one_port(&targets) {
            let message = "`to-port` is for one published port: write a [[publish]] for each, or leave \
                           `to-port` out where the ports stay the same";
            cx.refuse(text.span, message);
            return None;
        }
        match parse_port(&text.text) {
            Ok(port) => Some(port.get()),
            Err(message) => {
                cx.refuse(text.span, message);
                None
            }
        }
    });
    let reason = reason(&mut table, cx);
    table.finish(cx);
    Some(Publish {
        name: name?,
        targets,
        to: to?,
        to_port: match to_port {
            Some(port) => Some(port?),
            None => None,
        },
        reason: reason?,
    })
}

fn is_one_port(targets: &[Target]) -> bool {
    match targets {
        [Target::Tcp(ports) | Target::Udp(ports)] => ports.start() == ports.end(),
        _ => false,
    }
}

/// One protected system, by its address, or by the name of an entry that has no other.
fn system(node: Node<'_>, destinations: &Destinations<'_>, cx: &mut Context<'_>) -> Option<IpAddr> {
    let text = node.text(cx)?;
    let message = match destinations.find(&text.text) {
        Ok(prefixes) => match prefixes.as_slice() {
            [one] if one.prefix_len() == one.max_prefix_len() => return Some(one.addr()),
            _ => format!("`{}` is not one system: write its address", text.text),
        },
        Err(message) => message,
    };
    cx.refuse(text.span, message);
    None
}
