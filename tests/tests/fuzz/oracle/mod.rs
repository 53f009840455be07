//! The slow oracle: what should become of a frame, by the documents and a second parser.
//!
//! It shares no code with `sccm-common` but the list of reasons. Headers are etherparse's
//! ([`parse`]), rights are read anew from the policy file and the catalog's rows
//! ([`sccm_tests::reading`]), and what is remembered lies in plain hash maps ([`state`]).
//!
//! What it does not judge, and the generator therefore leaves out:
//! - a full table, or a full set of openings: it never forgets what is not too old;
//! - seconds: time passes in steps of 25, and no timeout of a policy is near a sum of them, so
//!   that the kernel's own clock may run on a little beside it;
//! - headers that do not lie in a frame's first buffer: only short ones are in long frames;
//! - the table of blocked flows, which forgets by seconds and by hash: `tests/blocked.rs` and the
//!   tests beside its source hold it;
//! - what a mapper hands out to a gateway itself, which may open everything;
//! - what a shadow says: some policies are judged with one beside them, which must change nothing.

mod essential;
mod judge;
pub mod parse;
mod questions;
mod quote;
mod rights;
mod rpc;
mod rpc_answer;
mod rpc_unit;
mod source;
mod state;

pub use rights::Rights as PolicyRights;
pub use rpc::{Handed, How, Opening};

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use sccm_common::Reason;
use sccm_tests::reading::{Outbound, THIS_MACHINE, Way};

use crate::case::{HOST_ID, SEGMENT_ID, Setting, Spot, Step, UPLINK_ID};
use parse::{Part, Seen};
use rights::Rights;
use state::{Datagram, Flow, FlowState, Progress, Question, Transfer};

/// In whose name a frame is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seat {
    /// A card of this kind.
    Card(Spot),
    /// A VLAN of the trunk, judged as a card of this kind.
    Lane(Spot),
}

impl Seat {
    /// The kind.
    pub fn spot(self) -> Spot {
        match self {
            // Broken tags: the card itself counts what the parser refuses.
            Self::Card(Spot::Trunk) => Spot::Uplink,
            Self::Card(spot) | Self::Lane(spot) => spot,
        }
    }
}

/// What should become of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who counts it.
    pub seat: Seat,
    /// Whether that is with what goes out.
    pub outbound: bool,
    /// Why it passes or is dropped.
    pub reason: Reason,
    /// What it wanted, where the reason speaks of a service: `tcp http`.
    pub service: Option<Rc<str>>,
}

/// The oracle under one policy.
pub struct Oracle<'a> {
    setting: &'a Setting,
    rights: &'a Rights<'a>,
    now: u64,
    flows: HashMap<Flow, FlowState>,
    /// When a first fragment passed, and where its transport header ends.
    firsts: HashMap<Datagram, (u64, usize)>,
    transfers: HashMap<Transfer, Progress>,
    questions: HashMap<Question, u64>,
    heard: rpc::Heard,
}

/// A reason, with a service where it has one.
type End = (Reason, Option<Rc<str>>);

impl<'a> Oracle<'a> {
    pub fn new(setting: &'a Setting, rights: &'a Rights<'a>) -> Self {
        Self {
            setting,
            rights,
            now: 0,
            flows: HashMap::new(),
            firsts: HashMap::new(),
            transfers: HashMap::new(),
            questions: HashMap::new(),
            heard: rpc::Heard::default(),
        }
    }

    /// What becomes of a frame; `None` for one that is not judged here, and for no frame.
    pub fn judge(&mut self, step: &Step) -> Option<Said> {
        let (spot, frame, arrives) = match step {
            Step::Waits(seconds) => {
                self.now += u64::from(*seconds);
                return None;
            }
            Step::Arrives(spot, frame) => (*spot, frame, true),
            Step::Leaves(spot, frame) => (*spot, frame, false),
        };
        let Some(seat) = seat(spot, frame) else {
            return Some(Said {
                seat: Seat::Card(spot),
                outbound: !arrives,
                reason: Reason::OtherVlan,
                service: None,
            });
        };
        let place = seat.spot();
        let (outbound, (reason, service)) = match arrives {
            true => (place == Spot::Segment, self.arriving(place, frame)),
            false => self.leaving(place, frame)?,
        };
        Some(Said {
            seat,
            outbound,
            reason,
            service,
        })
    }

    /// What is remembered, for comparison.
    pub fn memory(
        &self,
    ) -> (
        impl Iterator<Item = &Flow>,
        impl Iterator<Item = &Datagram>,
        impl Iterator<Item = &Transfer>,
    ) {
        (self.flows.keys(), self.firsts.keys(), self.transfers.keys())
    }

    /// What was handed out, and how many seconds ago it was used last.
    pub fn openings(&self) -> impl Iterator<Item = (&Handed, &Opening, u64)> {
        let all = self.heard.openings.iter();
        all.map(|(handed, opening)| (handed, opening, self.now - opening.seen))
    }

    fn arriving(&mut self, place: Spot, frame: &[u8]) -> End {
        let packet = match parse::parse(frame) {
            Ok(packet) => packet,
            Err(Reason::EthertypeRefused) if self.is_named(place, frame) => {
                return (Reason::NamedEthertype, None);
            }
            Err(Reason::EthertypeRefused) if self.setting.document.site.pass_other_ethertypes => {
                return (Reason::OtherEthertype, None);
            }
            Err(reason) => return (self.unless_removed(reason), None),
        };
        if self.is_spoofed(place, &packet) {
            return (Reason::SpoofedSource, None);
        }
        if let Some(reason) = self.refused_route(&packet) {
            return (reason, None);
        }
        let own = |address| self.setting.own_rights().contains(&address);
        let end = if place == Spot::Segment && self.is_for_gateway(&packet) {
            self.inbound(&packet, Some(THIS_MACHINE))
        } else if place == Spot::Segment && !own(packet.destination) {
            // Nobody there is the gateway, whatever the packet claims.
            let local = Some(packet.source).filter(|source| !own(*source));
            self.outbound(&packet, local)
        } else {
            // Whatever reaches a host that is not told apart by addresses, is for it, or for many.
            let anywhere = place == Spot::Host
                && !self.rights.tells_apart()
                && !judge::is_group(packet.destination);
            let local = (!anywhere).then_some(packet.destination);
            self.inbound(&packet, local)
        };
        self.note_first(&packet, end)
    }

    /// Whether the policy names the type of a frame, for the side on which it came in.
    fn is_named(&self, place: Spot, frame: &[u8]) -> bool {
        let Some(kind) = parse::kind(frame) else {
            return false;
        };
        let named = &self.setting.document.site.pass_ethertypes;
        named.iter().any(|text| {
            let (number, side) = text.split_once('@').unwrap_or((text, ""));
            let number = match number.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16),
                None => number.parse(),
            };
            let here = match place {
                Spot::Uplink => "uplink",
                Spot::Segment => "segment",
                _ => "host",
            };
            number == Ok(kind) && (side.is_empty() || side == here)
        })
    }

    /// What goes out, and whether that is outbound. A test run comes in at no interface: this
    /// machine has made the frame, or somebody hides that it came from elsewhere.
    fn leaving(&mut self, place: Spot, frame: &[u8]) -> Option<(bool, End)> {
        let Ok(packet) = parse::parse(frame) else {
            return (place == Spot::Host).then_some((true, (Reason::Outbound, None)));
        };
        let asks = packet.source == IpAddr::from([0; 4]) && essential::is_from_dhcp_client(&packet);
        let local = match place {
            Spot::Host => packet.source,
            // A gateway that asks for an address asks as itself.
            _ if asks => THIS_MACHINE,
            _ if self.setting.own_rights().contains(&packet.source) => packet.source,
            // It is not the gateway's, and nobody has judged it: as if it came from the peers.
            Spot::Segment => return Some((false, self.arriving(Spot::Uplink, frame))),
            _ => return None,
        };
        if let Some(reason) = self.refused_route(&packet) {
            return Some((true, (reason, None)));
        }
        let end = self.outbound(&packet, Some(local));
        Some((true, self.note_first(&packet, end)))
    }

    /// Whether it goes from the segment to many, and a rule of the gateway lets it in there.
    fn is_for_gateway(&self, packet: &Seen<'_>) -> bool {
        let may = || {
            let way = Way::In;
            let asked = judge::asked(packet);
            self.rights
                .may(way, Some(THIS_MACHINE), packet.source, asked)
        };
        self.setting.machine.is_gateway
            && judge::is_group(packet.destination)
            && packet.part != Part::Later
            && !essential::is_from_dhcp_client(packet)
            && judge::may_be_for_many(packet)
            && may()
    }

    /// Later fragments follow a first one that passed where it was judged.
    fn note_first(&mut self, packet: &Seen<'_>, end: End) -> End {
        let judged = end.0 != Reason::Outbound || self.mode() == Outbound::Enforce;
        if packet.part == Part::First && end.0.passes() && judged {
            let datagram = Datagram::of(packet);
            // Of two first ones, the receiver may take either.
            let before = match self.firsts.get(&datagram) {
                Some((seen, edge)) if self.now - seen <= judge::REASSEMBLY => *edge,
                _ => 0,
            };
            let edge = packet.edge.max(before);
            self.firsts.insert(datagram, (self.now, edge));
        }
        end
    }

    /// What says by which way it goes on is dropped unless a setting passes it.
    fn refused_route(&self, packet: &Seen<'_>) -> Option<Reason> {
        let refused = packet.routed && !self.setting.document.site.pass_source_routes;
        refused.then_some(match packet.is_v4() {
            true => Reason::Ipv4SourceRoute,
            false => Reason::Ipv6RoutingHeader,
        })
    }

    fn mode(&self) -> Outbound {
        self.setting.document.site.outbound
    }
}

/// `None`: a VLAN that nobody named.
fn seat(spot: Spot, frame: &[u8]) -> Option<Seat> {
    if spot != Spot::Trunk {
        return Some(Seat::Card(spot));
    }
    match parse::vlan(frame) {
        None => Some(Seat::Card(Spot::Trunk)),
        Some(HOST_ID) => Some(Seat::Lane(Spot::Host)),
        Some(UPLINK_ID) => Some(Seat::Lane(Spot::Uplink)),
        Some(SEGMENT_ID) => Some(Seat::Lane(Spot::Segment)),
        Some(_) => None,
    }
}
