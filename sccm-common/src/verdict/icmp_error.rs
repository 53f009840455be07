//! The packet that an ICMP error quotes (RFC 792; RFC 4443, 2.4), and whether anybody here can have
//! sent or received it.

use super::{Place, Tables, arrival, class_of, essential, is_unlisted, service_of};
use crate::address::{Address, AddressClass, Family, LOCAL_SELF};
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot};
use crate::judgement::Hook;
use crate::packet::{Packet, Protocol};
use crate::policy::{Policy, flag};
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::tftp::TransferKey;
use crate::wire::transport::{ICMP_ECHO, ICMPV6_ECHO};
use crate::wire::{ipv4, ipv6};
use core::hint::black_box;
use core::mem;

/// What an ICMP error is about. A number, which the verifier does not follow once for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About(u32);

impl About {
    /// Nothing that passes here. So are all packets that are no ICMP errors.
    pub const NOTHING: Self = Self(0);
    /// A packet of a service that the peer may use, or one that passes unnoted.
    pub const SERVICE: Self = Self(1);
    /// A packet of a flow that a protected system opened, or of a TFTP transfer.
    pub const FLOW: Self = Self(2);

    /// What was [`About::number`] once.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The reason for an ICMP error, if no flow that it is about decides.
    #[inline(always)]
    pub(super) fn reason(self, policy: &Policy) -> Reason {
        let passes = self != Self::NOTHING || policy.has(flag::PASS_UNRELATED_ICMP_ERRORS);
        match policy.essentials.judge(Reason::IcmpError) {
            Reason::IcmpError if !passes => Reason::IcmpErrorUnrelated,
            reason => reason,
        }
    }
}

/// What a packet at `place` is about, if it is an ICMP error: inbound, something that its receiver
/// can have sent; outbound, something that its receiver can have sent to a protected system.
#[inline(always)]
pub fn about<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    packet: &Packet,
    payload: &P,
    hook: Hook,
    place: Place,
) -> About {
    // An error goes to the sender of what it quotes, which is never a group.
    if !essential::is_icmp_error(packet) || packet.destination.is_group(packet.family) {
        return About::NOTHING;
    }
    let Some(quote) = Quote::read(payload, packet) else {
        return About::NOTHING;
    };
    let quote = quote.opaque(tables);
    let (sender, direction) = match hook {
        Hook::Ingress => arrival(tables, packet, place),
        Hook::Egress => {
            let class = class_of(tables, packet.family, &packet.destination);
            (class, Direction::Outbound)
        }
    };
    let sender = opaque_class(tables, sender);
    let inbound = tables.opaque_answer(direction == Direction::Inbound);
    let receiver = class_of(tables, packet.family, &quote.destination);
    let receiver = opaque_class(tables, receiver);
    match inbound {
        true => about_sent(tables, packet, &quote, sender, receiver),
        false => about_received(tables, packet, &quote, sender, receiver),
    }
}

/// The same classes, of which the verifier knows nothing any more.
#[inline(always)]
fn opaque_class<T: Tables>(tables: &T, class: AddressClass) -> AddressClass {
    AddressClass {
        local: tables.opaque(class.local.into()) as u16,
        peer: tables.opaque(class.peer.into()) as u16,
    }
}

/// Whether a protected system can have sent what is quoted.
#[inline(always)]
fn about_sent<T: Tables>(
    tables: &T,
    packet: &Packet,
    quote: &Quote,
    sender: AddressClass,
    receiver: AddressClass,
) -> About {
    let flow = FlowKey::new(
        packet.family,
        packet.destination,
        quote.destination,
        (quote.from, quote.to),
        quote.protocol,
    );
    let may_open = !quote.is_icmp() || quote.is_echo_request();
    if may_open && is_alive(tables, &flow) || is_transfer(tables, &flow) {
        return About::FLOW;
    }
    let policy = tables.policy();
    if policy.has(flag::OUTBOUND_OFF) {
        return About::SERVICE;
    }
    let rights = policy.access(policy.pair(sender.local, receiver.peer));
    // The answer to an echo request is an echo reply; other ICMP is no answer.
    let may_answer = !quote.is_icmp() || quote.is_echo_reply();
    let answered = quote.service(policy, packet.family, quote.from, quote.asked_type());
    // What goes to a group opens no flow.
    let to_group = quote.destination.is_group(packet.family);
    let judged = policy.has(flag::OUTBOUND_ENFORCE) || is_unlisted(policy, sender.local);
    let wanted = quote.service(policy, packet.family, quote.to, quote.icmp_type);
    let passes = may_answer && rights.inbound.contains(answered)
        || to_group && (!judged || rights.outbound.contains(wanted));
    match passes {
        true => About::SERVICE,
        false => About::NOTHING,
    }
}

/// Whether a protected system can have received what is quoted.
#[inline(always)]
fn about_received<T: Tables>(
    tables: &T,
    packet: &Packet,
    quote: &Quote,
    sender: AddressClass,
    receiver: AddressClass,
) -> About {
    // Of what the gateway receives, only the gateway itself tells.
    if receiver.local == LOCAL_SELF {
        return About::NOTHING;
    }
    let flow = FlowKey::new(
        packet.family,
        quote.destination,
        packet.destination,
        (quote.to, quote.from),
        quote.protocol,
    );
    let may_answer = !quote.is_icmp() || quote.is_echo_reply();
    if may_answer && is_alive(tables, &flow) || is_transfer(tables, &flow) {
        return About::FLOW;
    }
    let policy = tables.policy();
    let wanted = quote.service(policy, packet.family, quote.to, quote.icmp_type);
    // A router behind this machine may tell of what another system would have received.
    let rights = policy.access(policy.pair(receiver.local, sender.peer));
    match rights.inbound.contains(wanted) {
        true => About::SERVICE,
        false => About::NOTHING,
    }
}

/// Not inlined, like the next: its part of the stack is then its own.
#[inline(never)]
fn is_alive<T: Tables>(tables: &T, flow: &FlowKey) -> bool {
    // Or the compiler hands over what it points to, which is more than a function may be handed.
    let flow = black_box(flow);
    tables.flow(|| *flow).is_some_and(|slot| {
        let state = slot.load();
        state.is_alive(flow.protocol(), &tables.policy().timeouts, tables.now())
    })
}

/// Whether a datagram with the ends of a flow belongs to a TFTP transfer, whose server or client is
/// the local end.
#[inline(never)]
fn is_transfer<T: Tables>(tables: &T, flow: &FlowKey) -> bool {
    let (local_port, peer_port) = flow.ports();
    // Port 0 stands for one that is not known yet.
    if flow.protocol() != Protocol::UDP || local_port == 0 || peer_port == 0 {
        return false;
    }
    let is_alive = |key: &TransferKey| {
        let state = tables.transfer(key);
        state.is_some_and(|state| state.is_alive(tables.now()))
    };
    // One key, which changes in its place, as in `tftp`.
    let mut key = TransferKey {
        server: flow.local,
        client: flow.peer,
        server_port: local_port,
        client_port: peer_port,
        family: flow.family() as u32,
    };
    let key = black_box(&mut key);
    if is_alive(key) {
        return true;
    }
    mem::swap(&mut key.server, &mut key.client);
    mem::swap(&mut key.server_port, &mut key.client_port);
    is_alive(key)
}

/// What is quoted, as far as it decides. Its source is the receiver of the error.
struct Quote {
    destination: Address,
    protocol: Protocol,
    /// The port that it comes from, or the identifier of an echo reply; otherwise 0.
    from: u16,
    /// The port that it goes to, or the identifier of an echo request; otherwise 0.
    to: u16,
    /// Of ICMP and ICMPv6; otherwise 0.
    icmp_type: u8,
}

impl Quote {
    /// Reads the quote of an error. `None`: it is no packet of the receiver; it is a later
    /// fragment; it is an ICMP error itself, about which there are none (RFC 1122, 3.2.2; RFC 4443,
    /// 2.4); or less than eight bytes of its transport header are there.
    #[inline(always)]
    fn read<P: Payload + ?Sized>(payload: &P, packet: &Packet) -> Option<Self> {
        let start = packet.payload_offset;
        let quoted = match packet.family {
            Family::V4 => Self::read_v4(payload, start),
            Family::V6 => Self::read_v6(payload, start),
        }?;
        let (source, destination, protocol, header) = quoted;
        if source != packet.destination || header + 8 > start + packet.payload {
            return None;
        }
        let quote = Self::transport(word(payload, header), destination, Protocol(protocol));
        let is_error = essential::is_error(packet.family, quote.protocol, quote.icmp_type);
        (!is_error).then_some(quote)
    }

    /// Source, destination and protocol, and where the transport header begins.
    #[inline(always)]
    fn read_v4<P: Payload + ?Sized>(
        payload: &P,
        start: u32,
    ) -> Option<(Address, Address, u8, u32)> {
        let [first, _, _, _, _, _, f0, f1] = word(payload, start).to_be_bytes();
        let [_, protocol, _, _, s0, s1, s2, s3] = word(payload, start + 8).to_be_bytes();
        let [d0, d1, d2, d3, ..] = word(payload, start + 16).to_be_bytes();
        let header = u32::from(first & 0x0f) * 4;
        let is_later = u16::from_be_bytes([f0, f1]) & ipv4::OFFSET != 0;
        if first >> 4 != 4 || header < ipv4::MIN_HEADER || is_later {
            return None;
        }
        let (source, destination) = (Address::v4([s0, s1, s2, s3]), Address::v4([d0, d1, d2, d3]));
        Some((source, destination, protocol, start + header))
    }

    #[inline(always)]
    fn read_v6<P: Payload + ?Sized>(
        payload: &P,
        start: u32,
    ) -> Option<(Address, Address, u8, u32)> {
        let [first, _, _, _, _, _, mut next, _] = word(payload, start).to_be_bytes();
        let address = |offset| Address {
            high: word(payload, offset),
            low: word(payload, offset + 8),
        };
        let (source, destination) = (address(start + 8), address(start + 24));
        if first >> 4 != 6 {
            return None;
        }
        let mut header = start + 40;
        for _ in 0..ipv6::MAX_EXTENSIONS {
            if !ipv6::is_extension(next) {
                break;
            }
            let [following, length, f0, f1, ..] = word(payload, header).to_be_bytes();
            if next == ipv6::extension::FRAGMENT {
                if u16::from_be_bytes([f0, f1]) >> 3 != 0 {
                    return None;
                }
                header += 8;
            } else {
                header += 8 + u32::from(length) * 8;
            }
            next = following;
        }
        (!ipv6::is_extension(next)).then_some((source, destination, next, header))
    }

    /// Reads the first eight bytes of a transport header. An echo request goes to its identifier,
    /// and the reply comes from there.
    #[inline(always)]
    fn transport(header: u64, destination: Address, protocol: Protocol) -> Self {
        let (first, second) = ((header >> 48) as u16, (header >> 32) as u16);
        let identifier = (header >> 16) as u16;
        let kind = (header >> 56) as u8;
        let (from, to, icmp_type) = match (protocol, kind) {
            (Protocol::TCP | Protocol::UDP, _) => (first, second, 0),
            _ if protocol.is_echo_request(kind) => (0, identifier, kind),
            _ if protocol.is_echo_reply(kind) => (identifier, 0, kind),
            (Protocol::ICMP | Protocol::ICMPV6, _) => (0, 0, kind),
            _ => (0, 0, 0),
        };
        Self {
            destination,
            protocol,
            from,
            to,
            icmp_type,
        }
    }

    /// The same, of which the verifier knows nothing any more: it would follow what comes next once
    /// for each kind of packet that may be quoted, and for each way through its headers.
    #[inline(always)]
    fn opaque<T: Tables>(self, tables: &T) -> Self {
        Self {
            destination: self.destination,
            protocol: Protocol(tables.opaque(self.protocol.0.into()) as u8),
            from: tables.opaque(self.from.into()) as u16,
            to: tables.opaque(self.to.into()) as u16,
            icmp_type: tables.opaque(self.icmp_type.into()) as u8,
        }
    }

    #[inline(always)]
    const fn is_icmp(&self) -> bool {
        matches!(self.protocol, Protocol::ICMP | Protocol::ICMPV6)
    }

    #[inline(always)]
    const fn is_echo_request(&self) -> bool {
        self.protocol.is_echo_request(self.icmp_type)
    }

    #[inline(always)]
    const fn is_echo_reply(&self) -> bool {
        self.protocol.is_echo_reply(self.icmp_type)
    }

    /// The ICMP type that this would be the answer to.
    #[inline(always)]
    const fn asked_type(&self) -> u8 {
        match self.protocol {
            Protocol::ICMP => ICMP_ECHO,
            _ => ICMPV6_ECHO,
        }
    }

    #[inline(always)]
    fn service(&self, policy: &Policy, family: Family, port: u16, icmp_type: u8) -> ServiceClass {
        service_of(policy, family, self.protocol, port, icmp_type)
    }
}

/// Eight bytes of a frame, the first the highest; zeros if they are not all there. Not inlined, so
/// that all readings share one place on the stack.
#[inline(never)]
fn word<P: Payload + ?Sized>(payload: &P, offset: u32) -> u64 {
    payload.load(offset).map_or(0, u64::from_be_bytes)
}
