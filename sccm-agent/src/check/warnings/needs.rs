//! What Windows systems cannot live without, and may not open.

use super::Warning;
use crate::catalog::Sets;
use crate::check::rows::{Holders, Row, View};
use crate::policy::{Cover, INTERNET, Outbound, Protected, Rule, Target};

const SOFTWARE_UPDATE_POINT: &str = "software-update-point";

/// Ports of updates, from a software update point or the Internet.
const UPDATES: [u16; 4] = [80, 443, 8530, 8531];

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    if view.policy.outbound != Outbound::Enforce {
        return Vec::new();
    }
    let anywhere = |_: &Row<'_>| true;
    let updates = |row: &Row<'_>| [SOFTWARE_UPDATE_POINT, INTERNET].contains(&row.peer);
    let by_ports = |_: &Rule| false;
    // Whatever port the site's proxy has.
    let by_proxy = |rule: &Rule| Sets::known().get(&rule.name).is_some_and(|set| set.proxy);
    let names = [Target::Udp(53..=53)];
    let kerberos = [Target::Tcp(88..=88), Target::Udp(88..=88)];
    let web = UPDATES.map(|port| Target::Tcp(port..=port));
    [
        of(view, "cannot-resolve-names", &names, (&anywhere, &by_ports), |systems| {
            format!(
                "{systems} cannot resolve names: outbound is enforced, and nothing lets them open DNS; \
                 add the set \"domain-member\", or \"dns-client\" for servers that are no domain \
                 controllers"
            )
        }),
        of(view, "cannot-log-on", &kerberos, (&anywhere, &by_ports), |systems| {
            format!(
                "{systems} cannot log on to a domain: outbound is enforced, and nothing lets them open \
                 Kerberos; add the set \"domain-member\""
            )
        }),
        of(view, "cannot-update", &web, (&updates, &by_proxy), |systems| {
            format!(
                "{systems} cannot update Windows: outbound is enforced, and nothing leads to a software \
                 update point or the Internet; add the set \"windows-update\", or the role client, whose \
                 links lead to the software update point"
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Which rows of the document are meant, and which rules are enough whatever their ports.
type Meant<'a> = (&'a dyn Fn(&Row<'_>) -> bool, &'a dyn Fn(&Rule) -> bool);

/// Warns of the systems that may open none of `targets`.
fn of(
    view: &View<'_>,
    kind: &'static str,
    targets: &[Target],
    meant: Meant<'_>,
    message: impl Fn(&str) -> String,
) -> Option<Warning> {
    let entries = view.policy.protect.iter();
    let lacking = entries.filter(|entry| !may_open(view, entry, targets, meant));
    let names: Vec<String> = lacking.map(|entry| format!("`{}`", entry.name)).collect();
    (!names.is_empty()).then(|| Warning {
        kind,
        links: Vec::new(),
        message: message(&names.join(", ")),
    })
}

fn may_open(
    view: &View<'_>,
    entry: &Protected,
    targets: &[Target],
    (is_meant, whatever_ports): Meant<'_>,
) -> bool {
    let covers = |own: &[Target]| {
        own.iter()
            .any(|own| targets.iter().any(|target| own.covers(target)))
    };
    let mut rules = view.policy.outbound_allow.iter();
    let by_rule = rules.any(|rule| {
        let from = Cover::of(&rule.from);
        let own = &entry.addresses;
        // An entry without addresses is whom no list names.
        let is_for = rule.from.is_empty() || !own.is_empty() && from.has_all(own);
        is_for && (covers(&rule.targets) || whatever_ports(rule))
    });
    let mut rows = view.outbound.iter();
    by_rule
        || rows.any(|row| {
            let is_own = std::ptr::eq(row.entry, entry) && is_meant(row);
            is_own && *view.holders(row.peer) != Holders::Nobody && covers(&row.targets)
        })
}
