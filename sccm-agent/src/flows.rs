//! What is under way through a gateway, as a document: what `sccm-agent flows` prints, and what the
//! other gateway of a pair takes over.

mod flow;
mod handed_out;

pub use flow::Flow;
pub use handed_out::HandedOut;

use crate::kernel::{
    Clock, FlowTable, KnownFlow, KnownOpening, Merged, OpeningTable, PinDir, TableFlow,
    merge_openings,
};
use crate::policy::{Openness, Tables};
use crate::units;
use anyhow::{Context as _, Result, bail};
use sccm_common::packet::Protocol;
use serde::{Deserialize, Serialize};

/// How old a list may be that is taken over, in seconds, and how much two machines' clocks may differ.
const FRESH: u64 = 60;

/// Seconds by which a copy is older than what it is of. The clocks that tell its age are read in whole
/// seconds, two on either machine; so what goes to and fro between two gateways never gets younger.
const ROUNDED: u64 = 2;

/// What is under way through a gateway. As JSON, what `flows` prints and takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listing {
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The flows that have not expired; those that were heard of last come first.
    pub flows: Vec<Flow>,
    /// The dynamic ports that are open because an endpoint mapper of RPC has handed them out, in the
    /// order of client, server and port. Lists of older agents lack it.
    #[serde(default)]
    pub handed_out: Vec<HandedOut>,
}

/// What became of a list that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Loaded {
    /// Of its flows.
    #[serde(flatten)]
    pub flows: Taken,
    /// Of its ports that were handed out.
    pub handed_out: Taken,
}

/// What became of rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Taken {
    /// What is not written: flows that no protected system may open by the active policy, pings, and
    /// ports that it does not open by what a mapper hands out.
    pub refused: u64,
    /// The rest.
    #[serde(flatten)]
    pub merged: Merged,
}

impl Listing {
    /// Reads the tables.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn read(flows: &FlowTable, openings: &OpeningTable) -> Result<Self> {
        let handed_out = openings.read()?.into_iter();
        let enforced = handed_out.filter(|one| !one.of_candidate);
        Ok(Self {
            made: Clock::read()?.wall(),
            flows: flows.list()?.iter().map(Flow::new).collect(),
            handed_out: enforced.map(|one| HandedOut::new(&one.opening)).collect(),
        })
    }

    /// Writes to the tables what the active policy lets through.
    ///
    /// # Errors
    /// The list is too old, or has a mistake: then nothing is written. The kernel refuses a read.
    pub fn load(&self, table: &FlowTable, pins: &PinDir, active: &Tables) -> Result<Loaded> {
        let (flows, openings) = self.at(Clock::read()?.wall())?;
        let [all, all_openings] = [flows.len(), openings.len()];
        let may_be_open = |one: &TableFlow| {
            let KnownFlow {
                protocol,
                local,
                peer,
                ..
            } = one.flow;
            let is_ping = matches!(Protocol(protocol), Protocol::ICMP | Protocol::ICMPV6);
            !is_ping && active.lets_open(protocol, local, peer)
        };
        let flows: Vec<TableFlow> = flows.into_iter().filter(may_be_open).collect();
        let is_tracked = |one: &KnownOpening| {
            let sides = active.openness(one.client, one.server, one.port);
            sides.contains(&Openness::IfHandedOut)
        };
        let openings: Vec<KnownOpening> = openings.into_iter().filter(is_tracked).collect();
        Ok(Loaded {
            flows: Taken {
                refused: (all - flows.len()) as u64,
                merged: table.merge(&flows)?,
            },
            handed_out: Taken {
                refused: (all_openings - openings.len()) as u64,
                merged: merge_openings(pins, &openings)?,
            },
        })
    }

    /// All of it, as old as it is at a time of the wall clock.
    fn at(&self, now: u64) -> Result<(Vec<TableFlow>, Vec<KnownOpening>)> {
        if now.abs_diff(self.made) > FRESH {
            let (way, seconds) = match now.checked_sub(self.made) {
                Some(seconds) => ("ago", seconds),
                None => ("from now", self.made - now),
            };
            bail!(
                "by this machine's clock the list was made {} {way}; it must be less than {}: take \
                 a new one, and have both clocks set (NTP)",
                units::describe(seconds),
                units::describe(FRESH)
            );
        }
        let older = now.saturating_sub(self.made) + ROUNDED;
        Ok((
            each(&self.flows, "flow", |row| row.after(older))?,
            each(&self.handed_out, "port that was handed out", |row| {
                row.after(older)
            })?,
        ))
    }
}

/// Reads rows; a mistake is told with the row's number.
fn each<R, K>(rows: &[R], what: &str, read: impl Fn(&R) -> Result<K>) -> Result<Vec<K>> {
    let rows = rows.iter().zip(1..);
    rows.map(|(row, number)| read(row).with_context(|| format!("{what} {number}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        Listing {
            made: 1000,
            flows: vec![flow::tests::flow()],
            handed_out: vec![handed_out::tests::handed_out()],
        }
    }

    /// To and fro at once, with clocks that differ by the most that is allowed.
    #[test]
    fn what_is_copied_is_older_by_the_time_and_never_younger() {
        for here in [940, 1000, 1001, 1060] {
            let (flows, openings) = listing().at(here).unwrap();
            let older = here.saturating_sub(1000) + 2;
            assert_eq!(u64::from(flows[0].idle), 7 + older);
            assert_eq!(openings[0].age, 50 + older);
            assert_eq!(openings[0].used, Some(20 + older));
        }
    }

    #[test]
    fn an_old_list_or_one_from_the_future_is_refused() {
        for (now, said) in [
            (1061, "made 1m 1s ago"),
            (1_000_000, "ago"),
            (939, "made 1m 1s from now"),
            (0, "from now"),
        ] {
            let error = listing().at(now).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("NTP"), "{error}");
        }
        for now in [940, 1000, 1060] {
            assert!(listing().at(now).is_ok());
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_row() {
        let mut wrong = listing();
        let mut flow = wrong.flows[0].clone();
        flow.phase = "waning".to_owned();
        wrong.flows.push(flow);
        let error = format!("{:#}", wrong.at(1000).unwrap_err());
        assert_eq!(error, "flow 2: no phase is called waning");
        let mut wrong = listing();
        wrong.handed_out[0].client = "2001:db8::1".parse().unwrap();
        let error = format!("{:#}", wrong.at(1000).unwrap_err());
        let said = "port that was handed out 1: 2001:db8::1 and 198.51.100.20 are of two families";
        assert_eq!(error, said);
    }

    #[test]
    fn the_list_of_an_agent_that_tells_no_ports_is_read() {
        let mut list = serde_json::to_value(listing()).unwrap();
        list.as_object_mut().unwrap().remove("handed_out");
        let read: Listing = serde_json::from_value(list).unwrap();
        assert_eq!((read.flows.len(), read.handed_out.len()), (1, 0));
    }
}
