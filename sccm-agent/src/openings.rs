//! Which dynamic ports the RPC endpoint mapper handed to whom, learned from a capture.
//!
//! What an answer means is read in `sccm_common::rpc`. Here are the connections around it: segments
//! that come in any order, more than once, or not at all. Whatever is in doubt opens nothing, and is
//! told. A file without an end takes no memory without an end: connections, their bytes and what is
//! told have bounds.
//!
//! The running agent reads in the same way what the kernel program leaves unread ([`follow`]).

mod connection;
mod connections;
mod follow;
mod interfaces;
mod live;
mod segment;
mod stream;

pub use follow::{Listener, follow};
pub use interfaces::name_of;
pub use live::{Counted, Live, Open, Reader, by_label};

use crate::kernel::Said;
use connections::Connections;
use sccm_common::rpc::{How, Limits, Named, Refusal, Uuid};
use segment::Segment;
use serde::{Deserialize, Serialize, Serializer};
use std::mem;
use std::net::IpAddr;

/// Openings that are told, and refusals.
const MOST_TOLD: usize = 100_000;

/// A port that a mapper handed to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Opening {
    /// The system that answered, by the IP header: the port is opened there and nowhere else.
    pub server: IpAddr,
    /// The system that asked: the port is opened to it and nobody else.
    pub client: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// UUID of the interface that listens there; of the other two ways, of the interface that
    /// answered.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub interface: Uuid,
    /// What the client had asked.
    pub how: Way,
    /// The same, by its number.
    #[serde(skip)]
    pub asked: How,
    /// Number of the packet with which the answer was complete, as Wireshark counts.
    pub frame: u64,
}

/// What a client asks a mapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Way {
    /// Where an interface listens.
    EptMap,
    /// To make a DCOM object, or to find its class.
    Activation,
    /// Where the exporter of a DCOM object listens.
    ResolveOxid,
    /// Nothing that was seen: a connection to the port is older than the tracking.
    Connected,
}

impl Way {
    /// As JSON has it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EptMap => "ept_map",
            Self::Activation => "activation",
            Self::ResolveOxid => "resolve_oxid",
            Self::Connected => "connected",
        }
    }
}

impl From<How> for Way {
    fn from(how: How) -> Self {
        match how {
            How::Map => Self::EptMap,
            How::Activation | How::LegacyActivation => Self::Activation,
            How::ResolveOxid | How::ResolveOxid2 => Self::ResolveOxid,
        }
    }
}

/// Something on a connection to a mapper that opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refused {
    /// The system with the mapper.
    pub server: IpAddr,
    /// The system that asked it.
    pub client: IpAddr,
    /// The port that stays closed, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Why, by a label of `docs/rpc.md`.
    #[serde(serialize_with = "as_label")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub reason: Refusal,
    /// Number of the packet, as Wireshark counts.
    pub frame: u64,
}

/// What was learned from a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Learned {
    /// What would be opened, in the order of the file; what is answered again stands there again.
    pub openings: Vec<Opening>,
    /// What opens nothing, in the order of the file.
    pub refused: Vec<Refused>,
    /// How many more there were: of each list, the first 100,000 are told.
    pub left_out: u64,
}

/// An interface, as JSON has it.
///
/// # Errors
/// The writer fails.
pub fn as_text<S: Serializer>(uuid: &Uuid, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(uuid)
}

fn as_label<S: Serializer>(reason: &Refusal, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason.label())
}

/// The bounds for ports, as [`Limits`] has them.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// The dynamic ranges.
    pub ranges: Vec<(u16, u16)>,
    /// Ports that belong to other services.
    pub known: Vec<(u16, u16)>,
}

/// Learns from frames, one after the other.
#[derive(Debug, Default)]
pub struct Learner {
    bounds: Bounds,
    connections: Connections,
    learned: Learned,
}

/// Where and when something happens.
#[derive(Debug, Clone, Copy)]
struct Scene {
    server: IpAddr,
    client: IpAddr,
    frame: u64,
}

impl Learner {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Other bounds, from now on.
    fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// The next frame: an Ethernet frame, of which the end may be cut off.
    pub fn see(&mut self, number: u64, frame: &[u8]) {
        if let Some(segment) = Segment::of(frame) {
            self.see_segment(number, &segment);
        }
    }

    /// The next segment, as the kernel program has handed it over, and what is learned from it.
    fn hear(&mut self, number: u64, said: &Said) -> Learned {
        if let Some(segment) = Segment::of_said(said) {
            self.see_segment(number, &segment);
        }
        mem::take(&mut self.learned)
    }

    fn see_segment(&mut self, number: u64, segment: &Segment<'_>) {
        let mut teller = Teller {
            bounds: &self.bounds,
            learned: &mut self.learned,
            scene: Scene {
                server: segment.server.ip(),
                client: segment.client.ip(),
                frame: number,
            },
        };
        self.connections.see(number, segment, &mut teller);
    }

    /// What was learned.
    #[must_use]
    pub fn finish(self) -> Learned {
        self.learned
    }
}

/// Takes down what happens.
struct Teller<'a> {
    bounds: &'a Bounds,
    learned: &'a mut Learned,
    scene: Scene,
}

impl Teller<'_> {
    fn refuse(&mut self, reason: Refusal) {
        self.refuse_port(None, reason);
    }

    fn refuse_port(&mut self, port: Option<u16>, reason: Refusal) {
        let Scene {
            server,
            client,
            frame,
        } = self.scene;
        let refused = Refused {
            server,
            client,
            port,
            reason,
            frame,
        };
        let has_room = self.learned.refused.len() < MOST_TOLD;
        match has_room {
            true => self.learned.refused.push(refused),
            false => self.learned.left_out += 1,
        }
    }

    fn open(&mut self, how: How, named: &Named) {
        let Scene {
            server,
            client,
            frame,
        } = self.scene;
        let limits = Limits {
            ranges: &self.bounds.ranges,
            known: &self.bounds.known,
        };
        for (port, judged) in named.judged(&limits) {
            if let Err(reason) = judged {
                self.refuse_port(Some(port.number), reason);
                continue;
            }
            let elsewhere = port.host.map(IpAddr::from);
            if server.is_ipv4() && elsewhere.is_some_and(|host| host != server) {
                self.refuse_port(Some(port.number), Refusal::AnotherHost);
            }
            let opening = Opening {
                server,
                client,
                port: port.number,
                interface: port.interface,
                how: how.into(),
                asked: how,
                frame,
            };
            let has_room = self.learned.openings.len() < MOST_TOLD;
            match has_room {
                true => self.learned.openings.push(opening),
                false => self.learned.left_out += 1,
            }
        }
        if let Some(port) = named.beyond() {
            self.refuse_port(Some(port), Refusal::TooManyPorts);
        }
    }
}

#[cfg(test)]
mod tests;
