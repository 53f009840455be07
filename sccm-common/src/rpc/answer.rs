//! The ports that an answer names.

mod activation;
mod bindings;
mod towers;

use super::bind::Syntax;
use super::bytes::{Bytes, Order};
use super::{Limits, MOST_PORTS, Refusal, Uuid, interface};

/// How a client was handed a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum How {
    /// `ept_map` of the endpoint mapper (DCE 1.1: RPC, Appendix O).
    Map = 0,
    /// RemoteGetClassObject and RemoteCreateInstance (MS-DCOM, 3.1.2.5.2.3).
    Activation,
    /// RemoteActivation of the first DCOM (MS-DCOM, 3.1.2.5.2.3.1).
    LegacyActivation,
    /// ResolveOxid (MS-DCOM, 3.1.2.5.1.1).
    ResolveOxid,
    /// ResolveOxid2 (MS-DCOM, 3.1.2.5.1.4).
    ResolveOxid2,
}

impl How {
    /// All ways, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Map,
        Self::Activation,
        Self::LegacyActivation,
        Self::ResolveOxid,
        Self::ResolveOxid2,
    ];

    /// The interface that answers; of `ept_map`, the answer names who listens.
    #[must_use]
    pub const fn answered_by(self) -> Option<Uuid> {
        match self {
            Self::Map => None,
            Self::Activation => Some(interface::ACTIVATOR),
            Self::LegacyActivation => Some(interface::LEGACY_ACTIVATION),
            Self::ResolveOxid | Self::ResolveOxid2 => Some(interface::RESOLVER),
        }
    }
}

/// A port that an answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Who listens there; of an activation, the interface that answered.
    pub interface: Uuid,
    /// The IPv4 address that the answer puts beside it. Nothing is opened there.
    pub host: Option<[u8; 4]>,
}

/// All TCP ports that an answer names, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    ports: [Port; MOST_PORTS],
    count: usize,
    /// The first port for which there was no room.
    beyond: Option<u16>,
}

impl Named {
    const NONE: Self = Self {
        ports: [Port {
            number: 0,
            interface: Uuid(0),
            host: None,
        }; MOST_PORTS],
        count: 0,
        beyond: None,
    };

    /// Reads a whole answer.
    ///
    /// # Errors
    /// It names no TCP port, or is not built as it should be.
    pub fn read(how: How, syntax: Syntax, order: Order, stub: &[u8]) -> Result<Self, Refusal> {
        let from = Bytes::new(stub, order);
        match how {
            How::Map => towers::read(from, syntax),
            How::Activation => activation::read(stub, order),
            How::LegacyActivation => activation::read_legacy(from),
            How::ResolveOxid => bindings::read_resolved(from, syntax, false),
            How::ResolveOxid2 => bindings::read_resolved(from, syntax, true),
        }
    }

    fn add(&mut self, port: Port) {
        if self.ports().iter().any(|known| known.number == port.number) {
            return;
        }
        match self.ports.get_mut(self.count) {
            Some(place) => {
                *place = port;
                self.count += 1;
            }
            None => self.beyond = self.beyond.or(Some(port.number)),
        }
    }

    /// One port, of string bindings that agree.
    fn one(number: u16, interface: Uuid) -> Self {
        let mut named = Self::NONE;
        named.add(Port {
            number,
            interface,
            host: None,
        });
        named
    }

    /// Those that may be opened if the [`Limits`] let them.
    #[must_use]
    pub fn ports(&self) -> &[Port] {
        self.ports.get(..self.count).unwrap_or(&[])
    }

    /// The first port that one answer may not open any more.
    #[must_use]
    pub const fn beyond(&self) -> Option<u16> {
        self.beyond
    }

    /// Each port with whether it may be opened.
    pub fn judged<'a>(
        &'a self,
        limits: &'a Limits<'_>,
    ) -> impl Iterator<Item = (Port, Result<(), Refusal>)> + 'a {
        let judge = |port: &Port| (*port, limits.judge(port.number));
        self.ports().iter().map(judge)
    }
}
