//! Under which names this server answers, and whose pages may ask it.
//!
//! A page on the Internet can let its own name point to 127.0.0.1 (DNS rebinding);
//! the browser then takes this server for a part of that page. The `Host` header
//! still carries the page's name. So only names that nobody else can own are
//! answered: loopback, the very address that the connection came in on, and what
//! `--http-host` says.

use anyhow::{Result, bail};
use axum::http::uri::Authority;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The name or address of a machine, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// A name in lower case.
    Name(String),
    /// An address; never an IPv4 address inside an IPv6 one.
    Address(IpAddr),
}

impl HostName {
    /// Reads the host of an authority, where IPv6 addresses are in brackets.
    fn of(authority: &Authority) -> Self {
        let host = authority.host();
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => host.parse().ok(),
        };
        match address {
            Some(address) => Self::Address(address.to_canonical()),
            None => Self::Name(host.to_ascii_lowercase()),
        }
    }
}

impl FromStr for HostName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(in_name) {
            bail!(
                "`{text}` is no name or address: write gateway.example.org or 192.0.2.1, \
                 without http:// and without a port"
            );
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// The names of this server.
#[derive(Debug)]
pub(super) struct Hosts(Vec<HostName>);

impl Hosts {
    pub(super) fn new(extra: &[HostName]) -> Self {
        let mut names = extra.to_vec();
        names.push(HostName::Name("localhost".to_owned()));
        Self(names)
    }

    /// Whether a client that reached `local` may call this server so.
    pub(super) fn know(&self, called: &Authority, local: IpAddr) -> bool {
        let host = HostName::of(called);
        let own = matches!(host, HostName::Address(ip) if ip.is_loopback() || ip == local);
        own || self.0.contains(&host)
    }
}

/// Whether a page of this `Origin` comes from the server that is called `called`.
/// The scheme is not compared: a proxy in front may speak TLS for this server.
pub(super) fn is_own_page(origin: &str, called: &Authority) -> bool {
    let page = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    page.is_some_and(|page| page.eq_ignore_ascii_case(called.as_str()))
}

#[cfg(test)]
mod tests;
