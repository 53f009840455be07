//! Two policies, asked the same questions.

use crate::policy::{Openness, Tables, ethertype};
use sccm_common::essential::ESSENTIALS;
use sccm_common::policy::{Access, flag};
use sccm_common::{Policy, ServiceClass};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A class in the candidate, and in the running policy.
type Pair = (u16, u16);

/// Ports of one protocol that neither policy tells apart.
struct Service {
    protocol: &'static str,
    classes: (ServiceClass, ServiceClass),
    ports: Vec<RangeInclusive<u16>>,
}

/// Two policies with everything that either of them tells apart.
pub(super) struct Joint<'a> {
    candidate: &'a Policy,
    live: &'a Policy,
    /// Protected addresses, each kind with an example.
    locals: BTreeMap<Pair, IpAddr>,
    /// Other ends, each kind with an example.
    peers: BTreeMap<Pair, IpAddr>,
    services: Vec<Service>,
}

/// A question to which the two have different answers.
pub(super) struct Answer<'a> {
    /// The candidate opens more.
    pub opens: bool,
    /// It opens only what the endpoint mapper hands out.
    pub if_handed_out: bool,
    pub inbound: bool,
    pub local: IpAddr,
    pub local_class: u16,
    pub peer: IpAddr,
    pub protocol: &'static str,
    /// The class of the policy that says yes.
    pub class: ServiceClass,
    pub ports: &'a [RangeInclusive<u16>],
}

impl<'a> Joint<'a> {
    pub(crate) fn new(candidate: &'a Tables, live: &'a Tables) -> Self {
        let mut locals = BTreeMap::new();
        let mut peers = BTreeMap::new();
        candidate.walk_both(live, |address, new, old| {
            locals.entry((new.local, old.local)).or_insert(address);
            peers.entry((new.peer, old.peer)).or_insert(address);
        });
        Self {
            locals,
            peers,
            services: services(&candidate.policy, &live.policy),
            candidate: &candidate.policy,
            live: &live.policy,
        }
    }

    /// Calls `found` for every question with two answers.
    pub(crate) fn differences(&self, mut found: impl FnMut(Answer<'_>)) {
        // Where one policy judges nothing outbound, the setting says it all.
        let judged = |policy: &Policy| policy.has(flag::OUTBOUND_ENFORCE);
        let outbound = judged(self.candidate) && judged(self.live);
        for (local, local_example) in &self.locals {
            for (peer, peer_example) in &self.peers {
                let new = self.candidate.pair(local.0, peer.0);
                let new = self.candidate.access(new);
                let old = self.live.access(self.live.pair(local.1, peer.1));
                for service in &self.services {
                    for inbound in [true, false] {
                        let answers = (
                            says(self.candidate, new, inbound, service.classes.0),
                            says(self.live, old, inbound, service.classes.1),
                        );
                        if answers.0 == answers.1 || !(inbound || outbound) {
                            continue;
                        }
                        let (new, old) = service.classes;
                        found(Answer {
                            opens: answers.0 > answers.1,
                            if_handed_out: answers.0 == Openness::IfHandedOut,
                            inbound,
                            local: *local_example,
                            local_class: local.0,
                            peer: *peer_example,
                            protocol: service.protocol,
                            class: if answers.0 > answers.1 { new } else { old },
                            ports: &service.ports,
                        });
                    }
                }
            }
        }
    }
}

/// Settings that differ: what holds now, then what would hold.
#[must_use]
pub fn settings(new: &Policy, old: &Policy) -> Vec<String> {
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
        ("rpc-unused", old.rpc_unused, new.rpc_unused),
        ("rpc-used", old.rpc_used, new.rpc_used),
    ] {
        differ(name, old.to_string(), new.to_string());
    }
    settings
}

fn says(policy: &Policy, access: &Access, inbound: bool, class: ServiceClass) -> Openness {
    let rights = match inbound {
        true => access.inbound,
        false => access.outbound,
    };
    Openness::by(policy, rights, class)
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

fn services(candidate: &Policy, live: &Policy) -> Vec<Service> {
    let mut services = Vec::new();
    let mut add = |protocol: &'static str, new: &[ServiceClass], old: &[ServiceClass]| {
        let mut joint: BTreeMap<(u8, u8), Vec<RangeInclusive<u16>>> = BTreeMap::new();
        for (port, (new, old)) in (0..=u16::MAX).zip(new.iter().zip(old)) {
            let ranges = joint.entry((new.0, old.0)).or_default();
            match ranges.last_mut() {
                Some(last) if port.checked_sub(1) == Some(*last.end()) => {
                    *last = *last.start()..=port;
                }
                _ => ranges.push(port..=port),
            }
        }
        services.extend(joint.into_iter().map(|((new, old), ports)| Service {
            protocol,
            classes: (ServiceClass(new), ServiceClass(old)),
            ports,
        }));
    };
    add("tcp", &candidate.tcp, &live.tcp);
    add("udp", &candidate.udp, &live.udp);
    add("icmp", &candidate.icmp, &live.icmp);
    add("icmpv6", &candidate.icmpv6, &live.icmpv6);
    add("ip", &candidate.protocol, &live.protocol);
    services
}
