//! TCP segments to and from a mapper.

use crate::kernel::Said;
use crate::policy::ip_of;
use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TcpSlice, TransportSlice};
use sccm_common::rpc::MAPPER;
use std::net::{IpAddr, SocketAddr};

/// A segment of a connection to a mapper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// The client sends it.
    pub(super) is_question: bool,
    /// The number of its first byte.
    pub(super) sequence: u32,
    /// The number of the byte that its sender waits for.
    pub(super) acknowledgement: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    /// Room for bytes, as the header has it.
    pub(super) window: u16,
    /// By how many bits its sender will shift that; in a SYN.
    pub(super) scale: Option<u8>,
    pub(super) payload: &'a [u8],
    /// Bytes at its end are missing in the file.
    pub(super) is_cut: bool,
}

impl<'a> Segment<'a> {
    /// Of an Ethernet frame; `None` for all others.
    pub(super) fn of(frame: &'a [u8]) -> Option<Self> {
        let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let (source, destination, is_cut): (IpAddr, IpAddr, bool) = match packet.net? {
            LaxNetSlice::Ipv4(ip) => {
                let (header, payload) = (ip.header(), ip.payload());
                let source = header.source_addr().into();
                (source, header.destination_addr().into(), payload.incomplete)
            }
            LaxNetSlice::Ipv6(ip) => {
                let (header, payload) = (ip.header(), ip.payload());
                let source = header.source_addr().into();
                (source, header.destination_addr().into(), payload.incomplete)
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
            return None;
        };
        Self::of_tcp((source, destination), &tcp, is_cut)
    }

    /// Of one that the kernel program has handed over.
    pub(super) fn of_said(said: &'a Said) -> Option<Self> {
        let header = &said.header;
        let ends = [header.source, header.destination].map(|end| ip_of(header.family(), end));
        let tcp = TcpSlice::from_slice(&said.bytes).ok()?;
        let is_cut = said.bytes.len() < header.length as usize;
        Self::of_tcp(ends.into(), &tcp, is_cut)
    }

    fn of_tcp(
        (source, destination): (IpAddr, IpAddr),
        tcp: &TcpSlice<'a>,
        is_cut: bool,
    ) -> Option<Self> {
        let source = SocketAddr::new(source, tcp.source_port());
        let destination = SocketAddr::new(destination, tcp.destination_port());
        let (client, server, is_question) = match (source.port(), destination.port()) {
            (MAPPER, MAPPER) => return None,
            (_, MAPPER) => (source, destination, true),
            (MAPPER, _) => (destination, source, false),
            _ => return None,
        };
        let mut scale = None;
        for option in tcp.options_iterator().flatten() {
            if let TcpOptionElement::WindowScale(bits) = option {
                // RFC 7323, 2.3.
                scale = Some(bits.min(14));
            }
        }
        Some(Self {
            client,
            server,
            is_question,
            sequence: tcp.sequence_number(),
            acknowledgement: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            window: tcp.window_size(),
            scale,
            payload: tcp.payload(),
            is_cut,
        })
    }
}
