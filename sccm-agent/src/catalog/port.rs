//! One entry of a service's `ports`, as the document writes it.

use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU16, ops::RangeInclusive, str::FromStr};

/// A port, a range of ports, or the stand-in for what only the site knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub enum PortSpec {
    /// `"80"` or `"63000-64000"`: ports from 1 to 65535.
    Range(RangeInclusive<u16>),
    /// `"dynamic"`: the site's range of dynamic RPC ports.
    Dynamic,
    /// `"echo-request"`: ICMP, which has no ports.
    EchoRequest,
}

impl FromStr for PortSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| {
            text.parse::<NonZeroU16>()
                .map(NonZeroU16::get)
                .map_err(|_| format!("`{text}` is not a port from 1 to 65535"))
        };
        match text {
            "dynamic" => return Ok(Self::Dynamic),
            "echo-request" => return Ok(Self::EchoRequest),
            _ => {}
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high) = (port(low)?, port(high)?);
        if low > high {
            return Err(format!("port range `{text}` is reversed"));
        }
        Ok(Self::Range(low..=high))
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) if range.start() == range.end() => write!(f, "{}", range.start()),
            Self::Range(range) => write!(f, "{}-{}", range.start(), range.end()),
            Self::Dynamic => f.write_str("dynamic"),
            Self::EchoRequest => f.write_str("echo-request"),
        }
    }
}

impl TryFrom<String> for PortSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortSpec> for String {
    fn from(port: PortSpec) -> Self {
        port.to_string()
    }
}
