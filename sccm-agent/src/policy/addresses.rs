//! Sorts addresses into classes by the prefixes that cover them.
//!
//! An address carries the tags of *every* prefix that covers it, however narrow
//! another one is, so a narrow prefix inside a wide one adds rights and never
//! loses any. A class stands for one set of tags. Sorted, the prefixes that cover
//! another come before it, so one pass with a stack of those that are still open
//! finds every set; the table that the kernel walks is then built by [`table`].
//!
//! Where packets with these sources may come in is told along with that ([`Source`]).
//!
//! IPv4 and IPv6 are apart: `::ffff:10.0.0.0/104` is about IPv6 packets that carry
//! such addresses (RFC 4291, 2.5.5.2), never about IPv4. Bits of a prefix behind
//! its length count as zero.

mod prefix;
mod source;
mod table;

#[cfg(test)]
mod tests;

pub use source::Source;
pub use table::AddressTable;

use anyhow::{Result, bail};
use ipnet::IpNet;
use prefix::Prefix;
use sccm_common::address::{AddressClass, Family, LOCAL_SELF};
use sccm_common::policy::MAX_PAIRS;
use source::Origin;
use std::collections::{BTreeSet, HashMap};
use table::Region;

/// What a prefix says of its addresses. The numbers mean something to the caller only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// As peers.
    Peer(u16),
    /// As protected systems.
    Local(u16),
    /// They are this machine's own, where that is told from the protected
    /// systems; no `Local` counts any more.
    Own,
    /// As sources of packets that come in.
    Source(Source),
}

/// The numbers of the tags of one side.
pub type TagSet = BTreeSet<u16>;

/// Every address in its class.
pub struct Classes {
    /// Address to class.
    pub table: AddressTable,
    /// The tags of each peer class; class 0 has none.
    pub peers: Vec<TagSet>,
    /// The tags of each local class; class 0 has none, nor has [`LOCAL_SELF`].
    pub locals: Vec<TagSet>,
}

/// Sorts addresses into classes. The same prefix may come with several tags, in any order.
///
/// # Errors
/// More sets of tags than a policy can tell apart, or prefixes that do not fit
/// into the kernel's table.
pub fn classify(scopes: impl IntoIterator<Item = (IpNet, Tag)>) -> Result<Classes> {
    let scopes = scopes.into_iter();
    let mut scopes: Vec<(Prefix, Tag)> = scopes.map(|(net, tag)| (net.into(), tag)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let mut peers = Sets::new(1);
    let mut locals = Sets::new(usize::from(LOCAL_SELF) + 1);
    let mut regions = Vec::new();
    let mut covering: Vec<Covering> = Vec::new();
    for tagged in scopes.chunk_by(|one, other| one.0 == other.0) {
        let prefix = tagged[0].0;
        while covering
            .pop_if(|outer| !outer.prefix.covers(&prefix))
            .is_some()
        {}
        let outer = covering.last().copied();
        let outer = outer.unwrap_or(Covering::everything(prefix.family));
        let of_peers = tagged.iter().filter_map(|(_, tag)| match tag {
            Tag::Peer(number) => Some(*number),
            _ => None,
        });
        let of_locals = tagged.iter().filter_map(|(_, tag)| match tag {
            Tag::Local(number) => Some(*number),
            _ => None,
        });
        let as_sources = tagged.iter().filter_map(|(_, tag)| match tag {
            Tag::Source(source) => Some(*source),
            _ => None,
        });
        let own = outer.local == LOCAL_SELF || tagged.iter().any(|(_, tag)| *tag == Tag::Own);
        let region = Covering {
            prefix,
            local: match own {
                true => LOCAL_SELF,
                false => locals.with(outer.local, of_locals.collect()),
            },
            peer: peers.with(outer.peer, of_peers.collect()),
            origin: outer.origin.with(as_sources),
        };
        // The policy holds rights for each pair. This also keeps class numbers small.
        let pairs = peers.sets.len() * locals.sets.len();
        if pairs > MAX_PAIRS {
            bail!(
                "the prefixes make {} different sets of rights as peers and {} as protected \
                 systems, {pairs} pairs, but there is room for {MAX_PAIRS}: give more of them the \
                 same rights",
                peers.sets.len(),
                locals.sets.len()
            );
        }
        covering.push(region);
        if region.class() != outer.class() {
            let class = region.class();
            regions.push(Region { prefix, class });
        }
    }
    Ok(Classes {
        table: AddressTable::build(&regions)?,
        peers: peers.sets,
        locals: locals.sets,
    })
}

/// What all addresses of a prefix are, before narrower ones are looked at.
#[derive(Clone, Copy)]
struct Covering {
    prefix: Prefix,
    local: u16,
    peer: u16,
    origin: Origin,
}

impl Covering {
    /// What no prefix names.
    const fn everything(family: Family) -> Self {
        Self {
            prefix: Prefix::all(family),
            local: AddressClass::ANY.local,
            peer: AddressClass::ANY.peer,
            origin: Origin::UNKNOWN,
        }
    }

    fn class(&self) -> AddressClass {
        AddressClass {
            local: self.local,
            peer: self.peer | self.origin.marks(),
        }
    }
}

/// The different sets of one side, numbered.
struct Sets {
    sets: Vec<TagSet>,
    numbers: HashMap<TagSet, u16>,
    /// What was asked before: most prefixes are like many others.
    answers: HashMap<(u16, Vec<u16>), u16>,
}

impl Sets {
    /// The first `empty` numbers are sets without tags.
    fn new(empty: usize) -> Self {
        Self {
            sets: vec![TagSet::new(); empty],
            numbers: HashMap::from([(TagSet::new(), 0)]),
            answers: HashMap::new(),
        }
    }

    /// The number of a set with more `tags`.
    fn with(&mut self, set: u16, tags: Vec<u16>) -> u16 {
        if tags.is_empty() {
            return set;
        }
        let question = (set, tags);
        if let Some(number) = self.answers.get(&question) {
            return *number;
        }
        let mut union = self.sets[usize::from(set)].clone();
        union.extend(&question.1);
        let number = *self.numbers.entry(union).or_insert_with_key(|union| {
            self.sets.push(union.clone());
            (self.sets.len() - 1) as u16
        });
        self.answers.insert(question, number);
        number
    }
}
