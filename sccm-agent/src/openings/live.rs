//! What is open now, by the kernel's tables.

use super::{Way, as_text, name_of};
use crate::kernel::{HandedOut, OpeningTable, Outcomes, PinDir};
use anyhow::Result;
use sccm_common::rpc::{Refusal, Uuid};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The ports that are open because a mapper handed them out. As JSON, what `openings` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Live {
    /// The ports that are open, in the order of client, server and port.
    pub openings: Vec<Open>,
    /// What became of the mappers' answers, and of the ports in them, since the maps were made. What
    /// never happened is left out.
    pub outcomes: Vec<Counted>,
}

/// A port that is open to one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Open {
    /// The system that the port was handed to. To nobody else it is open.
    pub client: IpAddr,
    /// The system that handed it out, and that listens there.
    pub server: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// UUID of the interface that listens there; of the other ways than `ept_map`, of the interface
    /// that answered.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub interface: Uuid,
    /// What people call that interface; null if this program knows no name.
    pub interface_name: Option<&'static str>,
    /// What the client had asked.
    pub how: Way,
    /// Who has read the answer.
    pub by: Reader,
    /// Seconds since the port was handed out last, or began to be tracked.
    pub age_seconds: u64,
    /// Seconds since a connection used it; null if none has.
    pub used_seconds: Option<u64>,
    /// Seconds until it is closed, if nobody uses it.
    pub left_seconds: u64,
    /// Only the shadow's policy would open it.
    pub shadow: bool,
}

/// Who reads a mapper's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reader {
    /// The kernel program, before the answer has reached the client.
    Kernel,
    /// The agent, right after it: an answer that the kernel program has left unread.
    Agent,
}

impl Reader {
    /// The agent, or the kernel program.
    #[must_use]
    pub const fn new(is_agent: bool) -> Self {
        match is_agent {
            true => Self::Agent,
            false => Self::Kernel,
        }
    }

    /// As JSON and metrics have it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Agent => "agent",
        }
    }
}

/// How often an answer, or a port in one, ended so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counted {
    /// `ept_map`, `activation` or `resolve_oxid` for a port that was opened, else the reason why an
    /// answer opened nothing.
    pub outcome: &'static str,
    /// Who has read the answer.
    pub by: Reader,
    /// What that reason means; null for a port that was opened.
    pub why: Option<&'static str>,
    /// How often.
    pub count: u64,
}

impl From<HandedOut> for Open {
    fn from(handed_out: HandedOut) -> Self {
        let one = handed_out.opening;
        Self {
            client: one.client,
            server: one.server,
            port: one.port,
            interface: one.interface,
            interface_name: name_of(one.interface),
            how: one.how.map_or(Way::Connected, Way::from),
            by: Reader::new(one.by_agent),
            age_seconds: one.age,
            used_seconds: one.used,
            left_seconds: handed_out.left,
            shadow: handed_out.of_candidate,
        }
    }
}

impl Live {
    /// Reads the pins.
    ///
    /// # Errors
    /// Pins or maps that cannot be read.
    pub fn read(pins: &PinDir) -> Result<Self> {
        let table = OpeningTable::open(pins)?;
        let mut outcomes = by_label(&table)?;
        outcomes.retain(|one| one.count > 0);
        Ok(Self {
            openings: table.read()?.into_iter().map(Open::from).collect(),
            outcomes,
        })
    }

    /// Whether no mapper has said anything: the policy tracks none, or nobody has asked one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.openings.is_empty() && self.outcomes.is_empty()
    }

    /// Ports that were opened, and answers that opened nothing. What the kernel program has left to
    /// the agent ends as the agent says.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let sum = |opened| {
            let all = self.outcomes.iter();
            let all = all.filter(|one| one.outcome != Refusal::Unread.label());
            let all = all.filter(|one| one.why.is_none() == opened);
            all.map(|one| one.count).sum()
        };
        (sum(true), sum(false))
    }

    /// So many of the ports, those first that were handed out last.
    #[must_use]
    pub fn latest(mut self, most: usize) -> Self {
        self.openings.sort_by_key(|one| one.age_seconds);
        self.openings.truncate(most);
        self
    }
}

/// How often each outcome of the mapper's answers happened, also those that never did: the ways in
/// which a port was opened, and the reasons why none was.
///
/// # Errors
/// The kernel refuses a read.
pub fn by_label(table: &OpeningTable) -> Result<Vec<Counted>> {
    let mut all = labelled(&table.outcomes()?, Reader::Kernel);
    all.extend(labelled(&table.read_outcomes()?, Reader::Agent));
    Ok(all)
}

fn labelled(outcomes: &Outcomes, by: Reader) -> Vec<Counted> {
    let mut all: Vec<Counted> = Vec::new();
    for (outcome, count) in outcomes {
        let (label, why) = match outcome {
            Ok(how) => (Way::from(*how).label(), None),
            Err(why) => (why.label(), Some(why.text())),
        };
        match all.iter_mut().find(|known| known.outcome == label) {
            Some(known) => known.count += count,
            None => all.push(Counted {
                outcome: label,
                by,
                why,
                count: *count,
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use sccm_common::rpc::How;

    #[test]
    fn ways_with_one_label_are_one_outcome() {
        let outcomes = vec![
            (Ok(How::Activation), 2),
            (Ok(How::LegacyActivation), 3),
            (Err(Refusal::Privacy), 4),
            (Err(Refusal::Unread), 7),
            (Ok(How::Map), 0),
        ];
        let counted = labelled(&outcomes, Reader::Kernel);
        let counts: Vec<_> = counted.iter().map(|one| (one.outcome, one.count)).collect();
        let expected = [
            ("activation", 5),
            ("privacy", 4),
            ("unread", 7),
            ("ept_map", 0),
        ];
        assert_eq!(counts, expected);
        let live = Live {
            outcomes: counted,
            ..Live::default()
        };
        assert_eq!(live.totals(), (5, 4));
    }

    #[test]
    fn the_latest_are_those_that_were_handed_out_last() {
        let open = |port, age_seconds| Open {
            client: IpAddr::from([192, 0, 2, 10]),
            server: IpAddr::from([192, 0, 2, 20]),
            port,
            interface: Uuid::little_endian(&[0; 16]),
            interface_name: None,
            how: Way::EptMap,
            by: Reader::Kernel,
            age_seconds,
            used_seconds: None,
            left_seconds: 100,
            shadow: false,
        };
        let live = Live {
            openings: vec![open(1, 30), open(2, 10), open(3, 20)],
            ..Live::default()
        };
        let latest = live.latest(2).openings.into_iter();
        assert_eq!(latest.map(|one| one.port).collect::<Vec<_>>(), [2, 3]);
    }
}
