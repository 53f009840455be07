//! Ports that belong together, each with the rule that holds between them.

use super::port;
use std::{num::NonZeroU16, ops::RangeInclusive, str::FromStr};

/// The most instances that a cloud management gateway can have.
const MOST_INSTANCES: u16 = 16;

/// The first port above the well-known ones.
const FIRST_FREE: u16 = 1024;

/// A range of ports that services pick from, 1024 or above: a lower one would
/// open the well-known ports of every other service on the computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl PortRange {
    /// Dynamic RPC ports since Windows Vista and Server 2008. Earlier systems
    /// used 1025-5000.
    pub const RPC: Self = Self {
        low: 49152,
        high: 65535,
    };

    /// The document's multicast ports.
    pub const MULTICAST: Self = Self {
        low: 63000,
        high: 64000,
    };
}

impl FromStr for PortRange {
    type Err = String;

    /// `LOW-HIGH`, both included. One port is `LOW-LOW`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once('-').ok_or_else(|| {
            format!("`{text}` is not a range: write LOW-HIGH, such as 49152-65535")
        })?;
        let (low, high) = (parse_port(low)?.get(), parse_port(high)?.get());
        let first = low.min(high);
        if first < FIRST_FREE {
            return Err(format!(
                "the range begins at {first}, among the well-known ports below {FIRST_FREE}: \
                 it would open every service there; begin at {FIRST_FREE} or above"
            ));
        }
        if low > high {
            return Err(format!("the range is reversed: write {high}-{low}"));
        }
        Ok(Self { low, high })
    }
}

impl From<PortRange> for RangeInclusive<u16> {
    fn from(range: PortRange) -> Self {
        range.low..=range.high
    }
}

/// The ports of a web site, which must differ: one port cannot speak both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpPorts {
    http: NonZeroU16,
    https: NonZeroU16,
}

impl HttpPorts {
    /// # Errors
    /// If both are the same port.
    pub fn new(http: NonZeroU16, https: NonZeroU16) -> Result<Self, String> {
        if http == https {
            return Err(format!(
                "HTTP and HTTPS cannot both use port {http}: change http-port or https-port"
            ));
        }
        Ok(Self { http, https })
    }

    /// TCP, plain.
    #[must_use]
    pub fn http(self) -> NonZeroU16 {
        self.http
    }

    /// TCP, with TLS.
    #[must_use]
    pub fn https(self) -> NonZeroU16 {
        self.https
    }
}

impl Default for HttpPorts {
    fn default() -> Self {
        Self {
            http: port(80),
            https: port(443),
        }
    }
}

/// The ports of Windows Server Update Services. The document couples them: HTTP 80
/// goes with HTTPS 443, and any other HTTP port with the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WsusPorts {
    http: NonZeroU16,
    https: NonZeroU16,
}

impl WsusPorts {
    /// The pair for an HTTP port.
    ///
    /// # Errors
    /// For port 65535, which no port comes after.
    pub fn with_http(http: NonZeroU16) -> Result<Self, String> {
        let https = if http.get() == 80 {
            port(443)
        } else {
            http.checked_add(1).ok_or(
                "WSUS cannot use HTTP port 65535: its HTTPS port is the one after it, and there is \
                 none",
            )?
        };
        Ok(Self { http, https })
    }

    /// The pair as given, if the two belong together.
    ///
    /// # Errors
    /// If it does not; the message says which HTTPS port it must be.
    pub fn new(http: NonZeroU16, https: NonZeroU16) -> Result<Self, String> {
        let pair = Self::with_http(http)?;
        if pair.https != https {
            return Err(format!(
                "WSUS with HTTP port {http} must use HTTPS port {}, not {https}: HTTP 80 goes \
                 with HTTPS 443, and any other HTTP port with the port after it",
                pair.https
            ));
        }
        Ok(pair)
    }

    /// TCP, plain.
    #[must_use]
    pub fn http(self) -> NonZeroU16 {
        self.http
    }

    /// TCP, with TLS.
    #[must_use]
    pub fn https(self) -> NonZeroU16 {
        self.https
    }
}

/// Reads one port.
///
/// # Errors
/// Anything but a whole number from 1 to 65535.
pub(crate) fn parse_port(text: &str) -> Result<NonZeroU16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a port: give a whole number from 1 to 65535"))
}

/// Reads how many instances a cloud management gateway has.
///
/// # Errors
/// Anything but a whole number from 1 to 16.
pub(crate) fn parse_instances(text: &str) -> Result<NonZeroU16, String> {
    let number = text.parse().ok();
    number
        .filter(|number: &NonZeroU16| number.get() <= MOST_INSTANCES)
        .ok_or_else(|| {
            format!(
                "`{text}` is no number of instances: give a whole number from 1 to {MOST_INSTANCES}"
            )
        })
}
