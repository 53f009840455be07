//! All that is true at one moment, in one value: what the status page shows.
//!
//! All but `file_differs` is read from the kernel when it is made, so it is the same whoever
//! makes it, and whether an agent runs or not.

use super::counts::{Count, as_text, counts};
use super::{InterfaceState, Overall, PolicyStatus, ShadowStatus, interfaces};
use crate::blocked::{Change, Explainer, Flow, Names, Refused};
use crate::interface::Interface;
use crate::kernel::{Clock, Maps, PinDir, Reading, Unnoted};
use crate::openings::Live;
use crate::policy::Advice;
use anyhow::Result;
use sccm_common::Disposition;
use sccm_common::blocked::BlockedFlow;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Blocked flows that are listed by each order, and ports that were handed out.
const FLOWS: usize = 50;

/// All that is true at one moment. As JSON it is the event `snapshot` of `/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Version of this program.
    pub version: &'static str,
    /// Name of this machine.
    pub host: String,
    /// When this was read, in milliseconds since 1970.
    pub taken: u64,
    /// The state of all interfaces together.
    pub overall: Overall,
    /// Interfaces that are or were enforced.
    pub interfaces: Vec<InterfaceState>,
    /// The active policy.
    pub policy: PolicyStatus,
    /// The policy's file holds something else.
    pub file_differs: bool,
    /// The candidate that judges beside it.
    pub shadow: Option<Shadow>,
    /// How packets ended.
    pub counts: Vec<Count>,
    /// What was refused to whom.
    pub blocked: Blocked,
    /// Ports that an endpoint mapper has handed out; null before one has said anything.
    pub handed_out: Option<HandedOut>,
}

/// Ports that an endpoint mapper has handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HandedOut {
    /// How many are open.
    pub open: usize,
    /// The 50 that were handed out last, and what became of all answers.
    #[serde(flatten)]
    pub latest: Live,
}

/// A candidate, and how often it would have judged otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// Which it is.
    #[serde(flatten)]
    pub status: ShadowStatus,
    /// Packets that it would pass, and the active policy refuses.
    #[serde(serialize_with = "as_text")]
    pub would_pass: u64,
    /// Packets that it would drop, and the active policy passes.
    #[serde(serialize_with = "as_text")]
    pub would_drop: u64,
    /// Whose traffic that is.
    pub changes: Blocked,
}

/// The table of blocked flows, or of those that the shadow judges otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// Flows in the table.
    pub known: usize,
    /// Packets of flows that were not noted, since the maps were made, or since the shadow began.
    #[serde(serialize_with = "as_text")]
    pub suppressed_packets: u64,
    /// The 50 with the most packets and the 50 with the latest, those with the most first.
    pub flows: Vec<BlockedRow>,
}

/// A [`Flow`], with counters as strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockedRow {
    /// Who was refused what.
    #[serde(flatten)]
    pub refused: Refused,
    /// Why, in a sentence.
    pub why: &'static str,
    /// Packets.
    #[serde(serialize_with = "as_text")]
    pub packets: u64,
    /// Bytes of them.
    #[serde(serialize_with = "as_text")]
    pub bytes: u64,
    /// When the first came, in seconds since 1970.
    pub first_seen: u64,
    /// When the last came.
    pub last_seen: u64,
    /// Attack techniques that have such a flow, by their ids.
    pub techniques: Vec<&'static str>,
    /// What would let it pass.
    #[serde(flatten)]
    pub advice: Advice,
    /// What the candidate would change; null in the table of blocked flows.
    pub change: Option<Change>,
}

impl From<Flow> for BlockedRow {
    fn from(flow: Flow) -> Self {
        Self {
            refused: flow.refused,
            why: flow.why,
            packets: flow.packets,
            bytes: flow.bytes,
            first_seen: flow.first_seen,
            last_seen: flow.last_seen,
            techniques: flow.techniques,
            advice: flow.advice,
            change: flow.change,
        }
    }
}

impl Snapshot {
    /// Reads everything.
    ///
    /// # Errors
    /// Pins or maps that cannot be read.
    pub fn read(
        pins: &PinDir,
        maps: &Maps,
        present: &[Interface],
        explainer: &mut Explainer,
    ) -> Result<Self> {
        let interfaces = interfaces(pins, maps, present)?;
        let info = maps.info()?;
        explainer.set_policy(&info);
        let (clock, names) = (Clock::read()?, Names::read(maps, explainer.labels())?);
        let shadow = match maps.shadow()? {
            Some(info) => Some(Shadow::read(info.into(), maps, &names, clock)?),
            None => None,
        };
        let blocked = Blocked::new(maps.blocked()?, maps.unnoted()?, |flow| {
            explainer.explain(flow, &names, clock)
        });
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            host: host_name(),
            taken: now(),
            overall: Overall::of(interfaces.iter().map(|interface| interface.state)),
            interfaces,
            blocked,
            policy: info.into(),
            file_differs: false,
            shadow,
            counts: counts(&maps.counters()?),
            handed_out: HandedOut::of(Live::read(pins)?),
        })
    }
}

impl HandedOut {
    fn of(live: Live) -> Option<Self> {
        (!live.is_empty()).then(|| Self {
            open: live.openings.len(),
            latest: live.latest(FLOWS),
        })
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Empty if the kernel does not tell: a page without it is still a page.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim_ascii().to_owned()
}

impl Shadow {
    /// The page does not say what would let the flows pass: that depends on the candidate's file.
    fn read(status: ShadowStatus, maps: &Maps, names: &Names, clock: Clock) -> Result<Self> {
        let readings = maps.shadow_counters()?;
        let packets = |disposition: Disposition| {
            let ended = |reading: &&Reading| reading.reason.disposition() == disposition;
            let packets = readings.iter().filter(ended);
            packets.map(|reading| reading.count.packets).sum()
        };
        Ok(Self {
            status,
            would_pass: packets(Disposition::Pass),
            would_drop: packets(Disposition::Drop),
            changes: Blocked::new(maps.shadow_flows()?, maps.shadow_unnoted()?, |flow| {
                Flow::changed(flow, names, clock)
            }),
        })
    }
}

impl Blocked {
    fn new(
        flows: Vec<BlockedFlow>,
        unnoted: Vec<Unnoted>,
        mut explain: impl FnMut(&BlockedFlow) -> Flow,
    ) -> Self {
        let suppressed = unnoted.into_iter();
        let known = flows.len();
        let shown = most_and_latest(flows).into_iter();
        Self {
            known,
            suppressed_packets: suppressed.map(|unnoted| unnoted.suppressed).sum(),
            flows: shown.map(|flow| explain(&flow).into()).collect(),
        }
    }
}

fn most_and_latest(mut flows: Vec<BlockedFlow>) -> Vec<BlockedFlow> {
    flows.sort_by_key(|flow| Reverse(flow.last));
    let latest: BTreeSet<_> = flows.iter().take(FLOWS).map(|flow| flow.key).collect();
    flows.sort_by_key(|flow| Reverse(flow.packets));
    let mut place = 0;
    flows.retain(|flow| {
        place += 1;
        place <= FLOWS || latest.contains(&flow.key)
    });
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use sccm_common::Reason;
    use sccm_common::blocked::BlockedKey;

    #[test]
    fn the_most_and_the_latest_are_listed_once() {
        let flow = |port: u16| BlockedFlow {
            key: BlockedKey {
                port,
                reason: Reason::NotAllowed as u8,
                ..BlockedKey::NONE
            },
            packets: u64::from(port),
            last: u32::from(if port < 20 { 1000 + port } else { port }),
            ..BlockedFlow::NONE
        };
        let listed = most_and_latest((0..200).map(flow).collect());
        let ports: Vec<u16> = listed.iter().map(|flow| flow.key.port).collect();
        let expected: Vec<u16> = (150..200).rev().chain((0..20).rev()).collect();
        assert_eq!(ports, expected, "those with the most, and late ones");
    }
}
