//! What a row of the catalog, or a rule, is about: numbers of some protocol.

mod current_branch;

use sccm_agent::catalog::{Link, PortSpec, Protocol, Service};

use super::{Addresses, OutRule, Publish, Rule, Site};

/// Whose numbers: ports, types, or protocols without either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TCP ports.
    Tcp,
    /// UDP ports.
    Udp,
    /// ICMP types, over IPv4.
    Icmp,
    /// ICMPv6 types, over IPv6.
    Icmpv6,
    /// Any other IP protocol.
    Ip,
}

impl Carrier {
    /// Its name in services and rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Ip => "ip",
        }
    }
}

/// Numbers from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Whose.
    pub carrier: Carrier,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Span {
    /// From one number to another.
    #[must_use]
    pub const fn new(carrier: Carrier, first: u16, last: u16) -> Self {
        Self {
            carrier,
            first,
            last,
        }
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn has(&self, carrier: Carrier, number: u16) -> bool {
        self.carrier == carrier && (self.first..=self.last).contains(&number)
    }

    /// What is left of this one without another.
    pub(super) fn without(self, other: Self) -> Vec<Self> {
        if self.carrier != other.carrier || self.last < other.first || other.last < self.first {
            return vec![self];
        }
        let of = |first, last| Self::new(self.carrier, first, last);
        let below = (self.first < other.first).then(|| of(self.first, other.first - 1));
        let above = (self.last > other.last).then(|| of(other.last + 1, self.last));
        below.into_iter().chain(above).collect()
    }
}

const ECHO: u16 = 8;
const ECHO_V6: u16 = 128;

impl Site {
    /// Whether a link is part of the policy.
    pub(super) fn applies(&self, link: &Link) -> bool {
        let opted = |feature: &String| self.enable.contains(feature);
        link.opt_in.as_ref().is_none_or(opted)
    }

    /// The services of a link, each with the numbers that it means here.
    pub(super) fn services<'a>(&self, link: &'a Link) -> Vec<(&'a str, Span)> {
        let mut spans = Vec::new();
        for row in &link.services {
            let named = self.row(link, row).into_iter();
            spans.extend(named.map(|span| (self.called(row, span), span)));
            if row.service == "ike" {
                let traversal = Span::new(Carrier::Udp, 4500, 4500);
                spans.push(("ipsec-nat-traversal", traversal));
                spans.push(("esp", Span::new(Carrier::Ip, 50, 50)));
                spans.push(("ah", Span::new(Carrier::Ip, 51, 51)));
            }
        }
        if self.rpc_dynamic_with_mapper && has_mapper_alone(link) {
            let (first, last) = self.dynamic();
            spans.push(("rpc-dynamic", Span::new(Carrier::Tcp, first, last)));
        }
        spans
    }

    /// Whether the edition is that of today.
    pub(super) fn is_current(&self) -> bool {
        self.edition.as_deref() == Some("current-branch")
    }

    /// A port that WSUS alone has is called after it (note 4 of 2007).
    fn called<'a>(&self, row: &'a Service, span: Span) -> &'a str {
        let is_wsus = match self.is_current() {
            true => current_branch::is_wsus(row),
            false => row.notes.contains(&4),
        };
        match row.service.as_str() {
            "http" if is_wsus && span.first != self.http_port.unwrap_or(80) => "wsus-http",
            "https" if is_wsus && span.first != self.https_port.unwrap_or(443) => "wsus-https",
            name => name,
        }
    }

    /// The ports that the endpoint mapper hands out.
    pub(super) fn dynamic(&self) -> (u16, u16) {
        self.rpc_range.as_deref().map_or((49152, 65535), pair)
    }

    fn row(&self, link: &Link, row: &Service) -> Vec<Span> {
        let carrier = match row.protocol {
            Protocol::Tcp => Carrier::Tcp,
            Protocol::Udp => Carrier::Udp,
            Protocol::Icmp | Protocol::Icmpv6 => return echo(row),
        };
        if self.is_current()
            && let Some(spans) = self.moved(link, row)
        {
            return spans
                .into_iter()
                .map(|(first, last)| Span::new(carrier, first, last))
                .collect();
        }
        let one = |port: u16| vec![Span::new(carrier, port, port)];
        let cites = |note| row.notes.contains(&note);
        let wsus_https = |http: u16| if http == 80 { 443 } else { http + 1 };
        match (row.service.as_str(), self.wsus_http_port) {
            _ if self.is_current() => {}
            ("http", _) if cites(2) => return one(self.http_port.unwrap_or(80)),
            ("https", _) if cites(2) => return one(self.https_port.unwrap_or(443)),
            ("http", Some(port)) if cites(4) => return one(port),
            ("https", Some(port)) if cites(4) => return one(wsus_https(port)),
            ("sql", _) => return one(self.sql_port.unwrap_or(1433)),
            ("wake-on-lan", _) => return one(self.wake_on_lan_port.unwrap_or(9)),
            ("amt-provisioning", _) => return one(self.amt_provisioning_port.unwrap_or(9971)),
            ("multicast", _) => {
                let range = self.multicast_range.as_deref();
                let (first, last) = range.map_or((63000, 64000), pair);
                return vec![Span::new(carrier, first, last)];
            }
            _ => {}
        }
        let ports = row.ports.iter().map(|port| match port {
            PortSpec::Range(range) => (*range.start(), *range.end()),
            PortSpec::Dynamic => self.dynamic(),
            PortSpec::EchoRequest => panic!("an echo request over {}", row.protocol),
        });
        ports
            .map(|(first, last)| Span::new(carrier, first, last))
            .collect()
    }
}

impl OutRule {
    /// As of a rule that lets in.
    pub(super) fn spans(&self) -> Vec<(String, Span)> {
        let rule = Rule {
            name: self.name.clone(),
            protocol: self.protocol.clone(),
            ports: self.ports.clone(),
            from: Addresses::any(),
            to: Vec::new(),
            reason: String::new(),
        };
        rule.spans()
    }
}

impl Rule {
    /// Each of its targets, with the name that a counter gives it.
    pub(super) fn spans(&self) -> Vec<(String, Span)> {
        let whole = |number| {
            let span = Span::new(Carrier::Ip, number, number);
            vec![(format!("ip/{number}"), span)]
        };
        let carrier = match self.protocol.as_str() {
            "gre" => return whole(47),
            "esp" => return whole(50),
            "ah" => return whole(51),
            "tcp" => Carrier::Tcp,
            "udp" => Carrier::Udp,
            "icmp" => Carrier::Icmp,
            "icmpv6" => Carrier::Icmpv6,
            "ip" => Carrier::Ip,
            other => panic!("a protocol {other:?}"),
        };
        let ports = self.ports.iter().map(|port| {
            let (first, last) = match (port.as_str(), carrier) {
                ("echo-request", Carrier::Icmp) => (ECHO, ECHO),
                ("echo-request", _) => (ECHO_V6, ECHO_V6),
                (numbers, _) => pair(numbers),
            };
            let name = match first == last {
                true => format!("{}/{first}", carrier.name()),
                false => format!("{}/{first}-{last}", carrier.name()),
            };
            (name, Span::new(carrier, first, last))
        });
        ports.collect()
    }
}

impl Publish {
    /// The port of the gateway.
    pub(super) fn span(&self) -> Span {
        let carrier = match self.protocol.as_str() {
            "tcp" => Carrier::Tcp,
            _ => Carrier::Udp,
        };
        let [port] = self.ports;
        Span::new(carrier, port, port)
    }

    /// The same, with the name that a counter gives it.
    pub(super) fn named(&self) -> (String, Span) {
        let [port] = self.ports;
        (format!("{}/{port}", self.protocol), self.span())
    }
}

fn echo(row: &Service) -> Vec<Span> {
    if !row.ports.contains(&PortSpec::EchoRequest) {
        return Vec::new();
    }
    match row.protocol {
        Protocol::Icmp => vec![Span::new(Carrier::Icmp, ECHO, ECHO)],
        _ => vec![Span::new(Carrier::Icmpv6, ECHO_V6, ECHO_V6)],
    }
}

fn has_mapper_alone(link: &Link) -> bool {
    let mut rows = link.services.iter();
    let mapper =
        |row: &Service| row.service == "rpc-endpoint-mapper" && row.protocol == Protocol::Tcp;
    rows.any(mapper)
        && !link
            .services
            .iter()
            .any(|row| row.ports.contains(&PortSpec::Dynamic))
}

/// `LOW-HIGH`, or one number.
fn pair(text: &str) -> (u16, u16) {
    let number = |text: &str| text.parse::<u16>().expect("a port");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    (number(first), number(last))
}
