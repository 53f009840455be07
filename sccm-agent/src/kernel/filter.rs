//! The filter that runs our program where a kernel has no TCX: at one place of the clsact
//! queueing discipline of each interface.
//!
//! aya attaches and removes such a filter. Here is what it does not offer: the queueing
//! discipline itself, and the question which program a filter runs. It asks over netlink and
//! waits for the answer, because nothing else goes on while programs are attached.

use super::root_cause;
use anyhow::{Context as _, Result, anyhow};
use aya::programs::TcAttachType;
use aya::programs::links::Link as _;
use aya::programs::tc::{SchedClassifierLink, TcHandle};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpf, TcFilterBpfOption, TcHandle as Handle, TcMessage, TcOption,
};
use nix::net::if_::if_nameindex;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io::Error;

/// As early as can be. A filter that decides ends the round, and ours decides only to drop. Among
/// filters of the same priority, the kernel asks the newest first.
pub(crate) const PRIORITY: u16 = 1;

/// Ours among filters of the same priority; a number that `tc` would not choose.
pub(crate) const HANDLE: u16 = 0x5cc;

/// The handle as aya writes it.
pub(crate) const fn handle() -> TcHandle {
    TcHandle::new(0, HANDLE)
}

/// Our filter of what leaves an interface, whether or not there is one yet.
///
/// # Errors
/// There is no such interface.
pub(crate) fn at(interface: &str) -> Result<SchedClassifierLink, Error> {
    SchedClassifierLink::attached(interface, TcAttachType::Egress, PRIORITY, handle(), None)
}

/// Removes the filters that run a program, from every interface of this network namespace.
pub(crate) fn remove(program: u32) -> Result<()> {
    for interface in &if_nameindex().context("listing the interfaces")? {
        if program_at(interface.index())? != Some(program) {
            continue;
        }
        let name = interface.name().to_string_lossy();
        at(&name)?.detach().map_err(|error| {
            anyhow!(
                "removing the filter of what leaves {name}: {}",
                root_cause(&error)
            )
        })?;
    }
    Ok(())
}

/// Gives an interface, by its number, the clsact queueing discipline, unless it has it.
///
/// # Errors
/// The kernel refuses. It does so where an `ingress` one is there, whose filters
/// would take what leaves for what arrives.
pub(crate) fn add_clsact(index: u32) -> Result<(), Error> {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = Handle {
        major: Handle::CLSACT.major,
        minor: 0,
    };
    message.header.parent = Handle::CLSACT;
    message.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
    let message = RouteNetlinkMessage::NewQueueDiscipline(message);
    ask(message, NLM_F_ACK | NLM_F_CREATE).map(drop)
}

/// The id of the program that our filter runs for what leaves an interface; `None` if there is
/// no such filter, or no such interface.
pub(crate) fn program_at(index: u32) -> Result<Option<u32>, Error> {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = u32::from(HANDLE).into();
    message.header.parent = Handle {
        major: Handle::CLSACT.major,
        minor: Handle::MIN_EGRESS,
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
