//! What aya does not ask of the kernel's traffic control.
//!
//! One question, one answer, at once: programs are attached where nothing else
//! goes on, so nothing is gained by the asynchronous netlink of the other rooms.

use super::clsact::{HANDLE, PRIORITY};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io::Error;

/// Gives an interface, by its number, the clsact queueing discipline, unless it has it.
///
/// # Errors
/// The kernel refuses. It does so where an `ingress` one is there, whose filters
/// would take what leaves for what arrives.
pub fn add_clsact(index: u32) -> Result<(), Error> {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: 0,
    };
    message.header.parent = TcHandle::CLSACT;
    message.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
    let message = RouteNetlinkMessage::NewQueueDiscipline(message);
    ask(message, NLM_F_ACK | NLM_F_CREATE).map(drop)
}

/// The program that the filter at our place runs for what leaves an interface,
/// if there is such a filter.
///
/// # Errors
/// The kernel does not answer.
pub fn program_at(index: u32) -> Result<Option<u32>, Error> {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = u32::from(HANDLE).into();
    message.header.parent = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: TcHandle::MIN_EGRESS,
    };
    message.header.info = u32::from(PRIORITY) << 16 | u32::from(every_protocol);
    message.attributes = vec![TcAttribute::Kind(TcFilterBpf::KIND.to_owned())];
    match ask(RouteNetlinkMessage::GetTrafficFilter(message), 0) {
        Ok(Some(RouteNetlinkMessage::NewTrafficFilter(filter))) => Ok(program(filter)),
        Ok(_) => Err(Error::other("the kernel answered something else")),
        // No such filter; no queueing discipline, or a filter of another kind;
        // one without classes; no such interface.
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP | libc::ENODEV) => Ok(None),
            _ => Err(error),
        },
    }
}

fn program(filter: TcMessage) -> Option<u32> {
    let options = filter.attributes.into_iter().find_map(|attribute| {
        let TcAttribute::Options(options) = attribute else {
            return None;
        };
        Some(options)
    })?;
    options.into_iter().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(id),
        _ => None,
    })
}

/// Sends one message, and returns the answer; none is an acknowledgement.
fn ask(message: RouteNetlinkMessage, flags: u16) -> Result<Option<RouteNetlinkMessage>, Error> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::deserialize(&answer).map_err(Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(Error::other("the kernel answered out of turn")),
    }
}
