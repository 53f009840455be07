//! Packets above 64 KiB, which kernels put together if they are told to (BIG TCP), at the hooks that
//! see them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Result, bail, ensure};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::{Socket, SocketAddr as SocketAddress, protocols::NETLINK_ROUTE};
use sccm_tests::agent::{ALLOWED, Hosts, LONG, POINT};
use sccm_tests::netns::Namespace;

/// What is sent each way, in bytes.
const BULK: usize = 200 << 20;

/// What the kernel may put together, in bytes.
const BIG: u32 = 185_000;

/// The largest packet that a length field can tell.
const LARGEST: u64 = 65_535;

/// A port of the client's, outside of the RPC range.
const ANSWERS: u16 = 8443;

/// Has a card's kernel put together more than a length field can tell. Debian's `ip` knows no such
/// setting of IPv4.
fn allow_big(index: u32) -> Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![
        LinkAttribute::GsoMaxSize(BIG),
        LinkAttribute::GroMaxSize(BIG),
        LinkAttribute::GsoIpv4MaxSize(BIG),
        LinkAttribute::GroIpv4MaxSize(BIG),
    ];
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddress::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        other => bail!("the kernel says {other:?}"),
    }
}

/// Sends [`BULK`] bytes from one host to another, over a connection that the first one opens.
fn send_bulk(from: &Namespace, to: &Namespace, address: IpAddr, port: u16) -> Result<()> {
    let address = SocketAddr::new(address, port);
    let listener = to.enter(|| TcpListener::bind(address))?;
    let mut sender = from.enter(|| TcpStream::connect_timeout(&address, LONG))?;
    let (mut receiver, _) = listener.accept()?;
    sender.set_write_timeout(Some(LONG))?;
    receiver.set_read_timeout(Some(LONG))?;
    let sending = thread::spawn(move || -> Result<()> {
        let chunk = vec![7; 1 << 20];
        for _ in 0..BULK / chunk.len() {
            sender.write_all(&chunk)?;
        }
        Ok(())
    });
    let mut buffer = vec![0; 1 << 20];
    let mut heard = 0;
    loop {
        match receiver.read(&mut buffer)? {
            0 => break,
            length => heard += length,
        }
    }
    sending.join().expect("the sender does not panic")?;
    ensure!(heard == BULK, "only {heard} bytes arrived");
    Ok(())
}

#[test]
fn big_tcp_passes_xdp_in_the_stack_both_ways_in_both_families() -> Result<()> {
    big_tcp_passes("xdp-generic")
}

#[test]
fn big_tcp_passes_tc_both_ways_in_both_families() -> Result<()> {
    big_tcp_passes("tc")
}

fn big_tcp_passes(hook: &str) -> Result<()> {
    let hosts = Hosts::new()?;
    for host in [&hosts.client, &hosts.point] {
        let index = host.enter(|| if_nametoindex("eth0"))?;
        host.enter(|| allow_big(index))?;
    }
    let agent = hosts.enforce(&format!("{POINT} --hook {hook}"))?;
    for family in [0, 1] {
        let (client, point) = (Hosts::CLIENT[family], Hosts::POINT[family]);
        send_bulk(&hosts.client, &hosts.point, point, ALLOWED)?;
        send_bulk(&hosts.point, &hosts.client, client, ANSWERS)?;
    }
    let metrics = agent.metrics()?;
    ensure!(metrics.dropped(&[]) == 0, "{metrics:#?}");
    // The frames that went were longer than a length field can tell.
    for direction in ["inbound", "outbound"] {
        let labels = [("direction", direction), ("protocol", "tcp")];
        let bytes = metrics.sum("sccm_passed_bytes_total", &labels) as u64;
        let most = metrics.passed(&labels);
        ensure!(
            bytes / most > LARGEST,
            "{direction}: no packets are put together: {bytes} / {most}"
        );
    }
    Ok(())
}
