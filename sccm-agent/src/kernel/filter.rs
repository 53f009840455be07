//! The filters of the clsact queueing discipline, one of which runs our program where a kernel has
//! no TCX.
//!
//! aya attaches and removes such a filter. Here is what it does not offer: the queueing
//! discipline itself, and the question which filters there are. It asks over netlink and
//! waits for the answer, because nothing else goes on while programs are attached.

mod listed;

pub(crate) use listed::{BPF, EVERY_PROTOCOL, Filter, list};

use super::root_cause;
use anyhow::{Context as _, Result, anyhow};
use aya::programs::TcAttachType;
use aya::programs::links::Link as _;
use aya::programs::tc::{SchedClassifierLink, TcHandle};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle as Handle, TcMessage};
use nix::net::if_::if_nameindex;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use sccm_common::Hook;
use std::io::Error;

/// Ours among filters of the same priority; a number that `tc` would not choose.
pub(crate) const HANDLE: u16 = 0x5cc;

/// Where aya attaches programs of a hook.
pub(crate) const fn attach_type(hook: Hook) -> TcAttachType {
    match hook {
        Hook::Ingress => TcAttachType::Ingress,
        Hook::Egress => TcAttachType::Egress,
    }
}

/// A filter at a hook of an interface, as aya has it, whether or not there is one yet.
///
/// # Errors
/// There is no such interface.
pub(crate) fn at(
    interface: &str,
    hook: Hook,
    priority: u16,
    handle: TcHandle,
) -> Result<SchedClassifierLink, Error> {
    SchedClassifierLink::attached(interface, attach_type(hook), priority, handle, None)
}

/// Removes the filters that run a program, from every interface of this network namespace.
pub(crate) fn remove(program: u32) -> Result<()> {
    for interface in &if_nameindex().context("listing the interfaces")? {
        let name = interface.name().to_string_lossy();
        for hook in [Hook::Ingress, Hook::Egress] {
            let filters = list(interface.index(), hook)?.into_iter();
            for filter in filters.filter(|filter| filter.program == Some(program)) {
                let link = at(&name, hook, filter.priority, filter.handle.into())?;
                link.detach().map_err(|error| {
                    anyhow!("removing a filter of {name}: {}", root_cause(&error))
                })?;
            }
        }
    }
    Ok(())
}

/// The filter that runs a program at a hook of an interface.
pub(crate) fn of_program(
    interface: u32,
    hook: Hook,
    program: u32,
) -> Result<Option<Filter>, Error> {
    let mut filters = list(interface, hook)?.into_iter();
    Ok(filters.find(|filter| filter.program == Some(program)))
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
    let socket = send(message, NLM_F_ACK | NLM_F_CREATE)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer);
    match answer.map_err(Error::other)?.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(Error::other("the kernel answered out of turn")),
    }
}

/// Sends one message over a new socket, which gets the answer.
fn send(message: RouteNetlinkMessage, flags: u16) -> Result<Socket, Error> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    Ok(socket)
}
