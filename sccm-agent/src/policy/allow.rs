//! `--allow`, `--allow-out`: ports that this site needs and the vendor's table does not know.

use super::Rule;
use super::target::{ICMP_ECHO_REQUEST, ICMPV6_ECHO_REQUEST, Target};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A site-specific port, of everybody's or of one prefix's.
///
/// Written `tcp/22`, `udp/5000-5010`, `icmp/echo-request`, `icmpv6/128`, `gre`,
/// `esp`, `ah` or `ip/89`, and optionally `@192.0.2.0/24` behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// What may be opened.
    pub target: Target,
    /// By whom, or to whom; `None` is everybody.
    pub from: Option<IpNet>,
}

const FORMS: &str = "write it like tcp/22, udp/5000-5010, icmp/echo-request, gre or ip/89, \
                     and @192.0.2.0/24 behind it for one source";

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, from) = match text.split_once('@') {
            Some((target, from)) => (target, Some(prefix(from)?)),
            None => (text, None),
        };
        Ok(Self {
            target: parse_target(target)?,
            from,
        })
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        match self.from {
            Some(from) => write!(f, "@{from}"),
            None => Ok(()),
        }
    }
}

impl From<&Allow> for Rule {
    /// A rule without a word of its own: it is called what it lets in.
    fn from(allow: &Allow) -> Self {
        Self {
            name: allow.to_string(),
            targets: vec![allow.target.clone()],
            from: allow.from.into_iter().collect(),
            to: Vec::new(),
            internet: false,
            reason: String::new(),
            tracked: false,
        }
    }
}

impl Allow {
    /// The rule that lets protected systems open it to the prefix.
    #[must_use]
    pub fn outbound(&self) -> Rule {
        let Rule { from, to, .. } = Rule::from(self);
        Rule {
            from: to,
            to: from,
            ..Rule::from(self)
        }
    }
}

pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    match text {
        "gre" => return Ok(Target::Protocol(47)),
        "esp" => return Ok(Target::Protocol(50)),
        "ah" => return Ok(Target::Protocol(51)),
        _ => {}
    }
    let (protocol, rest) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` names no port: {FORMS}"))?;
    match (protocol, rest) {
        ("tcp", ports) => Ok(Target::Tcp(range(ports)?)),
        ("udp", ports) => Ok(Target::Udp(range(ports)?)),
        ("icmp", "echo-request") => Ok(Target::Icmp(ICMP_ECHO_REQUEST)),
        ("icmpv6", "echo-request") => Ok(Target::Icmpv6(ICMPV6_ECHO_REQUEST)),
        ("icmp" | "icmpv6", "echo" | "ping") => Err(format!(
            "`{rest}` is no type of {protocol}: write echo-request, or a number"
        )),
        ("icmp", kind) => Ok(Target::Icmp(number(kind, "ICMP type")?)),
        ("icmpv6", kind) => Ok(Target::Icmpv6(number(kind, "ICMPv6 type")?)),
        ("ip", protocol) => match number(protocol, "IP protocol")? {
            1 | 6 | 17 | 58 => Err(format!(
                "ip/{protocol} would let in all of a protocol that has ports or types: \
                 name them, as in tcp/22"
            )),
            number => Ok(Target::Protocol(number)),
        },
        _ => Err(format!("unknown protocol `{protocol}`: {FORMS}")),
    }
}

fn range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let port = |text: &str| {
        text.parse::<NonZeroU16>()
            .map(NonZeroU16::get)
            .map_err(|_| format!("`{text}` is not a port from 1 to 65535"))
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (port(low)?, port(high)?);
    if low > high {
        return Err(format!("port range {text} is reversed: write {high}-{low}"));
    }
    Ok(low..=high)
}

fn number(text: &str, what: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an {what} from 0 to 255"))
}

pub(crate) fn prefix(text: &str) -> Result<IpNet, String> {
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is not an address or prefix such as 192.0.2.0/24"))?;
    if parsed.trunc() != parsed {
        return Err(format!(
            "{parsed} has bits set behind its prefix length: write {} or {}",
            parsed.trunc(),
            parsed.addr()
        ));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "tcp/22",
            "udp/5000-5010",
            "tcp/22@192.0.2.0/24",
            "tcp/22@2001:db8::/32",
            "icmp/13",
            "ip/89",
        ] {
            assert_eq!(text.parse::<Allow>().unwrap().to_string(), text);
        }
        assert_eq!("gre".parse::<Allow>().unwrap().target, Target::Protocol(47));
        assert_eq!(
            "icmp/echo-request".parse::<Allow>().unwrap().target,
            Target::Icmp(8)
        );
        let host = "tcp/22@192.0.2.1".parse::<Allow>().unwrap();
        assert_eq!(host.from, Some("192.0.2.1/32".parse().unwrap()));
    }

    #[test]
    fn what_goes_out_goes_to_the_prefix() {
        let allow: Allow = "udp/53@192.0.2.53".parse().unwrap();
        let rule = allow.outbound();
        assert_eq!((rule.from.len(), rule.to), (0, Rule::from(&allow).from));
        assert_eq!(rule.name, "udp/53@192.0.2.53/32");
    }

    #[test]
    fn nonsense_is_refused_with_a_way_out() {
        for (text, hint) in [
            ("tcp", "names no port"),
            ("tcp/0", "1 to 65535"),
            ("tcp/65536", "1 to 65535"),
            ("tcp/90-80", "write 80-90"),
            ("sctp/80", "unknown protocol"),
            ("ip/6", "name them"),
            ("icmp/256", "0 to 255"),
            ("icmp/echo", "write echo-request"),
            ("icmpv6/ping", "write echo-request"),
            ("tcp/22@192.0.2.1/24", "write 192.0.2.0/24 or 192.0.2.1"),
            ("tcp/22@somewhere", "not an address"),
            ("tcp/22@", "not an address"),
            ("", "names no port"),
        ] {
            let error = text.parse::<Allow>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
