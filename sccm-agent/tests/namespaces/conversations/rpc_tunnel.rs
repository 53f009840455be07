//! `rpc = "tracked"` where packets begin with their IP header (tun, WireGuard, PPP).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener};

use anyhow::{Context as _, Result};
use sccm_tests::agent::{Hosts, LONG};
use sccm_tests::packet::Packet;
use sccm_tests::packet::rpc::{self, Unit};
use sccm_tests::traffic::{PATIENCE, Tun, tcp_server};

use super::crossing::packet;

const HANDED_OUT: u16 = 49_700;

/// The client's port.
const OWN: u16 = 40_001;

/// The other end of the tunnel, spoken for by the test, and this end.
struct Peer<'t> {
    tun: &'t Tun,
    own: IpAddr,
    point: IpAddr,
}

impl Peer<'_> {
    fn to(&self, port: u16) -> Packet {
        packet(self.own, self.point).tcp(OWN, port)
    }

    /// The sequence number of the answer to a SYN, if one comes.
    fn opens(&self, port: u16, expected: bool) -> Result<Option<u32>> {
        self.tun.send(&self.to(port).syn().sequence(99).build())?;
        // From the port, and to this one.
        let ports = [port, OWN].map(u16::to_be_bytes).concat();
        let at = if self.own.is_ipv4() { 20 } else { 40 };
        let is_it = |bytes: &[u8]| bytes.get(at..at + 4) == Some(&ports);
        let patience = if expected { LONG } else { PATIENCE };
        let answer = self.tun.receive(patience, is_it)?;
        let number = |bytes: Vec<u8>| bytes.get(at + 4..)?.first_chunk().copied();
        Ok(answer.and_then(number).map(u32::from_be_bytes))
    }
}

#[test]
fn a_mapper_behind_a_tunnel_opens_ports() -> Result<()> {
    let hosts = Hosts::new()?;
    let tun = Tun::create(&hosts.point, "tun0")?;
    for line in [
        "address add 198.51.100.2/24 dev tun0",
        "address add 2001:db8:7::2/64 dev tun0 nodad",
        "link set dev tun0 up",
    ] {
        hosts.point.ip(line)?;
    }
    let what = "--role distribution-point --rpc tracked --interface tun0 --hook auto";
    let agent = hosts.enforce(what)?;
    let contexts: [rpc::Context<'_>; 1] = [(0, rpc::MAPPER, &[rpc::NDR32])];
    let question = [
        rpc::proposal(Unit::new(11, 1), &contexts),
        rpc::request(Unit::new(0, 2), 0, 3, &[0; 40]),
    ]
    .concat();
    let towers = rpc::towers(false, false, &[rpc::tower(7, HANDED_OUT, [0; 4])], 0);
    let answer = rpc::response(Unit::new(2, 2), 0, &towers);
    for (own, point) in [
        ("198.51.100.1", "198.51.100.2"),
        ("2001:db8:7::1", "2001:db8:7::2"),
    ] {
        let (own, point) = (own.parse()?, point.parse()?);
        let tun = &tun;
        let peer = Peer { tun, own, point };
        let mapper = hosts.point.enter(|| TcpListener::bind((point, 135)))?;
        let _server = tcp_server(&hosts.point, (point, HANDED_OUT).into())?;
        assert_eq!(peer.opens(HANDED_OUT, false)?, None);
        let theirs = peer.opens(135, true)?.context("the mapper is closed")?;
        let talks = || peer.to(135).sequence(100).acknowledgement(theirs + 1).ack();
        tun.send(&talks().build())?;
        let (mut talk, _) = mapper.accept()?;
        talk.set_read_timeout(Some(LONG))?;
        tun.send(&talks().psh().data(question.clone()).build())?;
        talk.read_exact(&mut vec![0; question.len()])?;
        talk.write_all(&answer)?;
        let is_answer = |bytes: &[u8]| bytes.ends_with(&answer);
        tun.receive(LONG, is_answer)?.context("no answer arrives")?;
        assert!(peer.opens(HANDED_OUT, true)?.is_some());
    }
    let metrics = agent.metrics()?;
    assert_eq!(metrics.dropped(&[("reason", "rpc-not-named")]), 2);
    assert_eq!(metrics.sum("sccm_rpc_openings", &[]), 2.0);
    Ok(())
}
