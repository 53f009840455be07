//! What an ICMP error quotes (RFC 792; RFC 4443, 2.4 and 3), and whether that can have gone this
//! way: a flow that a protected system opened, a service that the peer may use, a TFTP transfer
//! (`docs/policy.md`, "ICMP errors").

use std::net::IpAddr;

use sccm_common::Reason;
use sccm_tests::reading::{Carrier, Outbound, Way};

use super::Oracle;
use super::judge::is_group;
use super::parse::Seen;
use super::state::Flow;

/// What an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Flow,
    Service,
    Nothing,
}

impl Oracle<'_> {
    /// The reason for an error that is about no flow, or goes out.
    pub(super) fn icmp_error(&self, about: About) -> Reason {
        let passes_all = self.setting.document.site.pass_unrelated_icmp_errors;
        match self.unless_removed(Reason::IcmpError) {
            Reason::IcmpError if about == About::Nothing && !passes_all => {
                Reason::IcmpErrorUnrelated
            }
            reason => reason,
        }
    }

    /// Can the protected end `local` have sent what comes back to it?
    pub(super) fn about_sent(&self, packet: &Seen<'_>, local: Option<IpAddr>) -> About {
        let Some(quote) = Quote::of(packet) else {
            return About::Nothing;
        };
        let (here, there) = (quote.from, quote.to);
        // A protected system opens an echo by its request.
        let of_flow = match quote.what {
            What::Echo { request, .. } => request,
            What::OtherIcmp(_) => false,
            What::Ports(_) | What::Other => true,
        };
        let (here_port, there_port) = quote.ports();
        let flow = Flow::new(here, there, quote.protocol, (here_port, there_port));
        if of_flow && self.is_alive(&flow) || self.is_of_transfer(&quote) {
            return About::Flow;
        }
        let may = |way, what| self.rights.may(way, local, there, what);
        let answers = match quote.what {
            What::Ports((from, _)) => may(Way::In, quote.service(from)),
            What::Echo { request: false, .. } => may(Way::In, quote.echo_request()),
            What::Other => may(Way::In, quote.service(0)),
            What::Echo { request: true, .. } | What::OtherIcmp(_) => false,
        };
        // What goes to a group is not remembered.
        let free = self.mode() == Outbound::Track && !self.rights.is_unlisted(local);
        let streams = is_group(there) && (free || may(Way::Out, quote.service(there_port)));
        match self.mode() == Outbound::Off || answers || streams {
            true => About::Service,
            false => About::Nothing,
        }
    }

    /// Can a protected system have received what somebody inside tells of?
    pub(super) fn about_received(&self, packet: &Seen<'_>) -> About {
        let Some(quote) = Quote::of(packet) else {
            return About::Nothing;
        };
        let (there, here) = (quote.from, quote.to);
        // Of what the gateway receives, it tells itself.
        if self.rights.is_own(Some(here)) {
            return About::Nothing;
        }
        let of_flow = match quote.what {
            What::Echo { request, .. } => !request,
            What::OtherIcmp(_) => false,
            What::Ports(_) | What::Other => true,
        };
        let (there_port, here_port) = quote.ports();
        let flow = Flow::new(here, there, quote.protocol, (here_port, there_port));
        if of_flow && self.is_alive(&flow) || self.is_of_transfer(&quote) {
            return About::Flow;
        }
        let asked = quote.service(here_port);
        match self.rights.may(Way::In, Some(here), there, asked) {
            true => About::Service,
            false => About::Nothing,
        }
    }

    fn is_of_transfer(&self, quote: &Quote) -> bool {
        match (quote.protocol, quote.what) {
            (17, What::Ports((from, to))) => self.has_transfer((quote.from, from), (quote.to, to)),
            _ => false,
        }
    }
}

/// What eight bytes of a transport header say.
#[derive(Debug, Clone, Copy)]
enum What {
    Ports((u16, u16)),
    Echo {
        request: bool,
        identifier: u16,
    },
    /// Another type of ICMP.
    OtherIcmp(u8),
    Other,
}

/// A quoted packet.
struct Quote {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    what: What,
}

impl Quote {
    /// Reads the quote by the family of the packet that carries it, as far as that packet reaches.
    /// `None`: nothing that a single system sent to get this error.
    fn of(packet: &Seen<'_>) -> Option<Self> {
        let quoted = packet.rest;
        let (from, to, protocol, rest) = match packet.is_v4() {
            true => v4(quoted)?,
            false => v6(quoted)?,
        };
        let header: [u8; 8] = rest.get(..8)?.try_into().ok()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let kind = header[0];
        let echo = |request| What::Echo {
            request,
            identifier: word(4),
        };
        let what = match (protocol, kind) {
            (6 | 17, _) => What::Ports((word(0), word(2))),
            (1, 8) | (58, 128) => echo(true),
            (1, 0) | (58, 129) => echo(false),
            // No error is about an error.
            (1, 3 | 11 | 12) if packet.is_v4() => return None,
            (58, 1..=4) if !packet.is_v4() => return None,
            (1 | 58, _) => What::OtherIcmp(kind),
            _ => What::Other,
        };
        let to_sender = from == packet.destination && !is_group(from);
        to_sender.then_some(Self {
            from,
            to,
            protocol,
            what,
        })
    }

    /// From and to. An echo request goes to its identifier, and the reply comes from there.
    fn ports(&self) -> (u16, u16) {
        match self.what {
            What::Ports(ports) => ports,
            What::Echo {
                request: true,
                identifier,
            } => (0, identifier),
            What::Echo { identifier, .. } => (identifier, 0),
            What::OtherIcmp(_) | What::Other => (0, 0),
        }
    }

    /// What it asks of who has this port.
    fn service(&self, port: u16) -> (Carrier, u16) {
        let kind = match self.what {
            What::OtherIcmp(kind) => kind.into(),
            What::Echo { request, .. } => match (self.protocol, request) {
                (1, true) => 8,
                (1, false) => 0,
                (_, true) => 128,
                (_, false) => 129,
            },
            What::Ports(_) | What::Other => 0,
        };
        match (self.protocol, self.from.is_ipv4()) {
            (6, _) => (Carrier::Tcp, port),
            (17, _) => (Carrier::Udp, port),
            (1, true) => (Carrier::Icmp, kind),
            (58, false) => (Carrier::Icmpv6, kind),
            (protocol, _) => (Carrier::Ip, protocol.into()),
        }
    }

    /// What an echo reply is the answer of.
    fn echo_request(&self) -> (Carrier, u16) {
        match self.service(0) {
            (Carrier::Icmp, _) => (Carrier::Icmp, 8),
            (Carrier::Icmpv6, _) => (Carrier::Icmpv6, 128),
            other => other,
        }
    }
}

type Network<'a> = (IpAddr, IpAddr, u8, &'a [u8]);

fn v4(quoted: &[u8]) -> Option<Network<'_>> {
    let header: [u8; 20] = quoted.get(..20)?.try_into().ok()?;
    let size = usize::from(header[0] & 15) * 4;
    let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    if header[0] >> 4 != 4 || size < 20 || offset != 0 {
        return None;
    }
    let address = |at: usize| {
        <[u8; 4]>::try_from(&header[at..at + 4])
            .ok()
            .map(IpAddr::from)
    };
    Some((address(12)?, address(16)?, header[9], quoted.get(size..)?))
}

fn v6(quoted: &[u8]) -> Option<Network<'_>> {
    let header: [u8; 40] = quoted.get(..40)?.try_into().ok()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| {
        <[u8; 16]>::try_from(&header[at..at + 16])
            .ok()
            .map(IpAddr::from)
    };
    let (mut next, mut rest) = (header[6], &quoted[40..]);
    // No more than six in the packets that are judged.
    for walked in 0.. {
        let size = match (next, rest.get(..4)) {
            (0 | 43 | 44 | 60, None) => return None,
            (0 | 43 | 44 | 60, _) if walked == 6 => return None,
            (44, Some(start)) if u16::from_be_bytes([start[2], start[3]]) >> 3 != 0 => return None,
            (44, _) => 8,
            (0 | 43 | 60, Some(start)) => 8 + usize::from(start[1]) * 8,
            _ => break,
        };
        next = rest[0];
        rest = rest.get(size..)?;
    }
    Some((address(8)?, address(24)?, next, rest))
}
