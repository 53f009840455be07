//! A port that was handed out, as a row of the list.

use crate::kernel::KnownOpening;
use crate::openings::{Reader, Way, as_text};
use anyhow::{Context as _, Result, ensure};
use sccm_common::rpc::{How, Uuid};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::net::IpAddr;

/// A dynamic port that an endpoint mapper of RPC has handed out, and that is open to one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HandedOut {
    /// The system that the port was handed to.
    pub client: IpAddr,
    /// The system that handed it out, and that listens there.
    pub server: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// UUID of the interface that listens there; of the other ways than `ept_map`, of the interface
    /// that answered.
    #[serde(serialize_with = "as_text", deserialize_with = "of_text")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub interface: Uuid,
    /// What the client had asked.
    pub how: Way,
    /// Who has read the answer.
    pub by: Reader,
    /// Seconds since the port was handed out last, or began to be tracked.
    pub age_seconds: u64,
    /// Seconds since a connection used it; null if none has.
    pub used_seconds: Option<u64>,
}

impl HandedOut {
    pub(super) fn new(one: &KnownOpening) -> Self {
        Self {
            client: one.client,
            server: one.server,
            port: one.port,
            interface: one.interface,
            how: one.how.map_or(Way::Connected, Way::from),
            by: Reader::new(one.by_agent),
            age_seconds: one.age,
            used_seconds: one.used,
        }
    }

    /// As a table has it, so many seconds after the list was made.
    pub(super) fn after(&self, seconds: u64) -> Result<KnownOpening> {
        ensure!(
            self.client.is_ipv4() == self.server.is_ipv4(),
            "{} and {} are of two families",
            self.client,
            self.server
        );
        Ok(KnownOpening {
            client: self.client,
            server: self.server,
            port: self.port,
            interface: self.interface,
            how: self.asked()?,
            by_agent: self.by == Reader::Agent,
            age: self.age_seconds.saturating_add(seconds),
            used: self.used_seconds.map(|used| used.saturating_add(seconds)),
        })
    }

    /// Of the ways with one name, the one that this interface answers.
    fn asked(&self) -> Result<Option<How>> {
        if self.how == Way::Connected {
            return Ok(None);
        }
        let mut ways = How::ALL.into_iter();
        let is_it = |how: &How| {
            let answers = how.answered_by().unwrap_or(self.interface);
            Way::from(*how) == self.how && answers == self.interface
        };
        let (label, interface) = (self.how.label(), self.interface);
        let how = ways.find(is_it);
        how.map(Some)
            .with_context(|| format!("{interface} does not answer {label}"))
    }
}

fn of_text<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
    String::deserialize(from)?
        .parse()
        .map_err(de::Error::custom)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sccm_common::rpc::interface;
    use serde_json::json;

    pub(in crate::flows) fn handed_out() -> HandedOut {
        HandedOut {
            client: "192.0.2.10".parse().unwrap(),
            server: "198.51.100.20".parse().unwrap(),
            port: 49_700,
            interface: interface::RESOLVER,
            how: Way::ResolveOxid,
            by: Reader::Agent,
            age_seconds: 50,
            used_seconds: Some(20),
        }
    }

    #[test]
    fn a_port_is_read_as_it_was_written() {
        for how in How::ALL.map(Some).into_iter().chain([None]) {
            for (by_agent, used) in [(false, None), (true, Some(3))] {
                let other = Uuid(7);
                let known = KnownOpening {
                    how,
                    by_agent,
                    used,
                    interface: how.and_then(How::answered_by).unwrap_or(other),
                    ..handed_out().after(0).unwrap()
                };
                let text = serde_json::to_string(&HandedOut::new(&known)).unwrap();
                let read: HandedOut = serde_json::from_str(&text).unwrap();
                // One interface answers both, and people call them the same.
                let how = match how {
                    Some(How::ResolveOxid2) => Some(How::ResolveOxid),
                    how => how,
                };
                assert_eq!(read.after(0).unwrap(), KnownOpening { how, ..known });
            }
        }
    }

    #[test]
    fn an_interface_that_answers_something_else_is_a_mistake() {
        let wrong = HandedOut {
            how: Way::Activation,
            ..handed_out()
        };
        let error = wrong.after(0).unwrap_err().to_string();
        let said = "99fcfec4-5260-101b-bbcb-00aa0021347a does not answer activation";
        assert_eq!(error, said);
        let mut list = serde_json::to_value(handed_out()).unwrap();
        list["interface"] = json!("a name");
        let error = serde_json::from_value::<HandedOut>(list).unwrap_err();
        assert!(error.to_string().contains("no UUID"), "{error}");
    }
}
