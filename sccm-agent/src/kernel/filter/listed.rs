//! Which filters see what passes a hook of an interface, in which order.

use super::send;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle as Handle, TcMessage};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer, NlasIterator,
};
use sccm_common::Hook;
use std::io::Error;

/// The kind of filter that runs a program.
pub(crate) const BPF: &str = "bpf";

/// The protocol of a filter that sees packets of every one.
pub(crate) const EVERY_PROTOCOL: u16 = libc::ETH_P_ALL as u16;

/// The length of a message's fixed part (`struct tcmsg`), and where attributes begin.
const HEADER: usize = 20;

// Attributes (include/uapi/linux/rtnetlink.h, include/uapi/linux/pkt_cls.h).
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const BPF_ID: u16 = 11;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The lower ones are asked first.
    pub(crate) priority: u16,
    /// The ethertype of packets that it sees.
    pub(crate) protocol: u16,
    /// Its number among those of its priority.
    pub(crate) handle: u32,
    /// The classifier: `bpf`, `u32`, `matchall` ...
    pub(crate) kind: String,
    /// The id of the program that it runs; `None` if it runs none.
    pub(crate) program: Option<u32>,
}

/// The filters at a hook of an interface, in the order in which the kernel asks them. Of a kind
/// that runs no programs there is one entry for each priority.
///
/// # Errors
/// The kernel refuses, or what it says cannot be read. It is no error if there are no filters, no
/// queueing discipline, or no such interface.
pub(crate) fn list(interface: u32, hook: Hook) -> Result<Vec<Filter>, Error> {
    let mut message = TcMessage::with_index(interface.cast_signed());
    message.header.parent = Handle {
        major: Handle::CLSACT.major,
        minor: match hook {
            Hook::Ingress => Handle::MIN_INGRESS,
            Hook::Egress => Handle::MIN_EGRESS,
        },
    };
    // Others are asked only if one of these says so.
    message.attributes = vec![TcAttribute::Chain(0)];
    let socket = send(RouteNetlinkMessage::GetTrafficFilter(message), NLM_F_DUMP)?;
    let mut filters = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        if read(&answer, &mut filters)? {
            return Ok(filters);
        }
    }
}

/// Reads messages; true if the last one says that there are no more.
fn read(mut messages: &[u8], filters: &mut Vec<Filter>) -> Result<bool, Error> {
    while !messages.is_empty() {
        let message = NetlinkBuffer::new_checked(messages).map_err(Error::other)?;
        let payload = message.payload();
        match message.message_type() {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = payload.first_chunk().map(|code| i32::from_ne_bytes(*code));
                return Err(code.map_or_else(cut_short, |code| Error::from_raw_os_error(-code)));
            }
            _ => filters.extend(filter(payload)?),
        }
        let length = (message.length() as usize).next_multiple_of(4);
        messages = messages.get(length..).unwrap_or_default();
    }
    Ok(false)
}

/// The filter that a message is about. Each priority has a message with the handle 0 before those
/// of its filters.
fn filter(message: &[u8]) -> Result<Option<Filter>, Error> {
    let word = |at: usize| {
        let word = message.get(at..).and_then(|rest| rest.first_chunk());
        word.map(|word| u32::from_ne_bytes(*word))
            .ok_or_else(cut_short)
    };
    let (handle, info) = (word(8)?, word(16)?);
    let (mut kind, mut program) = (String::new(), None);
    for attribute in attributes(message.get(HEADER..).unwrap_or_default()) {
        let attribute = attribute?;
        match attribute.kind() {
            KIND => {
                let text = attribute.value();
                kind =
                    String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned();
            }
            OPTIONS => {
                for option in attributes(attribute.value()) {
                    let option = option?;
                    if option.kind() == BPF_ID {
                        let id = option.value().first_chunk();
                        program = id.map(|id| u32::from_ne_bytes(*id));
                    }
                }
            }
            _ => {}
        }
    }
    let is_bpf = kind == BPF;
    Ok(((handle != 0) == is_bpf).then_some(Filter {
        priority: (info >> 16) as u16,
        protocol: u16::from_be(info as u16),
        handle,
        kind,
        program: program.filter(|_| is_bpf),
    }))
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, Error>> {
    NlasIterator::new(bytes).map(|attribute| attribute.map_err(Error::other))
}

fn cut_short() -> Error {
    Error::other("the kernel's answer is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tc filter show dev eth0 egress`, as the kernel says it: `u32` of priority 1 for IPv4, then
    /// a program of priority 2 in a filter with the handle 0x5cc.
    fn answer() -> Vec<u8> {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let message = |kind: &str, handle: u32, priority: u32, protocol: u16, options: &[u8]| {
            let info = priority << 16 | u32::from(protocol.to_be());
            let mut body = [0, 7, handle, 0xffff_fff3, info]
                .map(u32::to_ne_bytes)
                .concat();
            body.extend(attribute(KIND, format!("{kind}\0").as_bytes()));
            body.extend(attribute(OPTIONS, options));
            let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
            bytes.extend(44_u16.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(body);
            bytes
        };
        let program = attribute(BPF_ID, &7_u32.to_ne_bytes());
        [
            message("u32", 0, 1, 0x0800, &[]),
            message("u32", 0x8000_0000, 1, 0x0800, &[]),
            message("u32", 0x8000_0800, 1, 0x0800, &attribute(BPF_ID, &[1; 4])),
            message("bpf", 0, 2, 3, &[]),
            message("bpf", 0x5cc, 2, 3, &program),
        ]
        .concat()
    }

    #[test]
    fn filters_are_read_in_their_order() {
        let mut filters = Vec::new();
        assert!(!read(&answer(), &mut filters).unwrap());
        let filter = |priority, protocol, handle, kind: &str, program| Filter {
            priority,
            protocol,
            handle,
            kind: kind.to_owned(),
            program,
        };
        assert_eq!(
            filters,
            [
                filter(1, 0x0800, 0, "u32", None),
                filter(2, 3, 0x5cc, "bpf", Some(7)),
            ]
        );
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let answer = answer();
        for length in 1..answer.len() {
            let mut filters = Vec::new();
            if let Ok(ended) = read(&answer[..length], &mut filters) {
                assert!(!ended && filters.len() < 2, "{length}");
            }
        }
    }
}
