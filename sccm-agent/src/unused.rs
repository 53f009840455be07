//! Which rights of the active policy nothing uses, and which of its rules and prefixes are only
//! about such rights.
//!
//! The rights and their uses are read from the kernel. The words of the policy add its rules and its
//! prefixes, which the kernel does not keep.

mod text;
mod words;

use crate::kernel::{Right, Rights};
use crate::policy::{Compiled, Kinds, SitePolicy, hash_text, ports_of, table_of};
use sccm_common::abi::PolicyInfo;
use sccm_common::counter::Direction;
use sccm_common::service::ServiceSet;
use serde::Serialize;

/// What `sccm-agent unused -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unused {
    /// The active policy: SHA-256 as it was written, in hexadecimal.
    pub hash: String,
    /// The time in which something had to be used, in seconds.
    pub within: u64,
    /// Since when the oldest right is counted, in seconds since 1970; null: there are no rights.
    pub counted_since: Option<u64>,
    /// Rights that are counted.
    pub rights: usize,
    /// Rights that are not, because the policy tells apart more than there is room for.
    pub uncounted: usize,
    /// The rights that were not used in that time.
    pub unused: Vec<UnusedRight>,
    /// The rules of which no right was used; null where the words of the policy are not known.
    pub rules: Option<Vec<UnusedWord>>,
    /// The prefixes whose addresses used no right, and had none of theirs used; null likewise.
    pub prefixes: Option<Vec<UnusedWord>>,
}

/// How long nothing has used something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Idle {
    /// When it was last used, in seconds since 1970; null: never, since it is counted.
    pub last_used: Option<u64>,
    /// Since when it is counted, in seconds since 1970.
    pub counted_since: u64,
    /// Whether it is counted for all of the time that was asked for. If not, it may have been used
    /// before.
    pub counted_throughout: bool,
}

/// A right that was not used.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnusedRight {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// The protected systems: names of entries, or prefixes of rules.
    pub systems: String,
    /// The other ends: roles, or prefixes of rules.
    pub peers: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6` ...
    pub protocol: String,
    /// What may be opened, as counters call it.
    pub service: String,
    /// Its ports, types, or numbers of protocols.
    pub ports: Vec<String>,
    /// Packets since it is counted.
    pub packets: u64,
    /// How long.
    #[serde(flatten)]
    pub idle: Idle,
}

/// A rule or a prefix that was not used.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnusedWord {
    /// The name of the rule, or the prefix.
    pub name: String,
    /// Where it stands: `allow`, `outbound.allow`, `management.allow`, `publish`, `peers client`, `protect NAME`.
    pub stands_in: String,
    /// How long.
    #[serde(flatten)]
    pub idle: Idle,
}

/// The policy as it was written, and as it is in the kernel.
pub struct Words<'a> {
    /// Its words.
    pub policy: &'a SitePolicy,
    /// All kinds of addresses, compiled with the numbers that the kernel has.
    pub kinds: Kinds<'a>,
}

/// What has to be known of time.
#[derive(Clone, Copy)]
struct Period {
    now: u64,
    within: u64,
}

impl Unused {
    /// Compares what was used with the time in which it had to be, in seconds; `now` is in seconds
    /// since 1970.
    #[must_use]
    pub fn new(
        info: &PolicyInfo,
        rights: &Rights,
        words: Option<&Words<'_>>,
        (now, within): (u64, u64),
    ) -> Self {
        let period = Period { now, within };
        let uncounted = words.map_or(0, |words| without_row(&words.kinds.compiled));
        let idle = rights.counted.iter().filter_map(|right| {
            let idle = period.idle([right])?;
            Some(UnusedRight {
                direction: name(right.direction),
                systems: right.systems.clone(),
                peers: right.peers.clone(),
                protocol: right.service.protocol.clone(),
                service: right.service.service.clone(),
                ports: ports(rights, right),
                packets: right.packets,
                idle,
            })
        });
        Self {
            hash: hash_text(&info.hash),
            within,
            counted_since: rights.counted.iter().map(|right| right.since).min(),
            rights: rights.counted.len(),
            uncounted: rights.uncounted + uncounted,
            unused: idle.collect(),
            rules: words.map(|words| words.unused_rules(rights, period)),
            prefixes: words.map(|words| words.unused_prefixes(rights, period)),
        }
    }

    /// Whether something was not used for all of the time that was asked for.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        let rights = self.unused.iter().map(|right| &right.idle);
        let words = [&self.rules, &self.prefixes]
            .into_iter()
            .flatten()
            .flatten();
        let mut all = rights.chain(words.map(|word| &word.idle));
        all.any(|idle| idle.counted_throughout)
    }
}

impl Period {
    /// How long none of these rights was used; `None`: one was, or there is none.
    fn idle<'r>(self, rights: impl IntoIterator<Item = &'r Right>) -> Option<Idle> {
        let (mut last, mut since) = (None, None);
        for right in rights {
            last = last.max(right.last);
            since = since.max(Some(right.since));
        }
        let begin = self.now.saturating_sub(self.within);
        let counted_since = since?;
        (last.is_none_or(|last| last < begin)).then_some(Idle {
            last_used: last,
            counted_since,
            counted_throughout: counted_since <= begin,
        })
    }
}

const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

/// Rights for which no row was left.
fn without_row(compiled: &Compiled) -> usize {
    let rows = compiled.rows.iter();
    let lacking = rows.filter(|row| row.row == sccm_common::usage::Row::NONE);
    let classes = lacking.map(|row| {
        row.granted
            .0
            .iter()
            .map(|word| word.count_ones())
            .sum::<u32>()
    });
    classes.sum::<u32>() as usize
}

/// The ports of a right, as the kernel has them.
fn ports(rights: &Rights, right: &Right) -> Vec<String> {
    let mut set = ServiceSet::default();
    set.insert(right.class);
    let protocol = right.service.protocol.as_str();
    let table = table_of(&rights.policy, protocol);
    let last = u16::try_from(table.len() - 1).unwrap_or(u16::MAX);
    let ranges = ports_of(table, set, &(0..=last));
    ranges
        .iter()
        .map(|range| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
