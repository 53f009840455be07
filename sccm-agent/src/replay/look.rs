//! What a captured frame is, before anybody judges it: its packet, which way it went, and whether
//! enough of it was captured.

use crate::capture::read::{Frame, Way};
use crate::policy::ip_of;
use ipnet::IpNet;
use sccm_common::Cursor as _;
use sccm_common::packet::{Packet, Protocol};
use sccm_common::verdict::is_icmp_error;
use sccm_common::{Reason, SliceCursor, wire};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

/// Bytes of the longest frame: a packet of BIG TCP is shorter.
const LONGEST: usize = 1 << 20;

/// Hardware addresses of protected systems that are remembered.
const MOST_HARDWARE: usize = 65_536;

/// Where the sender's hardware address stands in a frame.
const SENDER: usize = 6;

/// Looks at frames, and remembers by which hardware addresses the protected systems send.
pub(super) struct Looker {
    protected: Vec<IpNet>,
    hardware: HashSet<[u8; 6]>,
    whole: Vec<u8>,
}

/// What was found.
pub(super) struct Look<'a> {
    /// The frame, with zeros in place of what was cut off.
    pub bytes: &'a [u8],
    /// As far as it was parsed.
    pub packet: Packet,
    /// Why the parser found no packet.
    pub end: Option<Reason>,
    /// A protected system sent it.
    pub outward: bool,
    /// Nothing that a verdict asks for was cut off.
    pub suffices: bool,
}

impl Looker {
    pub(super) fn new(protected: Vec<IpNet>) -> Self {
        Self {
            protected,
            hardware: HashSet::new(),
            whole: Vec::new(),
        }
    }

    pub(super) fn look<'a>(&'a mut self, frame: &Frame<'a>) -> Look<'a> {
        let mut bytes = frame.bytes;
        if frame.is_cut() {
            self.whole.clear();
            self.whole.extend_from_slice(frame.bytes);
            self.whole.resize(LONGEST.min(frame.length as usize), 0);
        }
        let mut packet = Packet::NONE;
        let (end, suffices) = {
            let all = if frame.is_cut() { &self.whole } else { bytes };
            let mut cursor = SliceCursor::new(all);
            let end = wire::parse_into(&mut cursor, &mut packet).break_value();
            let headers = cursor.position() as usize;
            let wanted = headers + payload_wanted(&packet, end);
            let suffices = bytes.len() >= wanted.min(frame.length as usize);
            (end, suffices)
        };
        let outward = self.goes_outward(frame, &packet, end);
        if frame.is_cut() {
            bytes = &self.whole;
        }
        Look {
            bytes,
            packet,
            end,
            outward,
            suffices,
        }
    }

    fn is_protected(&self, address: IpAddr) -> bool {
        self.protected
            .iter()
            .any(|prefix| prefix.contains(&address))
    }

    /// Who sent it: its addresses say so, else the file, else the sender's hardware address.
    fn goes_outward(&mut self, frame: &Frame<'_>, packet: &Packet, end: Option<Reason>) -> bool {
        let sender = hardware(frame.bytes);
        if let Some((source, destination)) = addresses(frame.bytes, packet, end) {
            if self.is_protected(source) {
                let room = self.hardware.len() < MOST_HARDWARE;
                if let Some(sender) = sender.filter(|_| room) {
                    self.hardware.insert(sender);
                }
                return true;
            }
            if self.is_protected(destination) {
                return false;
            }
        }
        if let Some(way) = frame.way {
            return way == Way::Left;
        }
        sender.is_some_and(|sender| self.hardware.contains(&sender))
    }
}

/// How much behind the headers a verdict may ask for.
fn payload_wanted(packet: &Packet, end: Option<Reason>) -> usize {
    /// DHCP's fixed part and the options that are read; what ICMP errors quote.
    const MESSAGE: usize = 300;
    const QUOTE: usize = 64;
    const LOOKED_INTO: [u16; 5] = [67, 68, 69, 546, 547];
    if end.is_some() || packet.protocol == Protocol::TCP {
        return 0;
    }
    let ports = [packet.source_port, packet.destination_port];
    match packet.protocol {
        Protocol::UDP if ports.iter().any(|port| LOOKED_INTO.contains(port)) => MESSAGE,
        // A transfer by TFTP goes on at other ports; its operation and block are read.
        Protocol::UDP => 4,
        _ if is_icmp_error(packet) => QUOTE,
        _ => 0,
    }
}

/// Sender and receiver, also of ARP; nobody where there are none.
fn addresses(frame: &[u8], packet: &Packet, end: Option<Reason>) -> Option<(IpAddr, IpAddr)> {
    const TYPE: usize = 12;
    const ARP: [u8; 2] = [0x08, 0x06];
    const ARP_SENDER: usize = 28;
    const ARP_TARGET: usize = 38;
    if frame.get(TYPE..).is_some_and(|rest| rest.starts_with(&ARP)) {
        let at = |offset: usize| {
            let bytes: &[u8; 4] = frame.get(offset..)?.first_chunk()?;
            Some(IpAddr::V4(Ipv4Addr::from(*bytes)))
        };
        return Some((at(ARP_SENDER)?, at(ARP_TARGET)?));
    }
    let ends = [packet.source, packet.destination].map(|end| ip_of(packet.family, end));
    let is_known = end.is_none() || !ends.iter().all(IpAddr::is_unspecified);
    is_known.then_some((ends[0], ends[1]))
}

/// The sender's hardware address, if the file has it.
fn hardware(frame: &[u8]) -> Option<[u8; 6]> {
    let address = *frame.get(SENDER..)?.first_chunk()?;
    (address != [0; 6]).then_some(address)
}
