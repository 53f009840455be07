//! Reads a policy the slow way: every rule and every link anew for each question.

use std::net::IpAddr;

use ipnet::IpNet;
use sccm_agent::catalog::{Catalog, Direction, Link};
use sccm_agent::policy::Surroundings;

use super::{Carrier, Document, Ends, Entry, OutRule, Publish, Rule, Span};

/// A packet's way, as far as rights are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the peer to the protected system.
    In,
    /// From the protected system to the peer.
    Out,
}

/// A gateway, whatever its addresses; nobody has this one.
pub const THIS_MACHINE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(
    0x100, 0, 0, 0, 0xdead, 0xbeef, 0xfeed, 1,
));

/// The rows of the ports that the endpoint mapper of RPC hands out.
const RPC_DYNAMIC: &str = "rpc-dynamic";

/// What answers.
pub struct Interpreter<'a> {
    /// The vendor's table.
    pub catalog: &'a Catalog,
    /// The policy.
    pub document: &'a Document,
    /// The gateway's own addresses.
    pub own: &'a [IpAddr],
    /// What is known of the machine.
    pub machine: &'a Surroundings,
}

impl Interpreter<'_> {
    /// All that may be opened this way. `local` is the protected end; `None` is an address that
    /// nothing names.
    #[must_use]
    pub fn open(&self, way: Way, local: Option<IpAddr>, peer: IpAddr) -> Vec<Span> {
        let document = self.document;
        if self.is_own(local) {
            return match way {
                Way::Out => everything(),
                Way::In => {
                    let mut open = ruled(&document.management.allow, None, peer);
                    open.extend(self.published(peer));
                    open
                }
            };
        }
        let to_gateway = || {
            let mut rules = ruled(&document.management.allow, None, peer);
            rules.retain(|span| span.carrier != Carrier::Tcp);
            rules.into_iter().flat_map(without_echo)
        };
        if local.is_some_and(|local| self.ends_here(local)) {
            return match way {
                Way::In => to_gateway().collect(),
                Way::Out => Vec::new(),
            };
        }
        let for_all = local.is_some_and(|local| self.stands_for_many(local));
        let entries = match for_all {
            true => (0..document.protect.len()).collect(),
            false => self.entries(local),
        };
        match way {
            Way::In if for_all => {
                let mut open = self.linked(&entries, Way::In, peer);
                open.extend(self.streams(&entries, peer));
                open.retain(|span| span.carrier == Carrier::Udp);
                let mut rules = ruled(&document.allow, Some(local), peer);
                rules.retain(|span| span.carrier != Carrier::Tcp);
                open.extend(rules.into_iter().flat_map(without_echo));
                open.extend(to_gateway());
                open
            }
            Way::In if entries.is_empty() => Vec::new(),
            Way::In => {
                let mut open = self.linked(&entries, Way::In, peer);
                open.extend(ruled(&document.allow, Some(local), peer));
                open
            }
            // Nobody sends in the name of a group.
            Way::Out if for_all => Vec::new(),
            Way::Out if self.is_for_many(peer) => {
                let mut open = self.sent_to_many(&entries);
                let mut rules = self.let_out(&entries, local, peer);
                rules.retain(|span| span.carrier != Carrier::Tcp);
                open.extend(rules.into_iter().flat_map(without_echo));
                open
            }
            Way::Out => {
                let mut open = self.linked(&entries, Way::Out, peer);
                open.extend(self.let_out(&entries, local, peer));
                open
            }
        }
    }

    /// What `[[outbound.allow]]` lets some entries open at a peer.
    fn let_out(&self, entries: &[usize], local: Option<IpAddr>, peer: IpAddr) -> Vec<Span> {
        let is_named = |text: &String| match text.parse::<IpNet>() {
            Ok(prefix) => prefix.contains(&peer),
            Err(_) if text == "internet" => {
                let is_nowhere = self.is_for_many(peer) || peer.is_unspecified();
                !self.is_internal(peer) && !is_nowhere
            }
            Err(_) => self.holds(text, peer),
        };
        let leads_there = |to: &Ends| match to {
            Ends::Word(_) => true,
            Ends::Listed(listed) => listed.iter().any(is_named),
        };
        let begins_here = |from: &[IpNet]| match from {
            [] => !entries.is_empty(),
            listed => local.is_some_and(|local| covers(listed, local)),
        };
        let rules = self.document.outward.allow.iter();
        let rules = rules.filter(|rule| begins_here(&rule.from) && leads_there(&rule.to));
        let spans = rules.flat_map(OutRule::spans);
        spans.map(|(_, span)| span).collect()
    }

    /// Whether an address stands for many, or for no single protected system.
    #[must_use]
    pub fn stands_for_many(&self, address: IpAddr) -> bool {
        self.is_for_many(address) || self.is_last(address)
    }

    /// The ports of the gateway that a peer may open because it may open those behind them.
    fn published(&self, peer: IpAddr) -> impl Iterator<Item = Span> {
        let open = move |published: &&Publish| {
            let (span, [port]) = (published.span(), published.ports);
            let behind = published.to_port.unwrap_or(port);
            // What leads to the gateway itself is reached by its rules alone.
            let there = match self.is_own(Some(published.to)) {
                true => ruled(&self.document.management.allow, None, peer),
                false => self.open(Way::In, Some(published.to), peer),
            };
            there.iter().any(|open| open.has(span.carrier, behind))
        };
        let published = self.document.publish.iter();
        published.filter(open).map(Publish::span)
    }

    /// Whether an end is the gateway.
    #[must_use]
    pub fn is_own(&self, local: Option<IpAddr>) -> bool {
        local.is_some_and(|local| self.own.contains(&local) || local == THIS_MACHINE)
    }

    /// Whether only the gateway gets what comes in for many at this address: a router forwards
    /// broadcasts and multicast only where it is told to (RFC 1812, 5.3.4 and 5.3.5.2), a bridge
    /// always.
    fn ends_here(&self, address: IpAddr) -> bool {
        let machine = self.machine;
        let directed = |address| machine.broadcasts.contains(&address);
        machine.is_gateway
            && !machine.is_bridge
            && match address {
                IpAddr::V4(address) if address.is_broadcast() => true,
                IpAddr::V4(address) if directed(address) => !machine.routes_broadcasts,
                _ if !address.is_multicast() => false,
                _ => !machine.routes_multicast || is_of_a_link(address),
            }
    }

    /// Whether an address stands for many: a group, or the broadcast address of a network of the
    /// machine, where the policy tells addresses apart.
    pub(super) fn is_for_many(&self, address: IpAddr) -> bool {
        let own = match address {
            IpAddr::V4(address) => self.machine.broadcasts.contains(&address),
            IpAddr::V6(_) => false,
        };
        is_group(address) || own && self.names_any()
    }

    fn names_any(&self) -> bool {
        let document = self.document;
        let rules = document.allow.iter().chain(&document.management.allow);
        let mut rules = rules.map(|rule| !rule.from.listed().is_empty() || !rule.to.is_empty());
        let machine = self.machine;
        let mut outward = document.outward.allow.iter();
        document.peers.is_some()
            || self.tells_apart()
            || rules.any(|named| named)
            || outward.any(|rule| !rule.to.listed().is_empty())
            || machine.is_gateway && (!machine.is_bridge || !machine.own.is_empty())
    }

    /// Whether an address is the last of a network with protected systems, where all of these are
    /// listed and none has it: of one behind the segment, as routes say, or around a bridge, as the
    /// policy says.
    fn is_last(&self, address: IpAddr) -> bool {
        let document = self.document;
        let entries = || document.protect.iter();
        if entries().any(|entry| entry.addresses.is_empty() || covers(&entry.addresses, address)) {
            return false;
        }
        let IpAddr::V4(v4) = address else {
            return false;
        };
        let rules = document.allow.iter().chain(&document.management.allow);
        let rules = rules.flat_map(|rule| rule.from.listed().iter().chain(&rule.to));
        let peers = document
            .peers
            .iter()
            .flat_map(|peers| peers.values().flatten());
        let mut around = rules.chain(peers).filter(|prefix| match prefix {
            IpNet::V4(prefix) => {
                let is_network = prefix.prefix_len() != 0 && prefix.prefix_len() < 31;
                is_network && prefix.broadcast() == v4
            }
            IpNet::V6(_) => false,
        });
        let has_protected = |prefix: &IpNet| {
            let mut listed = entries().flat_map(|entry| &entry.addresses);
            listed.any(|own| prefix.contains(own) || own.contains(prefix))
        };
        self.names_any()
            && (self.machine.far_broadcasts.contains(&v4)
                || self.machine.is_bridge && around.any(has_protected))
    }

    /// What those stream by way of groups at whom some entries may open it (link 15).
    fn streams(&self, entries: &[usize], peer: IpAddr) -> Vec<Span> {
        let mut open = Vec::new();
        let entries = entries.iter().map(|entry| &self.document.protect[*entry]);
        let roles: Vec<&String> = entries.flat_map(|entry| &entry.roles).collect();
        let links = self.catalog.all_links();
        for link in links.filter(|link| self.document.site.applies(link)) {
            for (opener, listener) in self.openings(link) {
                if !roles.iter().any(|role| self.is(role, opener)) || !self.holds(listener, peer) {
                    continue;
                }
                let services = self.document.site.services(link).into_iter();
                let streams = services.filter(|(service, _)| *service == "multicast");
                open.extend(streams.map(|(_, span)| span));
            }
        }
        open
    }

    /// Whether any protected address is named.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        let mut entries = self.document.protect.iter();
        entries.any(|entry| !entry.addresses.is_empty())
            || self.document.allow.iter().any(|rule| !rule.to.is_empty())
            || self
                .document
                .outward
                .allow
                .iter()
                .any(|rule| !rule.from.is_empty())
    }

    /// Whether an address is a protected system's, the gateway's, everybody's, or stands among
    /// the destinations of a rule.
    #[must_use]
    pub fn is_listed(&self, local: Option<IpAddr>) -> bool {
        let Some(local) = local else {
            return false;
        };
        self.is_own(Some(local))
            || self.is_for_many(local)
            || self.is_last(local)
            || self.ends_here(local)
            || self
                .document
                .protect
                .iter()
                .any(|entry| covers(&entry.addresses, local))
            || self
                .document
                .allow
                .iter()
                .any(|rule| covers(&rule.to, local))
    }

    /// The entries that an address is.
    fn entries(&self, local: Option<IpAddr>) -> Vec<usize> {
        let entries = || self.document.protect.iter().enumerate();
        let listed: Vec<usize> = entries()
            .filter(|(_, entry)| local.is_some_and(|local| covers(&entry.addresses, local)))
            .map(|(index, _)| index)
            .collect();
        if !listed.is_empty() {
            return listed;
        }
        entries()
            .filter(|(_, entry)| entry.addresses.is_empty())
            .map(|(index, _)| index)
            .collect()
    }

    /// What links let some entries send to groups, over UDP: what they may open to anybody, and
    /// DHCP's offers and the streams of multicast deployment from those that offer these.
    fn sent_to_many(&self, entries: &[usize]) -> Vec<Span> {
        let mut open = Vec::new();
        let entries = entries.iter().map(|entry| &self.document.protect[*entry]);
        let roles: Vec<&String> = entries.flat_map(|entry| &entry.roles).collect();
        let links = self.catalog.all_links();
        for link in links.filter(|link| self.document.site.applies(link)) {
            for (opener, listener) in self.openings(link) {
                let asked = roles.iter().any(|role| self.is(role, opener));
                let offered = roles.iter().any(|role| self.is(role, listener));
                for (service, span) in self.document.site.services(link) {
                    let many = offered && matches!(service, "dhcp" | "multicast");
                    if (asked || many) && span.carrier == Carrier::Udp {
                        open.push(span);
                    }
                }
            }
        }
        open
    }

    /// What links let pass between some entries and a peer: those of each.
    fn linked(&self, entries: &[usize], way: Way, peer: IpAddr) -> Vec<Span> {
        let entries = entries.iter().map(|entry| &self.document.protect[*entry]);
        let opened = entries.flat_map(|entry| {
            let range = self.document.tracked_range(entry);
            let spans = self.linked_to(entry, way, peer).into_iter();
            spans.flat_map(move |(service, span)| match (service, range) {
                (RPC_DYNAMIC, Some(range)) => span.without(range),
                _ => vec![span],
            })
        });
        opened.collect()
    }

    /// Whether a port of the dynamic range is open this way once who listens there hands it out.
    #[must_use]
    pub fn hands_out(&self, way: Way, local: Option<IpAddr>, peer: IpAddr) -> bool {
        let for_itself = |local| {
            self.is_own(Some(local)) || self.ends_here(local) || self.stands_for_many(local)
        };
        if local.is_some_and(for_itself) || way == Way::Out && self.is_for_many(peer) {
            return false;
        }
        let entries = self.entries(local);
        let mut entries = entries.iter().map(|entry| &self.document.protect[*entry]);
        entries.any(|entry| {
            let mut spans = self.linked_to(entry, way, peer).into_iter();
            self.document.tracked_range(entry).is_some()
                && spans.any(|(service, _)| service == RPC_DYNAMIC)
        })
    }

    /// What links let pass between an entry and a peer, by the names of services.
    fn linked_to(&self, entry: &Entry, way: Way, peer: IpAddr) -> Vec<(&str, Span)> {
        let mut open = Vec::new();
        let roles = &entry.roles;
        let links = self.catalog.all_links();
        for link in links.filter(|link| self.document.site.applies(link)) {
            for (opener, listener) in self.openings(link) {
                let offered = roles.iter().any(|role| self.is(role, listener));
                let asked = roles.iter().any(|role| self.is(role, opener));
                if !offered && !asked {
                    continue;
                }
                let reaches = asked && self.holds(listener, peer);
                for (service, span) in self.document.site.services(link) {
                    let opens = match way {
                        Way::In => offered && self.may_open(link, opener, service, peer),
                        Way::Out => reaches,
                    };
                    if opens {
                        open.push((service, span));
                    }
                }
                // A relay that is named speaks DHCPv6, too, where DHCP is asked for boot service.
                let boots = offered && listener == "pxe-service-point" && opener == "client";
                let relays = self.document.asks_dhcpv6() && self.holds("dhcp-relay", peer);
                if way == Way::In && boots && relays {
                    open.push(("dhcpv6", Span::new(Carrier::Udp, 547, 547)));
                }
            }
        }
        open
    }

    /// Who opens to whom.
    fn openings<'a>(&self, link: &'a Link) -> Vec<(&'a str, &'a str)> {
        let (from, to) = (link.from.as_str(), link.to.as_str());
        if link.direction == Direction::OneWay {
            return vec![(from, to)];
        }
        let mut openings = vec![(from, to), (to, from)];
        if from != to && self.document.site.site_server_initiated_only && self.has_one_opener(link)
        {
            openings.retain(|(opener, _)| self.is(opener, "site-server"));
        }
        openings
    }

    /// Whether a link is between the site server and a site system, of which one alone may open: note
    /// 6 of 2007. Note 5 of today speaks of all site systems, whoever cites it; a certification
    /// authority is none, and what is installed over the Internet has a list of its own.
    fn has_one_opener(&self, link: &Link) -> bool {
        if !self.document.site.is_current() {
            return link.notes.contains(&6);
        }
        let others = [
            "issuing-certification-authority",
            "internet-based-site-system",
        ];
        let ends = [link.from.as_str(), link.to.as_str()];
        ends.contains(&"site-server") && !ends.iter().any(|end| others.contains(end))
    }

    /// Whether a peer may be the opener of a row, boot service told apart.
    fn may_open(&self, link: &Link, opener: &str, service: &str, peer: IpAddr) -> bool {
        let Some(peers) = &self.document.peers else {
            return true;
        };
        if opener == "any" && link.id == "sql" {
            return self.speaks_sql(link, peer);
        }
        let boots = ["pxe-service-point", "pxe-distribution-point"].contains(&link.to.as_str());
        if !boots || opener != "client" {
            return self.holds(opener, peer);
        }
        let booting = match peers.contains_key("pxe-client") {
            true => self.holds("pxe-client", peer),
            false => self.holds("client", peer),
        };
        let for_an_address = peer.is_unspecified() || self.holds("dhcp-relay", peer);
        booting
            || service == "dhcp" && for_an_address
            || service == "dhcpv6" && (for_an_address || is_of_the_link(peer))
    }

    /// Link `sql` is a sentence about anybody. Once peers are named, it means whom a numbered link
    /// lets open SQL at the same role.
    fn speaks_sql(&self, sentence: &Link, peer: IpAddr) -> bool {
        let numbered = |link: &&Link| link.id.parse::<u8>().is_ok();
        let speaks = |link: &&Link| link.services.iter().any(|row| row.service == "sql");
        let links = self.catalog.all_links().filter(numbered).filter(speaks);
        let mut of_listener = links.filter(|link| link.to == sentence.to);
        of_listener.any(|link| self.holds(link.from.as_str(), peer))
    }
}

/// What rules let in. `at` is the protected end where `to` is asked, as in [`Interpreter::open`].
fn ruled(rules: &[Rule], at: Option<Option<IpAddr>>, peer: IpAddr) -> Vec<Span> {
    let applies = |rule: &&Rule| {
        let from = rule.from.listed();
        let to = |at: Option<IpAddr>| at.is_some_and(|at| covers(&rule.to, at));
        (from.is_empty() || covers(from, peer)) && (rule.to.is_empty() || at.is_none_or(to))
    };
    let spans = rules.iter().filter(applies).flat_map(Rule::spans);
    spans.map(|(_, span)| span).collect()
}

/// What an echo request to many would be answered by, every one of them.
fn without_echo(span: Span) -> Vec<Span> {
    let echo = match span.carrier {
        Carrier::Icmp => 8,
        Carrier::Icmpv6 => 128,
        _ => return vec![span],
    };
    let below =
        (span.first < echo).then(|| Span::new(span.carrier, span.first, span.last.min(echo - 1)));
    let above =
        (span.last > echo).then(|| Span::new(span.carrier, span.first.max(echo + 1), span.last));
    below.into_iter().chain(above).collect()
}

fn everything() -> Vec<Span> {
    use Carrier::{Icmp, Icmpv6, Ip, Tcp, Udp};
    let carriers = [Tcp, Udp, Icmp, Icmpv6, Ip].into_iter();
    carriers
        .map(|carrier| Span::new(carrier, 0, u16::MAX))
        .collect()
}

pub(super) fn covers(prefixes: &[IpNet], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(&address))
}

/// Groups that no router forwards: 224.0.0.0/24 (RFC 5771, 4), scopes 1 and 2 (RFC 4291, 2.7).
fn is_of_a_link(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => matches!(group.segments()[0] & 0xf, 1 | 2),
    }
}

/// fe80::/10, from which DHCPv6 is asked.
fn is_of_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

pub(super) fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}
