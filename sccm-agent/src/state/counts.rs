//! The counters of a snapshot: what people look at, without the services.
//!
//! A script's numbers are exact up to 2^53, which a fast card's bytes pass in days. So
//! counters are JSON strings of decimal digits.

use crate::kernel::Reading;
use sccm_common::Disposition;
use sccm_common::counter::Direction;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Packets of one interface that went one way and ended alike, since the maps were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The interface.
    pub interface: String,
    /// `inbound` or `outbound`, seen from the protected system.
    pub direction: &'static str,
    /// `passed`, `dropped`, or `would-drop`: let pass in observe mode.
    pub outcome: &'static str,
    /// Label of the reason.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub why: &'static str,
    /// Packets.
    #[serde(serialize_with = "as_text")]
    pub packets: u64,
    /// Bytes of them.
    #[serde(serialize_with = "as_text")]
    pub bytes: u64,
}

/// The counters without their services, in the order of interfaces, directions and reasons.
pub fn counts(readings: &[Reading]) -> Vec<Count> {
    let mut counts = BTreeMap::new();
    for reading in readings {
        let key = (
            &reading.interface,
            reading.direction,
            reading.observing,
            reading.reason,
        );
        let count = counts.entry(key).or_insert_with(|| Count {
            interface: reading.interface.clone(),
            direction: match reading.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            outcome: match (reading.reason.disposition(), reading.observing) {
                (Disposition::Pass, _) => "passed",
                (Disposition::Drop, false) => "dropped",
                (Disposition::Drop, true) => "would-drop",
            },
            reason: reading.reason.label(),
            why: reading.reason.explanation(),
            packets: 0,
            bytes: 0,
        });
        count.packets += reading.count.packets;
        count.bytes += reading.count.bytes;
    }
    counts.into_values().collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(super) fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ServiceName;
    use sccm_common::Reason;
    use sccm_common::counter::Counter;

    #[test]
    fn services_add_up_and_numbers_keep_all_their_digits() {
        let reading = |reason, observing, service: &str, bytes| Reading {
            interface: "eth0".to_owned(),
            direction: Direction::Inbound,
            observing,
            reason,
            service: Some(ServiceName {
                protocol: "tcp".to_owned(),
                service: service.to_owned(),
            }),
            peer: None,
            count: Counter { packets: 1, bytes },
        };
        // One more than a script could tell apart from its neighbours.
        let large = (1 << 53) + 1;
        let counts = counts(&[
            reading(Reason::Service, false, "http", 60),
            reading(Reason::NotAllowed, false, "sql", large),
            reading(Reason::NotAllowed, false, "smb", 2),
            reading(Reason::NotAllowed, true, "smb", 7),
        ]);
        let json = serde_json::to_value(counts).unwrap();
        let told = json.as_array().unwrap().iter().map(|count| {
            let text = |key: &str| count[key].as_str().unwrap().to_owned();
            [
                text("outcome"),
                text("reason"),
                text("packets"),
                text("bytes"),
            ]
        });
        let told: Vec<_> = told.collect();
        assert_eq!(
            told,
            [
                ["passed", "service", "1", "60"],
                ["dropped", "not-allowed", "2", "9007199254740995"],
                ["would-drop", "not-allowed", "1", "7"],
            ]
        );
    }
}
