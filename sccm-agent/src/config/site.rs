//! `[site]` and `[timeouts]`: what is different here.
//!
//! The settings are those of the flags, under the same names, and the document's
//! own rules between them are checked where flags are checked:
//! [`SiteArgs::site`].

use super::context::Context;
use super::location::Span;
use super::node::{Node, Table, Text};
use super::prefixes;
use crate::catalog::{Catalog, nearest};
use crate::policy::{Ethertype, Outbound, Rpc, SitePolicy, ethertype};
use crate::site::{PortRange, SiteArgs, known_feature, parse_instances, parse_port};
use crate::units;
use clap::ValueEnum;
use sccm_common::policy::Timeouts;
use sccm_common::question::MAX_AGE;
use std::collections::BTreeMap;
use std::num::NonZeroU16;

/// What `[site]` says of modes that other tables ask for.
#[derive(Default)]
pub(super) struct Modes {
    /// Where `outbound` is set.
    pub outbound: Option<Span>,
    /// That of every `[[protect]]` which does not say another.
    pub rpc: Rpc,
}

/// Reads `[site]`, but for its edition, into `policy`.
pub(super) fn read(
    table: Option<Table<'_>>,
    policy: &mut SitePolicy,
    cx: &mut Context<'_>,
) -> Modes {
    let Some(mut table) = table else {
        return Modes::default();
    };
    let catalog = policy.site.catalog;
    let whole = table.span;
    let mut spans = BTreeMap::new();
    let args = settings(&mut table, &mut spans, catalog, cx);
    match args.site(catalog) {
        Ok(site) => policy.site = site,
        Err(error) => {
            let span = spans.get(error.setting).copied().unwrap_or(whole);
            cx.refuse(span, error.message);
        }
    }
    let mut modes = Modes::default();
    if let Some(text) = table.take("outbound").and_then(|node| node.text(cx)) {
        modes.outbound = Some(text.span);
        policy.outbound = choice::<Outbound>(&text, cx).unwrap_or_default();
    }
    if let Some(text) = table.take("rpc").and_then(|node| node.text(cx)) {
        modes.rpc = choice(&text, cx).unwrap_or_default();
    }
    if let Some(node) = table.take("internal") {
        policy.internal = prefixes::listed(node, cx);
    }
    if let Some(essentials) = table
        .take("without-essentials")
        .and_then(|node| node.texts(cx))
    {
        policy.without = essentials
            .iter()
            .filter_map(|text| choice(text, cx))
            .collect();
    }
    policy.pass_orphan_fragments = flag(&mut table, "pass-orphan-fragments", cx);
    policy.pass_source_routes = flag(&mut table, "pass-source-routes", cx);
    policy.pass_unrelated_icmp_errors = flag(&mut table, "pass-unrelated-icmp-errors", cx);
    policy.no_probes = flag(&mut table, "no-probes", cx);
    policy.pass_other_ethertypes = flag(&mut table, "pass-other-ethertypes", cx);
    if let Some(node) = table.take("pass-ethertypes") {
        policy.pass_ethertypes = ethertypes(node, cx);
    }
    if let Some(node) = table.take("pass-sources") {
        policy.pass_sources = prefixes::listed(node, cx);
    }
    if let Some(text) = table.take("warm-up").and_then(|node| node.text(cx)) {
        policy.warm_up = read_as(&text, units::wait, cx).map_or(0, |time| time.as_secs() as u32);
    }
    policy.count_only = flag(&mut table, "count-only", cx);
    table.finish(cx);
    modes
}

/// What flags would say. `spans` gets the location of each setting.
fn settings(
    table: &mut Table<'_>,
    spans: &mut BTreeMap<&'static str, Span>,
    catalog: &Catalog,
    cx: &mut Context<'_>,
) -> SiteArgs {
    let mut number =
        |key: &'static str, parse: fn(&str) -> Result<NonZeroU16, String>| -> Option<NonZeroU16> {
            let text = table.take(key)?.text_or_number(cx)?;
            spans.insert(key, text.span);
            read_as(&text, parse, cx)
        };
    let mut port = |key| number(key, parse_port);
    let mut args = SiteArgs {
        http_port: port("http-port"),
        https_port: port("https-port"),
        wsus_http_port: port("wsus-http-port"),
        wsus_https_port: port("wsus-https-port"),
        sql_port: port("sql-port"),
        wake_on_lan_port: port("wake-on-lan-port"),
        amt_provisioning_port: port("amt-provisioning-port"),
        client_notification_port: port("client-notification-port"),
        wake_up_proxy_port: port("wake-up-proxy-port"),
        express_updates_port: port("express-updates-port"),
        peer_cache_broadcast_port: port("peer-cache-broadcast-port"),
        peer_cache_download_port: port("peer-cache-download-port"),
        sql_service_broker_port: port("sql-service-broker-port"),
        wsus_sql_port: port("wsus-sql-port"),
        data_warehouse_sql_port: port("data-warehouse-sql-port"),
        reporting_http_port: port("reporting-http-port"),
        reporting_https_port: port("reporting-https-port"),
        enrollment_port: port("enrollment-port"),
        certificate_registration_port: port("certificate-registration-port"),
        ..SiteArgs::default()
    };
    args.cmg_instances = number("cmg-instances", parse_instances);
    let mut range = |key: &'static str| -> Option<PortRange> {
        let text = table.take(key)?.text(cx)?;
        read_as(&text, str::parse, cx)
    };
    args.rpc_range = range("rpc-range");
    args.multicast_range = range("multicast-range");
    args.site_server_initiated_only = flag(table, "site-server-initiated-only", cx);
    args.rpc_dynamic_with_mapper = flag(table, "rpc-dynamic-with-mapper", cx);
    let features = table.take("enable").and_then(|node| node.texts(cx));
    for feature in features.unwrap_or_default() {
        match known_feature(catalog, &feature.text) {
            Ok(()) => args.enable.push(feature.text.into_owned()),
            Err(message) => cx.refuse(feature.span, message),
        }
    }
    args
}

/// Reads `[timeouts]`.
pub(super) fn timeouts(table: Option<Table<'_>>, cx: &mut Context<'_>) -> Timeouts {
    let mut timeouts = Timeouts::DEFAULT;
    let Some(mut table) = table else {
        return timeouts;
    };
    for (key, seconds, most) in [
        ("tcp-opening", &mut timeouts.tcp_opening, u32::MAX),
        ("tcp-established", &mut timeouts.tcp_established, u32::MAX),
        ("tcp-half-closed", &mut timeouts.tcp_half_closed, u32::MAX),
        ("tcp-closing", &mut timeouts.tcp_closing, u32::MAX),
        ("other", &mut timeouts.other, u32::MAX),
        ("answer", &mut timeouts.answer, MAX_AGE),
        ("rpc-unused", &mut timeouts.rpc_unused, u32::MAX),
        ("rpc-used", &mut timeouts.rpc_used, u32::MAX),
    ] {
        let Some(text) = table.take(key).and_then(|node| node.text_or_number(cx)) else {
            continue;
        };
        match text.text.parse() {
            Ok(number) if (1..=most).contains(&number) => *seconds = number,
            Ok(number) if number > most => {
                let message = format!("`{number}` is too long here: write {most} or less");
                cx.refuse(text.span, message);
            }
            _ => {
                let message = format!(
                    "`{}` is not a number of seconds: write 1 or more",
                    text.text
                );
                cx.refuse(text.span, message);
            }
        }
    }
    table.finish(cx);
    timeouts
}

/// Reads `pass-ethertypes`: numbers, and texts where a side is named.
fn ethertypes(node: Node<'_>, cx: &mut Context<'_>) -> Vec<Ethertype> {
    let whole = node.span;
    let mut read = Vec::new();
    for node in node.list(cx).unwrap_or_default() {
        if let Some(text) = node.text_or_number(cx) {
            read.extend(read_as::<Ethertype>(&text, str::parse, cx));
        }
    }
    if let Err(message) = ethertype::table(&read) {
        cx.refuse(whole, message);
    }
    read
}

fn flag(table: &mut Table<'_>, key: &'static str, cx: &mut Context<'_>) -> bool {
    let value = table.take(key).and_then(|node| node.boolean(cx));
    value.unwrap_or_default()
}

fn read_as<T>(
    text: &Text<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
    cx: &mut Context<'_>,
) -> Option<T> {
    match parse(&text.text) {
        Ok(value) => Some(value),
        Err(message) => {
            cx.refuse(text.span, message);
            None
        }
    }
}

/// One of the words that a flag takes.
pub(super) fn choice<T: ValueEnum>(text: &Text<'_>, cx: &mut Context<'_>) -> Option<T> {
    if let Ok(value) = T::from_str(&text.text, false) {
        return Some(value);
    }
    let values: Vec<_> = T::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
        .collect();
    let words: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
    let hint = match nearest(&text.text, words.iter().copied()).as_slice() {
        [] => format!("write one of {}", words.join(", ")),
        alike => format!("did you mean {}?", alike.join(" or ")),
    };
    cx.refuse(
        text.span,
        format!("`{}` is unknown here; {hint}", text.text),
    );
    None
}
