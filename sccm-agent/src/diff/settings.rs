//! The settings of a policy that decide without a right.

use crate::policy::ethertype;
use sccm_common::Policy;
use sccm_common::essential::ESSENTIALS;
use sccm_common::policy::flag;

/// Settings that differ: what holds now, then what would hold.
#[must_use]
pub(super) fn settings(new: &Policy, old: &Policy) -> Vec<String> {
    let mut settings = Vec::new();
    let mut differ = |name: &str, old: String, new: String| {
        if old != new {
            settings.push(format!("{name}: {old}, then {new}"));
        }
    };
    differ("outbound", outbound(old), outbound(new));
    for (name, bit) in [
        ("pass-orphan-fragments", flag::PASS_ORPHAN_FRAGMENTS),
        ("pass-source-routes", flag::PASS_SOURCE_ROUTES),
        (
            "pass-unrelated-icmp-errors",
            flag::PASS_UNRELATED_ICMP_ERRORS,
        ),
        ("pass-other-ethertypes", flag::PASS_OTHER_ETHERTYPES),
        ("count-only", flag::COUNT_ONLY),
    ] {
        differ(name, old.has(bit).to_string(), new.has(bit).to_string());
    }
    let no_probes = |policy: &Policy| (!policy.has(flag::PROBES)).to_string();
    if old.has(flag::GATEWAY) && new.has(flag::GATEWAY) {
        differ("no-probes", no_probes(old), no_probes(new));
    }
    differ(
        "pass-ethertypes",
        ethertype::written(&old.ethertypes),
        ethertype::written(&new.ethertypes),
    );
    for essential in ESSENTIALS {
        let passes = |policy: &Policy| match policy.essentials.judge(essential) == essential {
            true => "passes".to_owned(),
            false => "dropped".to_owned(),
        };
        differ(essential.label(), passes(old), passes(new));
    }
    let (old, new) = (old.timeouts, new.timeouts);
    for (name, old, new) in [
        ("tcp-opening", old.tcp_opening, new.tcp_opening),
        ("tcp-established", old.tcp_established, new.tcp_established),
        ("tcp-half-closed", old.tcp_half_closed, new.tcp_half_closed),
        ("tcp-closing", old.tcp_closing, new.tcp_closing),
        ("other", old.other, new.other),
        ("answer", old.answer, new.answer),
    ] {
        differ(name, old.to_string(), new.to_string());
    }
    settings
}

fn outbound(policy: &Policy) -> String {
    let mode = match (
        policy.has(flag::OUTBOUND_ENFORCE),
        policy.has(flag::OUTBOUND_OFF),
    ) {
        (true, _) => "enforce",
        (false, true) => "off",
        (false, false) => "track",
    };
    mode.to_owned()
}
