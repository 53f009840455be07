//! Service classes: every port in exactly one, with a name for people.
//!
//! Two ports are in the same class if the same rows of the catalog and the same
//! site-specific rules speak of them: then no policy can treat them apart. If that
//! makes more classes than there are numbers, rules that give the same rights count
//! as one, and their ports share a class. The name of a class lists the services of
//! those rows; two classes may share a name, and then metrics add them up.
//!
//! Counters outlive a policy and are indexed by class, so a name keeps the
//! numbers that it had. When none are left, names share one ([`shared`]).

mod shared;

use super::{KnownRows, PeerNames, Target};
use anyhow::{Context as _, Result, bail};
use sccm_common::ServiceClass;
use sccm_common::abi::SERVICE_NAME_BYTES;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// The name of a class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `gre`, `esp`, `ah`, `igmp` or `ip`.
    pub protocol: String,
    /// `http`, `rpc-dynamic+http`, `tcp/22`; `none` where no service is known.
    pub service: String,
}

impl ServiceName {
    fn new(protocol: &str, service: &str) -> Self {
        Self {
            protocol: protocol.to_owned(),
            service: service.to_owned(),
        }
    }
}

/// What the counters are called: the names of all classes in use, by number, and of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceNames {
    classes: BTreeMap<u8, ServiceName>,
    /// The names of peers, which have numbers of their own.
    pub peers: PeerNames,
    /// The rows of rights.
    pub rows: KnownRows,
}

impl Default for ServiceNames {
    /// The classes whose numbers are fixed.
    fn default() -> Self {
        let fixed = [
            (ServiceClass::NONE, "", "none"),
            (ServiceClass::TCP, "tcp", "none"),
            (ServiceClass::UDP, "udp", "none"),
            (ServiceClass::ICMP, "icmp", "none"),
            (ServiceClass::ICMPV6, "icmpv6", "none"),
            (ServiceClass::GRE, "gre", "gre"),
            (ServiceClass::ESP, "esp", "esp"),
            (ServiceClass::AH, "ah", "ah"),
            (ServiceClass::IGMP, "igmp", "igmp"),
            (ServiceClass::OTHER, "ip", "none"),
        ];
        let names = fixed
            .into_iter()
            .map(|(class, protocol, service)| (class.0, ServiceName::new(protocol, service)));
        Self {
            classes: names.collect(),
            peers: PeerNames::default(),
            rows: KnownRows::default(),
        }
    }
}

impl ServiceNames {
    /// The name of a class; `None` for a number that was never given out.
    #[must_use]
    pub fn get(&self, class: ServiceClass) -> Option<&ServiceName> {
        self.classes.get(&class.0)
    }

    /// Every number given out, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceClass, &ServiceName)> {
        self.classes
            .iter()
            .map(|(number, name)| (ServiceClass(*number), name))
    }

    /// Adds what a pinned table says of a number.
    pub fn insert(&mut self, class: ServiceClass, name: ServiceName) {
        self.classes.insert(class.0, name);
    }

    /// A number for the next class called `name`: one that it had before and
    /// that `taken` does not hold yet, or else a fresh one. `None`: there is none left.
    fn number(&mut self, name: ServiceName, taken: &mut BTreeSet<u8>) -> Option<ServiceClass> {
        let before = self
            .classes
            .iter()
            .find(|(number, known)| **known == name && !taken.contains(number))
            .map(|(number, _)| *number);
        let mut numbers = ServiceClass::FIRST_NAMED..=u8::MAX;
        let number = before.or_else(|| numbers.find(|n| !self.classes.contains_key(n)))?;
        taken.insert(number);
        self.classes.insert(number, name);
        Some(ServiceClass(number))
    }
}

/// Stands for the services that a name has no room for.
const MORE: &str = "+more";

/// Something that the tables must be able to name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub name: String,
    pub target: Target,
    /// Of the targets of rules: those with the same number are open to the same peers at the same
    /// systems.
    pub ruled: Option<usize>,
    /// Whether it speaks of what the endpoint mapper hands out, and so of no service of its own.
    pub of_rpc: bool,
}

/// The class of every packet, as the kernel looks it up.
pub(super) struct Classes {
    pub tcp: Vec<ServiceClass>,
    pub udp: Vec<ServiceClass>,
    pub icmp: Vec<ServiceClass>,
    pub icmpv6: Vec<ServiceClass>,
    pub protocol: Vec<ServiceClass>,
    /// For each entry, the classes that it is made of.
    pub of_entry: Vec<BTreeSet<ServiceClass>>,
}

/// What classes are told apart by.
#[derive(Clone, Copy)]
enum Grain {
    /// By who speaks of a port, so that metrics tell as much as they can.
    Entries,
    /// By who has a right to it, which is all that verdicts need.
    Rights,
}

/// Sorts all packets into classes by the entries that speak of them.
///
/// # Errors
/// There are more classes than numbers.
pub(super) fn classify(entries: &[Entry], names: &mut ServiceNames) -> Result<Classes> {
    for grain in [Grain::Entries, Grain::Rights] {
        let mut extended = names.clone();
        if let Ok(classes) = sort(entries, grain, &mut extended) {
            *names = extended;
            return Ok(classes);
        }
    }
    let mut needed = ServiceNames::default();
    let Err(Full(target)) = sort(entries, Grain::Rights, &mut needed) else {
        return shared::sort_into(entries, names, needed).context(
            "no number is left to count the services of this protocol by, because those of earlier \
             policies keep theirs: run `sccm-agent detach`, which ends the filtering, then enforce again",
        );
    };
    bail!(
        "there is no room for {target}: the tables tell at most {} sorts of ports apart, and ports are of \
         one sort if the same rules with the same `from` and `to` open them: give more of the \
         rules the same `from` and `to`",
        u8::MAX - ServiceClass::FIRST_NAMED + 1
    )
}

/// No number is left for the class of this target.
struct Full(Target);

fn sort(entries: &[Entry], grain: Grain, names: &mut ServiceNames) -> Result<Classes, Full> {
    let mut classes = Classes {
        tcp: vec![ServiceClass::TCP; 1 << 16],
        udp: vec![ServiceClass::UDP; 1 << 16],
        icmp: vec![ServiceClass::ICMP; 256],
        icmpv6: vec![ServiceClass::ICMPV6; 256],
        protocol: fixed_protocols(),
        of_entry: vec![BTreeSet::new(); entries.len()],
    };
    let mut taken = BTreeSet::new();
    let of_entry = &mut classes.of_entry;
    let mut fill = |protocol: &str, table: &mut [ServiceClass]| {
        for class in ranges(protocol, table, entries, grain) {
            let (range, speaking) = &class.stretches[0];
            let number = match table[range.start] {
                // A protocol such as GRE has its class already.
                fixed if protocol == "ip" && fixed != ServiceClass::OTHER => fixed,
                _ => {
                    let services = class.stretches.iter().flat_map(|(_, speaking)| speaking);
                    let services = services.map(|index| entries[*index].name.as_str());
                    let name = joined(services.collect(), SERVICE_NAME_BYTES);
                    let number = names.number(ServiceName::new(protocol, &name), &mut taken);
                    number.ok_or_else(|| Full(entries[speaking[0]].target.clone()))?
                }
            };
            for (range, speaking) in class.stretches {
                table[range].fill(number);
                for index in speaking {
                    of_entry[index].insert(number);
                }
            }
        }
        Ok(())
    };
    fill("tcp", &mut classes.tcp)?;
    fill("udp", &mut classes.udp)?;
    fill("icmp", &mut classes.icmp)?;
    fill("icmpv6", &mut classes.icmpv6)?;
    fill("ip", &mut classes.protocol)?;
    Ok(classes)
}

/// Numbers of one protocol that need not be told apart.
#[derive(Default)]
struct Class {
    /// Where they are, and the entries that speak of them there.
    stretches: Vec<(Range<usize>, Vec<usize>)>,
}

/// The classes of a protocol's numbers, in the order of the first number of each.
fn ranges(protocol: &str, table: &[ServiceClass], entries: &[Entry], grain: Grain) -> Vec<Class> {
    // Where an entry begins or ends; between two of these nothing changes.
    let mut bounds: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry.target.protocol() == protocol {
            let (first, last) = span(&entry.target);
            bounds.entry(first).or_default().push(index);
            bounds.entry(last + 1).or_default().push(index);
        }
    }
    let mut classes: Vec<Class> = Vec::new();
    let mut known = HashMap::new();
    let mut speaking = BTreeSet::new();
    let mut bounds = bounds.into_iter().peekable();
    while let Some((start, changes)) = bounds.next() {
        for index in changes {
            if !speaking.remove(&index) {
                speaking.insert(index);
            }
        }
        let Some((end, _)) = bounds.peek() else {
            break;
        };
        if speaking.is_empty() {
            continue;
        }
        let apart = |index: &usize| match (grain, entries[*index].ruled) {
            (Grain::Rights, Some(right)) => (true, right),
            _ => (false, *index),
        };
        // A protocol with a class already shares it with no other.
        let key = (
            table[start],
            speaking.iter().map(apart).collect::<BTreeSet<_>>(),
        );
        let class = *known.entry(key).or_insert_with(|| {
            classes.push(Class::default());
            classes.len() - 1
        });
        let stretch = (start..*end, speaking.iter().copied().collect());
        classes[class].stretches.push(stretch);
    }
    classes
}

/// `a+b`, cut where the kernel's record of the name ends, after so many bytes.
pub(super) fn joined(services: BTreeSet<&str>, bytes: usize) -> String {
    let mut name = String::new();
    for service in services {
        if name.len() + service.len() + MORE.len() >= bytes {
            name.push_str(MORE);
            break;
        }
        if !name.is_empty() {
            name.push('+');
        }
        name.push_str(service);
    }
    name
}

fn span(target: &Target) -> (usize, usize) {
    match target {
        Target::Tcp(ports) | Target::Udp(ports) => {
            (usize::from(*ports.start()), usize::from(*ports.end()))
        }
        Target::Icmp(number) | Target::Icmpv6(number) | Target::Protocol(number) => {
            (usize::from(*number), usize::from(*number))
        }
    }
}

fn fixed_protocols() -> Vec<ServiceClass> {
    let mut table = vec![ServiceClass::OTHER; 256];
    for (number, class) in [
        (2, ServiceClass::IGMP),
        (47, ServiceClass::GRE),
        (50, ServiceClass::ESP),
        (51, ServiceClass::AH),
    ] {
        table[number] = class;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, target: Target) -> Entry {
        Entry {
            name: name.to_owned(),
            target,
            ruled: None,
            of_rpc: false,
        }
    }

    #[test]
    fn an_overlap_is_a_class_of_its_own() {
        let entries = [
            entry("rpc-dynamic", Target::Tcp(49152..=65535)),
            entry("http", Target::Tcp(49200..=49200)),
        ];
        let mut names = ServiceNames::default();
        let classes = classify(&entries, &mut names).unwrap();
        let name = |port: usize| names.get(classes.tcp[port]).unwrap().service.clone();
        assert_eq!(name(49199), "rpc-dynamic");
        assert_eq!(name(49200), "http+rpc-dynamic");
        assert_eq!(name(49201), "rpc-dynamic");
        assert_eq!(name(65535), "rpc-dynamic");
        assert_eq!(name(49151), "none");
        assert_eq!(classes.of_entry[0].len(), 2);
        assert_eq!(classes.of_entry[1].len(), 1);
        assert_eq!(classes.tcp[49199], classes.tcp[49201]);
    }

    #[test]
    fn names_keep_their_numbers_when_others_come_and_go() {
        let mut names = ServiceNames::default();
        let web = entry("http", Target::Tcp(80..=80));
        let sql = entry("sql", Target::Tcp(1433..=1433));
        let both = classify(&[sql, web], &mut names).unwrap();
        let web = entry("http", Target::Tcp(8080..=8080));
        let new = entry("aaa", Target::Tcp(1..=1));
        let alone = classify(&[new, web], &mut names).unwrap();
        assert_eq!(alone.tcp[8080], both.tcp[80]);
        assert_ne!(alone.tcp[1], both.tcp[1433]);
    }

    #[test]
    fn more_services_than_numbers_are_an_error() {
        let entries: Vec<Entry> = (1..=300u16)
            .map(|port| entry(&format!("s{port}"), Target::Udp(port..=port)))
            .collect();
        let error = classify(&entries, &mut ServiceNames::default())
            .err()
            .unwrap();
        let error = error.to_string();
        assert!(error.starts_with("there is no room for udp/241"), "{error}");
    }
}
