//! What a replay came to, with names.

mod text;

use super::conversations::{Key, Spotted, Talk};
use super::tally::{Count, Row};
use super::{FileEnd, Replayed, seconds};
use crate::policy::{Labels, ServiceNames};
use sccm_common::ServiceClass;
use serde::Serialize;
use std::cmp::Reverse;
use std::net::IpAddr;

/// What `replay -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// The files, in the order in which they were read.
    files: Vec<File>,
    /// Packets of all files.
    packets: u64,
    /// Bytes that they had.
    bytes: u64,
    /// Those that pass.
    passed: u64,
    /// Those that are dropped.
    dropped: u64,
    /// Those of which too little was captured to judge them.
    cut_off: u64,
    /// Those that nobody judges at this place: they leave a gateway in somebody else's name.
    elsewhere: u64,
    /// When the first was captured, in seconds since 1970; null without packets.
    first: Option<f64>,
    /// When the last was.
    last: Option<f64>,
    /// How packets end, the most first.
    counts: Vec<Counted>,
    /// Who talked to whom: what is dropped first, then the most packets.
    conversations: Vec<Conversation>,
    /// Conversations beyond `--limit`.
    conversations_more: usize,
    /// Packets of conversations that were not told apart, because there were too many.
    others: u64,
    /// What the policy of `--against` would change; null without it.
    against: Option<Against>,
}

/// A capture file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct File {
    /// Its name.
    name: String,
    /// Packets that were read of it.
    packets: u64,
    /// It ends within a packet: whoever wrote it was interrupted.
    ended_early: bool,
    /// Why it was not read to its end.
    error: Option<String>,
}

/// How packets end.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    /// Label of the reason, as `docs/reasons.md` has it.
    reason: &'static str,
    /// Whether they pass.
    passes: bool,
    /// `inbound` or `outbound`, seen from the protected system.
    direction: &'static str,
    /// `tcp`, `udp` ...; absent for a reason without a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    /// The service, `none` where none is known; absent for a reason without a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// The roles of the peer who lacks the right; absent where the verdict did not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Packets.
    packets: u64,
    /// Bytes of them.
    bytes: u64,
    /// The first ones.
    examples: Vec<Example>,
}

/// A packet of a file.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Example {
    /// Place of the file in `files`, from 0 on.
    file: usize,
    /// Number of the packet in it, from 1 on, as Wireshark counts.
    number: u64,
    /// When it was captured, in seconds since 1970.
    at: f64,
}

/// All connections of one system to a port of another.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Conversation {
    /// Who opened it.
    #[cfg_attr(test, schemars(with = "String"))]
    opener: IpAddr,
    /// What the policy calls that one.
    opener_name: Option<String>,
    /// The other end.
    #[cfg_attr(test, schemars(with = "String"))]
    server: IpAddr,
    /// What the policy calls that one.
    server_name: Option<String>,
    /// `tcp`, `udp` ...
    protocol: String,
    /// The port that was opened, or the type of an ICMP message; 0 for other protocols.
    port: u16,
    /// The service; `none` where none is known.
    service: String,
    /// `outbound` if a protected system opened it.
    direction: &'static str,
    /// Packets of the opener.
    packets_of_opener: u64,
    /// Packets of the other end.
    packets_of_server: u64,
    /// Packets that pass.
    passed: u64,
    /// Packets that are dropped.
    dropped: u64,
    /// Why they are.
    reasons: Vec<&'static str>,
    /// The first packet.
    first: Example,
    /// The last packet.
    last: Example,
    /// The first packet that is dropped.
    first_dropped: Option<Example>,
    /// Packets that are dropped, and pass with the policy of `--against`.
    opens: u64,
    /// Packets that pass, and are dropped with the policy of `--against`.
    closes: u64,
}

/// What the policy of `--against` would change.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Against {
    /// Packets that are dropped, and would pass.
    opens: u64,
    /// Packets that pass, and would be dropped.
    closes: u64,
    /// Conversations in which either happens.
    conversations: usize,
}

impl Summary {
    pub(super) fn new(
        replayed: &Replayed,
        services: &ServiceNames,
        labels: &Labels,
        is_compared: bool,
        limit: usize,
    ) -> Self {
        let tally = &replayed.tally;
        let of = |passes: bool| {
            let rows = tally.rows.iter();
            let rows = rows.filter(|(row, _)| row.reason.passes() == passes);
            rows.map(|(_, count)| count.packets).sum()
        };
        let mut counts: Vec<(&Row, &Count)> = tally.rows.iter().collect();
        counts.sort_by_key(|(row, count)| {
            (
                Reverse(count.packets),
                row.reason as u8,
                row.service,
                row.peer,
                row.outbound,
            )
        });
        let all = replayed.conversations.all();
        let mut talks: Vec<&(Key, Talk)> = all.iter().collect();
        talks.sort_by_cached_key(|(key, talk)| {
            let changed = talk.opens + talk.closes;
            (
                Reverse(changed),
                Reverse(talk.dropped),
                Reverse(talk.passed),
                key.clone(),
            )
        });
        let changed = all.iter().filter(|(_, talk)| talk.opens + talk.closes > 0);
        let against = Against {
            opens: tally.opens,
            closes: tally.closes,
            conversations: changed.count(),
        };
        Self {
            files: replayed.files.iter().map(File::new).collect(),
            packets: tally.packets,
            bytes: tally.bytes,
            passed: of(true),
            dropped: of(false),
            cut_off: tally.cut_off,
            elsewhere: tally.elsewhere,
            first: tally.first.map(|spotted| seconds(spotted.at)),
            last: tally.last.map(|spotted| seconds(spotted.at)),
            counts: counts
                .into_iter()
                .map(|(row, count)| Counted::new(*row, count, services))
                .collect(),
            conversations_more: talks.len().saturating_sub(limit),
            conversations: talks
                .into_iter()
                .take(limit)
                .map(|(key, talk)| Conversation::new(key, talk, services, labels))
                .collect(),
            others: replayed.conversations.others(),
            against: is_compared.then_some(against),
        }
    }
}

impl File {
    fn new(end: &FileEnd) -> Self {
        Self {
            name: end.name.clone(),
            packets: end.packets,
            ended_early: end.ended_early,
            error: end.error.clone(),
        }
    }
}

impl Counted {
    fn new(row: Row, count: &Count, services: &ServiceNames) -> Self {
        let has_service = row.reason.service_row().is_some();
        let name = services.get(row.service);
        Self {
            reason: row.reason.label(),
            passes: row.reason.passes(),
            direction: direction(row.outbound),
            protocol: name
                .filter(|_| has_service)
                .map(|name| name.protocol.clone()),
            service: has_service.then(|| service(row.service, services)),
            peer: services.peers.get(row.peer).map(str::to_owned),
            packets: count.packets,
            bytes: count.bytes,
            examples: count
                .examples
                .iter()
                .map(|one| Example::new(*one))
                .collect(),
        }
    }
}

impl Conversation {
    fn new(key: &Key, talk: &Talk, services: &ServiceNames, labels: &Labels) -> Self {
        let label = |address| labels.get(address).map(str::to_owned);
        let [packets_of_opener, packets_of_server] = talk.packets;
        Self {
            opener: key.opener,
            opener_name: label(key.opener),
            server: key.server,
            server_name: label(key.server),
            protocol: key.protocol(),
            port: key.port,
            service: service(talk.service, services),
            direction: direction(talk.outward),
            packets_of_opener,
            packets_of_server,
            passed: talk.passed,
            dropped: talk.dropped,
            reasons: talk.reasons.iter().map(|reason| reason.label()).collect(),
            first: Example::new(talk.first),
            last: Example::new(talk.last),
            first_dropped: talk.first_dropped.map(Example::new),
            opens: talk.opens,
            closes: talk.closes,
        }
    }
}

impl Example {
    fn new(spotted: Spotted) -> Self {
        Self {
            file: spotted.file,
            number: spotted.number,
            at: seconds(spotted.at),
        }
    }
}

const fn direction(outbound: bool) -> &'static str {
    if outbound { "outbound" } else { "inbound" }
}

fn service(class: ServiceClass, services: &ServiceNames) -> String {
    let name = services.get(class);
    name.map_or_else(|| "none".to_owned(), |name| name.service.clone())
}
