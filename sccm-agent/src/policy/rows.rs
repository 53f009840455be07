//! Rows of rights: where the kernel notes how much each right of a policy is used.
//!
//! A row is a kind of peers, a kind of protected systems, and a direction. It is told by the words of
//! the policy, not by numbers of classes: so it keeps its number, and what was noted, when the policy
//! around it changes.

use super::groups::{self, RuleGroup};
use super::scopes::{Local, Peer};
use super::{Outbound, SitePolicy};
use ipnet::IpNet;
use sccm_common::policy::Access;
use sccm_common::service::ServiceSet;
use sccm_common::usage::{CLASSES, Row, Rows, TEXT_BYTES};
use sccm_common::{Policy, ServiceClass};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What tells rows apart.
pub type Identity = [u8; 16];

/// A row that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRow {
    /// What it stands for.
    pub identity: Identity,
    /// What it stands for, apart from rules.
    pub family: Identity,
    /// The last generation with that row.
    pub generation: u64,
    /// Since when each right is counted, by class, in seconds since 1970; 0: it is not given.
    pub since: Vec<u64>,
    /// The protected systems.
    pub systems: String,
    /// The peers.
    pub peers: String,
    /// No bank has it any more: another row may take its number.
    pub is_free: bool,
}

/// The rows that the kernel knows, by number.
pub type KnownRows = BTreeMap<u16, KnownRow>;

/// A row that a compiled policy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRow {
    /// Its number; [`Row::NONE`] if none is left: its rights are not counted.
    pub row: Row,
    /// Whether the number stood for nothing, or for something else, before.
    pub is_new: bool,
    /// What it stands for.
    pub identity: Identity,
    /// What it stands for, apart from rules.
    pub family: Identity,
    /// The protected systems, for people.
    pub systems: String,
    /// The peers, for people.
    pub peers: String,
    /// The rights.
    pub granted: ServiceSet,
}

/// The rights of a pair in one direction.
pub(super) struct Rowed {
    pair: usize,
    inbound: bool,
    systems: String,
    peers: String,
    identity: Identity,
    family: Identity,
    granted: ServiceSet,
}

/// An end of a pair, in words.
pub(super) struct End {
    /// For people.
    text: String,
    /// Without rules.
    family: String,
    /// All that tells it apart.
    identity: String,
}

/// Puts the pairs of a policy into words.
pub(super) struct Writer<'a> {
    policy: &'a SitePolicy,
    /// The peers of each group of rules: those that let in, the gateway's own, those that let out.
    groups: [Vec<List>; 3],
    /// What somebody without an address may ask for.
    asked_without_address: ServiceSet,
}

/// A list of prefixes, which may be long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct List {
    text: String,
    digest: Identity,
}

impl<'a> Writer<'a> {
    pub(super) fn new(policy: &'a SitePolicy, tables: &Policy) -> Self {
        let mut asked = ServiceSet::default();
        for port in [67, 547] {
            asked.insert(tables.udp[port]);
        }
        let lists = |groups: Vec<RuleGroup<'_>>| {
            let lists = groups.iter().map(|group| List::of(&group.peers));
            lists.collect()
        };
        Self {
            policy,
            groups: [
                lists(groups::of(&policy.allow)),
                lists(groups::of(&policy.management)),
                lists(groups::outbound(&policy.outbound_allow)),
            ],
            asked_without_address: asked,
        }
    }

    /// The rights of a pair that packets can use, one for each direction that has any.
    pub(super) fn rows_of(
        &self,
        pair: usize,
        (local, system): (&Local<'_>, &End),
        (peer, other): (&Peer<'_>, &End),
        access: &Access,
    ) -> Vec<Rowed> {
        let inbound = match (peer.group, peer.unconfigured) {
            // Nobody sends in the name of a group.
            (true, _) => ServiceSet::default(),
            (_, true) => access.inbound.intersection(self.asked_without_address),
            _ => access.inbound,
        };
        // A gateway opens what it likes, and where outbound is not enforced everybody does.
        let is_asked = self.policy.outbound == Outbound::Enforce
            && !matches!(local, Local::Own)
            && !peer.unconfigured;
        let outbound = match is_asked {
            true => without(access.outbound, ServiceClass::RELAYED),
            false => ServiceSet::default(),
        };
        [(true, inbound), (false, outbound)]
            .into_iter()
            .filter(|(_, granted)| *granted != ServiceSet::default())
            .map(|(inbound, granted)| Rowed {
                pair,
                inbound,
                systems: system.text.clone(),
                peers: other.text.clone(),
                identity: digest(&[
                    if inbound { "in" } else { "out" },
                    &system.identity,
                    &other.identity,
                ]),
                family: digest(&[
                    if inbound { "in" } else { "out" },
                    &system.family,
                    &other.family,
                ]),
                granted,
            })
            .collect()
    }

    /// A kind of protected systems.
    pub(super) fn system(&self, local: &Local<'_>) -> End {
        let (entries, listed) = match local {
            Local::Own => ("the gateway".to_owned(), &[][..]),
            Local::EndsHere => ("the gateway, by a group".to_owned(), &[][..]),
            Local::Group { listed } => ("groups".to_owned(), listed.as_slice()),
            Local::Systems { entries, listed } => {
                let names = entries.iter();
                let names = names.map(|entry| self.policy.protect[*entry].name.as_str());
                (names.collect::<Vec<_>>().join(", "), listed.as_slice())
            }
        };
        End::new(
            entries,
            listed.iter().map(|list| List::of(list)),
            "not listed",
        )
    }

    /// A kind of peers.
    pub(super) fn peer(&self, peer: &Peer<'_>) -> End {
        let mut roles: Vec<&str> = peer.roles.iter().map(|role| role.as_str()).collect();
        for (is_so, word) in [
            (peer.group, "groups"),
            (peer.unconfigured, "no address yet"),
            (peer.link_local, "link-local"),
        ] {
            roles.extend(is_so.then_some(word));
        }
        let numbers = [&peer.allowed, &peer.manager, &peer.reached];
        let lists = self.groups.iter().zip(numbers);
        let lists =
            lists.flat_map(|(lists, numbers)| numbers.iter().map(|one| lists[*one].clone()));
        let rest = match (self.policy.peers.is_some(), peer.is_of_the_internet()) {
            (true, true) => "the Internet",
            (true, false) => "others",
            (false, _) => "anybody",
        };
        let mut end = End::new(roles.join("+"), lists, rest);
        // Of what stands for many, and of who has no address, it makes no difference.
        if peer.internal && !peer.group && !peer.unconfigured {
            end.identity.push_str("\ninternal");
        }
        end
    }
}

impl End {
    fn new(name: String, lists: impl Iterator<Item = List>, rest: &str) -> Self {
        let mut lists: Vec<List> = lists.collect();
        lists.sort();
        lists.dedup();
        let texts: Vec<&str> = lists.iter().map(|list| list.text.as_str()).collect();
        let digests: Vec<Identity> = lists.iter().map(|list| list.digest).collect();
        Self {
            text: match (name.as_str(), texts.as_slice()) {
                ("", []) => rest.to_owned(),
                ("", texts) => texts.join(", "),
                _ => name.clone(),
            },
            identity: format!("{name}\n{digests:?}"),
            family: name,
        }
    }
}

impl List {
    fn of(list: &[IpNet]) -> Self {
        let mut texts: Vec<String> = list.iter().map(IpNet::to_string).collect();
        texts.sort();
        texts.dedup();
        let digest = digest(&texts);
        // More than a record holds.
        texts.truncate(TEXT_BYTES / 8);
        Self {
            text: texts.join(", "),
            digest,
        }
    }
}

/// Gives the rows of a policy numbers: those that they had, or else free ones.
pub(super) fn number(rowed: Vec<Rowed>, known: &KnownRows, tables: &mut Policy) -> Vec<WantedRow> {
    let mut wanted: Vec<WantedRow> = Vec::new();
    let mut of_pairs = Vec::new();
    let mut by_identity = HashMap::new();
    for one in rowed {
        let index = *by_identity.entry(one.identity).or_insert_with(|| {
            wanted.push(WantedRow {
                row: Row::NONE,
                is_new: false,
                identity: one.identity,
                family: one.family,
                systems: one.systems,
                peers: one.peers,
                granted: ServiceSet::default(),
            });
            wanted.len() - 1
        });
        wanted[index].granted = wanted[index].granted.union(one.granted);
        of_pairs.push((one.pair, one.inbound, index));
    }
    let known_as: HashMap<_, _> = known
        .iter()
        .map(|(number, row)| (row.identity, *number))
        .collect();
    for row in &mut wanted {
        let before = known_as.get(&row.identity);
        row.row = before.map_or(Row::NONE, |number| Row(*number));
    }
    let kept: HashSet<Row> = wanted.iter().map(|row| row.row).collect();
    let never = (1..Row::COUNT as u16).filter(|number| !known.contains_key(number));
    let mut free: Vec<_> = known.iter().filter(|(_, row)| row.is_free).collect();
    // What was in force last may come back first.
    free.sort_by_key(|(_, row)| row.generation);
    let free = free.into_iter().map(|(number, _)| *number);
    let mut free = never
        .chain(free)
        .filter(|number| !kept.contains(&Row(*number)));
    for row in wanted.iter_mut().filter(|row| row.row == Row::NONE) {
        row.row = free.next().map_or(Row::NONE, Row);
        row.is_new = true;
    }
    for (pair, inbound, index) in of_pairs {
        let Rows {
            inbound: peers,
            outbound: own,
        } = &mut tables.rows[pair];
        *(if inbound { peers } else { own }) = wanted[index].row;
    }
    wanted
}

fn digest<T: AsRef<str>>(texts: &[T]) -> Identity {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_ref());
        hasher.update([0]);
    }
    let mut identity = Identity::default();
    identity.copy_from_slice(&hasher.finalize()[..size_of::<Identity>()]);
    identity
}

fn without(set: ServiceSet, class: ServiceClass) -> ServiceSet {
    let mut only = ServiceSet::default();
    only.insert(class);
    ServiceSet([0, 1, 2, 3].map(|word| set.0[word] & !only.0[word]))
}

/// The classes of a set that a row has an element for.
pub fn counted(set: ServiceSet) -> impl Iterator<Item = ServiceClass> {
    let classes = (0..CLASSES as u8).map(ServiceClass);
    classes.filter(move |class| set.contains(*class))
}

#[cfg(test)]
mod tests;
