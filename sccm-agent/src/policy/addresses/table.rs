//! Builds the trie that the kernel walks ([`sccm_common::address::trie`]).
//!
//! A range in the trie is all addresses behind some bits, with the regions inside
//! it. Up to [`CHAIN`] of them become a chain of matches; more that begin with
//! the same bits share a match for these; otherwise a branch takes as many bits
//! as it can while half of its entries lead to something. A node is built only
//! where the steps that are left suffice for the rest, whatever it is: branches
//! of eight bits always get there, so the longest walk is bounded by construction.

use super::prefix::Prefix;
use anyhow::{Result, bail};
use sccm_common::address::trie::{
    Entry, LONG_MATCH, MAX_STEPS, NODES, NODES_END, Next, ROOT_BITS, SHORT_MATCH, Trie, WORDS, root,
};
use sccm_common::address::{AddressClass, Family};

/// Matches in a row, at most: a few compared words are cheaper than a branch.
const CHAIN: usize = 3;

/// Bits in common that are worth a match of their own in front of a branch.
const SKIP: u8 = 2;

/// Bits of the widest branch.
const WIDEST: u8 = 8;

/// Addresses with a class, except those of narrower regions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    /// Which addresses.
    pub prefix: Prefix,
    /// Their class.
    pub class: AddressClass,
}

/// The trie of one policy.
pub struct AddressTable {
    trie: Box<Trie>,
    used: usize,
}

impl AddressTable {
    /// As the kernel reads it.
    #[must_use]
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// What of it is in use, for hashing; nothing where no prefix is named.
    #[must_use]
    pub fn used(&self) -> &[u32] {
        &self.trie[..self.used]
    }

    /// Builds the trie of sorted regions.
    pub(super) fn build(regions: &[Region]) -> Result<Self> {
        let mut table = Self {
            // Never on the stack, and without memory until it is written.
            trie: vec![0; WORDS].try_into().unwrap_or_else(|_| unreachable!()),
            used: 0,
        };
        if regions.is_empty() {
            return Ok(table);
        }
        table.used = NODES;
        let fours = regions.partition_point(|region| region.prefix.family == Family::V4);
        let (v4, v6) = regions.split_at(fours);
        for (family, regions) in [(Family::V4, v4), (Family::V6, v6)] {
            let (all, regions) = inside(Prefix::all(family), AddressClass::ANY, regions);
            let entries = table.entries(all, regions, ROOT_BITS, MAX_STEPS)?;
            table.write(root(family), &entries);
        }
        Ok(table)
    }

    /// The entry of a range with these regions inside, and at most `steps` nodes behind it.
    fn entry(&mut self, range: Region, regions: &[Region], steps: u32) -> Result<Entry> {
        let [first, others @ ..] = regions else {
            return Ok(Entry::encode(Next::Class(range.class)));
        };
        if regions.len() <= CHAIN.min(steps as usize) {
            let (within, others) = others.split_at(covered(first.prefix, others));
            let within = self.entry(*first, within, steps - 1)?;
            let others = self.entry(range, others, steps - 1)?;
            return self.matching(first.prefix, within, others);
        }
        let last = regions[regions.len() - 1];
        let common = first.prefix.common(last.prefix);
        if common.length >= range.prefix.length + SKIP
            && branches_behind(common.family, common.length) < steps
        {
            let (common, regions) = inside(common, range.class, regions);
            let within = self.entry(common, regions, steps - 1)?;
            let others = Entry::encode(Next::Class(range.class));
            return self.matching(common.prefix, within, others);
        }
        let position = range.prefix.length;
        let bits = width(range.prefix, regions, steps);
        let entries = self.entries(range, regions, bits, steps - 1)?;
        if entries.iter().all(|entry| *entry == entries[0]) {
            return Ok(entries[0]);
        }
        let at = self.push(&entries)?;
        Ok(Entry::encode(Next::Branch { position, bits, at }))
    }

    /// The entries of a branch that takes `bits` bits, each with at most `steps` nodes behind it.
    fn entries(
        &mut self,
        range: Region,
        mut regions: &[Region],
        bits: u8,
        steps: u32,
    ) -> Result<Vec<Entry>> {
        let position = range.prefix.length;
        let end = position + bits;
        let mut classes = vec![range.class; 1 << bits];
        let mut behind = Vec::new();
        while let [region, others @ ..] = regions {
            let index = region.prefix.index(position, bits);
            if region.prefix.length <= end {
                // Sorted: what is narrower comes later, and overwrites.
                let count = 1 << (end - region.prefix.length);
                classes[index..index + count].fill(region.class);
                regions = others;
                continue;
            }
            let child = Region {
                prefix: region.prefix.shortened(end),
                class: classes[index],
            };
            let (within, others) = regions.split_at(covered(child.prefix, regions));
            behind.push((index, self.entry(child, within, steps)?));
            regions = others;
        }
        let classes = classes.into_iter().map(Next::Class).map(Entry::encode);
        let mut entries: Vec<Entry> = classes.collect();
        for (index, entry) in behind {
            entries[index] = entry;
        }
        Ok(entries)
    }

    /// An entry for two cases: the address begins with `prefix`, or it does not.
    fn matching(&mut self, prefix: Prefix, inside: Entry, outside: Entry) -> Result<Entry> {
        if inside == outside {
            return Ok(inside);
        }
        let quarter = |number: u32| Entry((prefix.bits >> (32 * number)) as u32);
        let words = [
            inside,
            outside,
            quarter(2),
            quarter(3),
            quarter(0),
            quarter(1),
        ];
        let length = prefix.length;
        let words = match length {
            ..=64 => &words[..SHORT_MATCH],
            _ => &words[..LONG_MATCH],
        };
        let at = self.push(words)?;
        Ok(Entry::encode(Next::Match { length, at }))
    }

    /// Adds a node, and returns its index.
    fn push(&mut self, words: &[Entry]) -> Result<u32> {
        let at = self.used;
        if at + words.len() > NODES_END {
            bail!(
                "the prefixes need more than the {} MiB of kernel memory that a policy has for \
                 them: name fewer or wider prefixes",
                size_of::<Trie>() >> 20
            );
        }
        self.write(at, words);
        self.used += words.len();
        Ok(at as u32)
    }

    fn write(&mut self, at: usize, words: &[Entry]) {
        for (entry, word) in self.trie[at..].iter_mut().zip(words) {
            *entry = word.0;
        }
    }
}

/// The region of `prefix`, and those strictly inside it; the first of `regions` may be that itself.
fn inside(prefix: Prefix, outer: AddressClass, regions: &[Region]) -> (Region, &[Region]) {
    match regions {
        [first, others @ ..] if first.prefix == prefix => (*first, others),
        _ => (
            Region {
                prefix,
                class: outer,
            },
            regions,
        ),
    }
}

/// How many of `regions`, from the first on, are inside `prefix`.
fn covered(prefix: Prefix, regions: &[Region]) -> usize {
    regions.partition_point(|region| prefix.covers(&region.prefix))
}

/// How many bits the branch of a range should take.
fn width(range: Prefix, regions: &[Region], steps: u32) -> u8 {
    let position = range.length;
    let [half, whole] = halves(range.family);
    let end = if position < half { half } else { whole };
    let widest = WIDEST.min(end - position);
    let worthwhile = |bits: u8| {
        let indexes = regions
            .iter()
            .map(|region| region.prefix.index(position, bits));
        let mut indexes: Vec<usize> = indexes.collect();
        indexes.dedup();
        // Where nothing is left behind it, it saves each region its match.
        let end = position + bits;
        let saved = match regions.iter().all(|region| region.prefix.length <= end) {
            true => 2 * SHORT_MATCH * regions.len(),
            false => 0,
        };
        (2 * indexes.len()).max(regions.len()).max(saved) >= 1 << bits
    };
    (1..=widest)
        .rev()
        .filter(|bits| branches_behind(range.family, position + bits) < steps)
        .find(|bits| worthwhile(*bits))
        .unwrap_or(widest)
}

/// How many of the widest branches lead from a range to the end of every address.
fn branches_behind(family: Family, position: u8) -> u32 {
    let [half, whole] = halves(family);
    let in_first = half.saturating_sub(position);
    let in_second = whole - position.max(half);
    u32::from(in_first.div_ceil(WIDEST) + in_second.div_ceil(WIDEST))
}

/// Where the bits end that a branch may take together, since it reads one word of the address.
const fn halves(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [32, 32],
        Family::V6 => [64, 128],
    }
}
