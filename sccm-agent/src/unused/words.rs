//! Rules and prefixes of which no right was used.

use super::{Period, UnusedWord, Words};
use crate::kernel::{Right, Rights};
use crate::policy::{Kind, Rule, Target, table_of};
use ipnet::IpNet;
use sccm_common::ServiceClass;
use sccm_common::usage::Row;
use std::collections::{BTreeMap, BTreeSet};

/// The rights, by where they are counted.
type Counted<'r> = BTreeMap<(Row, ServiceClass), &'r Right>;

/// A rule, or a published port, with its place in the policy.
struct Ruling<'p> {
    name: &'p str,
    stands_in: &'static str,
    /// Whether peers open what it lets open.
    inbound: bool,
    /// Whether it is about the gateway itself.
    of_the_gateway: bool,
    targets: &'p [Target],
    systems: &'p [IpNet],
    peers: &'p [IpNet],
    internet: bool,
}

impl Words<'_> {
    pub(super) fn unused_rules(&self, rights: &Rights, period: Period) -> Vec<UnusedWord> {
        let counted = counted(rights);
        let rulings = self.rulings().into_iter();
        let unused = rulings.filter_map(|ruling| {
            let rights = self.rights_of(&counted, &ruling, None);
            Some(UnusedWord {
                name: ruling.name.to_owned(),
                stands_in: ruling.stands_in.to_owned(),
                idle: period.idle(rights)?,
            })
        });
        unused.collect()
    }

    pub(super) fn unused_prefixes(&self, rights: &Rights, period: Period) -> Vec<UnusedWord> {
        let counted = counted(rights);
        let mut unused = Vec::new();
        let mut told = |prefix: &IpNet, stands_in: String, rights: Vec<&Right>| {
            unused.extend(period.idle(rights).map(|idle| UnusedWord {
                name: prefix.to_string(),
                stands_in,
                idle,
            }));
        };
        for (role, list) in self.policy.peers.iter().flatten() {
            for prefix in list {
                let rights = self.rights_at(&counted, |_, peer| touches(peer, prefix));
                told(prefix, format!("peers {role}"), rights);
            }
        }
        for entry in self.policy.protect.iter().filter(|entry| !entry.elsewhere) {
            for prefix in &entry.addresses {
                let rights = self.rights_at(&counted, |system, _| touches(system, prefix));
                told(prefix, format!("protect {}", entry.name), rights);
            }
        }
        for ruling in self.rulings() {
            let all = self.rights_of(&counted, &ruling, None);
            // An unused rule is told as a whole.
            if period.idle(all).is_some() {
                continue;
            }
            for prefix in ruling.peers.iter().chain(ruling.systems) {
                let rights = self.rights_of(&counted, &ruling, Some(prefix));
                told(
                    prefix,
                    format!("{} {}", ruling.stands_in, ruling.name),
                    rights,
                );
            }
        }
        unused
    }

    fn rulings(&self) -> Vec<Ruling<'_>> {
        let of = |stands_in, inbound, of_the_gateway| {
            move |rule| ruling(rule, stands_in, inbound, of_the_gateway)
        };
        let policy = self.policy;
        let allow = policy.allow.iter().map(of("allow", true, false));
        let manage = policy
            .management
            .iter()
            .map(of("management.allow", true, true));
        let out = policy.outbound_allow.iter();
        let out = out.map(of("outbound.allow", false, false));
        let published = policy.publish.iter().map(|one| Ruling {
            name: &one.name,
            stands_in: "publish",
            inbound: true,
            of_the_gateway: true,
            targets: &one.targets,
            systems: &[],
            peers: &[],
            internet: false,
        });
        allow.chain(manage).chain(out).chain(published).collect()
    }

    /// The rights that a rule gives, or those of them that concern a prefix.
    fn rights_of<'r>(
        &self,
        counted: &Counted<'r>,
        ruling: &Ruling<'_>,
        prefix: Option<&IpNet>,
    ) -> Vec<&'r Right> {
        let tables = &self.kinds.compiled.policy;
        let classes: BTreeSet<ServiceClass> = ruling
            .targets
            .iter()
            .flat_map(|target| {
                let table = table_of(tables, target.protocol());
                target
                    .numbers()
                    .filter_map(|number| table.get(usize::from(number)))
            })
            .copied()
            .collect();
        let concerns = |kind: &Kind| prefix.is_none_or(|prefix| touches(kind, prefix));
        let of_prefix = |system: &Kind, peer: &Kind| concerns(system) || concerns(peer);
        let is_listed = |list: &[IpNet], kind: &Kind| list.iter().any(|one| touches(kind, one));
        let applies = |system: &Kind, peer: &Kind| {
            let is_system = match ruling.of_the_gateway {
                true => system.is_own() || system.is_group,
                false => {
                    !system.is_own()
                        && (ruling.systems.is_empty() || is_listed(ruling.systems, system))
                }
            };
            let is_peer = match ruling.internet {
                true => peer.is_of_the_internet || is_listed(ruling.peers, peer),
                false => ruling.peers.is_empty() || is_listed(ruling.peers, peer),
            };
            is_system && is_peer && of_prefix(system, peer)
        };
        let rows = self.rows_at(|inbound| inbound == ruling.inbound, applies);
        let rights = counted.iter();
        let given =
            rights.filter(|((row, class), _)| rows.contains(row) && classes.contains(class));
        given.map(|(_, right)| *right).collect()
    }

    fn rights_at<'r>(
        &self,
        counted: &Counted<'r>,
        is_between: impl Fn(&Kind, &Kind) -> bool,
    ) -> Vec<&'r Right> {
        let rows = self.rows_at(|_| true, is_between);
        let rights = counted.iter();
        let found = rights.filter(|((row, _), _)| rows.contains(row));
        found.map(|(_, right)| *right).collect()
    }

    /// The rows of all systems and peers of which something is so.
    fn rows_at(
        &self,
        is_wanted: impl Fn(bool) -> bool,
        is_between: impl Fn(&Kind, &Kind) -> bool,
    ) -> BTreeSet<Row> {
        let tables = &self.kinds.compiled.policy;
        let mut found = BTreeSet::new();
        for system in &self.kinds.all {
            for peer in &self.kinds.all {
                if !system.is_of_family(peer) || !is_between(system, peer) {
                    continue;
                }
                let rows = tables.rows(tables.pair(system.class.local, peer.class.peer));
                for (inbound, row) in [(true, rows.inbound), (false, rows.outbound)] {
                    if row != Row::NONE && is_wanted(inbound) {
                        found.insert(row);
                    }
                }
            }
        }
        found
    }
}

fn ruling<'p>(
    rule: &'p Rule,
    stands_in: &'static str,
    inbound: bool,
    of_the_gateway: bool,
) -> Ruling<'p> {
    let (systems, peers) = match inbound {
        true => (&rule.to, &rule.from),
        false => (&rule.from, &rule.to),
    };
    Ruling {
        name: &rule.name,
        stands_in,
        inbound,
        of_the_gateway,
        targets: &rule.targets,
        systems,
        peers,
        internet: rule.internet,
    }
}

fn counted(rights: &Rights) -> Counted<'_> {
    let rights = rights.counted.iter();
    rights
        .map(|right| ((right.row, right.class), right))
        .collect()
}

fn touches(kind: &Kind, prefix: &IpNet) -> bool {
    kind.touches(prefix.network(), prefix.broadcast())
}
