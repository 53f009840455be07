//! Lists what nftables knows, over netlink (`include/uapi/linux/netfilter/nf_tables.h`).

use netlink_packet_route::AddressFamily;
use rtnetlink::packet_core::{
    NLA_HEADER_SIZE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::convert::Infallible;
use std::io::{Error, ErrorKind};

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
const NFTABLES: u16 = 10 << 8;
pub(super) const GET_CHAIN: u16 = NFTABLES | 4;
pub(super) const GET_RULE: u16 = NFTABLES | 7;

/// `struct nfgenmsg`: family, version, and two bytes of resource.
const HEADER: usize = 4;

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub kind: u16,
    pub value: &'a [u8],
}

/// A message with its header, as bytes.
#[derive(Debug)]
struct Message {
    kind: u16,
    body: Vec<u8>,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self {
            kind: header.message_type,
            body: payload.to_vec(),
        })
    }
}

/// The attributes of everything of a kind, of all families. Nothing where the kernel has no
/// nftables.
pub(super) fn dump(kind: u16) -> Result<Vec<Vec<u8>>, Error> {
    match ask(kind) {
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        listed => listed,
    }
}

fn is_absent(error: &Error) -> bool {
    let absent = [libc::EINVAL, libc::EOPNOTSUPP, libc::EPROTONOSUPPORT];
    error
        .raw_os_error()
        .is_some_and(|code| absent.contains(&code))
}

fn ask(kind: u16) -> Result<Vec<Vec<u8>>, Error> {
    let body = vec![u8::from(AddressFamily::Unspec), 0, 0, 0];
    let mut question = NetlinkMessage::new(
        NetlinkHeader::default(),
        NetlinkPayload::InnerMessage(Message { kind, body }),
    );
    question.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_NETFILTER)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;

    let mut listed = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<Message>::deserialize(rest);
            let message = message.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(listed),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(message) => {
                    listed.push(message.body.get(HEADER..).unwrap_or_default().to_vec());
                }
                _ => {}
            }
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// The attributes in a message, or in an attribute; those before the first that is cut off.
pub(super) fn attributes(value: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let all = NlasIterator::new(value).map_while(Result::ok);
    all.map(|one| {
        let (kind, length) = (one.kind(), usize::from(one.length()));
        let value = one.into_inner().get(NLA_HEADER_SIZE..length);
        Attribute {
            kind,
            value: value.unwrap_or_default(),
        }
    })
}

/// The text of an attribute, which ends with a zero.
pub(super) fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// An attribute as it is on the wire.
#[cfg(test)]
pub(super) fn encode(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (HEADER + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
