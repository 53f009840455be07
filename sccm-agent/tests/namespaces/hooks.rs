//! Where what comes in is judged: at XDP or at TC, as the card needs it or as the operator says; and
//! from one to the other without a gap.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use pcap_file::DataLink;
use sccm_common::Hook;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, LONG, POINT, Witness};
use sccm_tests::foreign::Foreign;
use sccm_tests::packet::Packet;
use sccm_tests::traffic::{FrameSocket, Outcome, PATIENCE, Tun, tcp_connect};

use crate::capture::running::Running;

/// What a client sends, in bytes.
const BULK: usize = 32 << 20;

/// The longest frame of one segment on these cards.
const ONE_SEGMENT: u64 = 1514;

/// Sends [`BULK`] bytes from the client to the point over a connection.
fn send_bulk(hosts: &Hosts) -> Result<()> {
    let address = SocketAddr::new(Hosts::POINT[0], ALLOWED);
    let listener = hosts.point.enter(|| TcpListener::bind(address))?;
    let mut sender = hosts
        .client
        .enter(|| TcpStream::connect_timeout(&address, LONG))?;
    let (mut receiver, _) = listener.accept()?;
    sender.set_write_timeout(Some(LONG))?;
    receiver.set_read_timeout(Some(LONG))?;
    let sending = thread::spawn(move || sender.write_all(&vec![7; BULK]));
    let mut heard = Vec::new();
    receiver.read_to_end(&mut heard)?;
    sending.join().expect("the sender does not panic")?;
    ensure!(heard.len() == BULK, "only {} bytes arrived", heard.len());
    Ok(())
}

/// Bytes of a frame that passed inbound by TCP, on average.
fn average(agent: &Agent<'_>) -> Result<u64> {
    let metrics = agent.metrics()?;
    let labels = [("direction", "inbound"), ("protocol", "tcp")];
    Ok(metrics.sum("sccm_passed_bytes_total", &labels) as u64 / metrics.passed(&labels))
}

#[test]
fn auto_judges_a_virtual_cable_at_tc_where_large_packets_stay_whole() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --hook auto"))?;
    assert_eq!(hosts.status()?.of("eth0"), ("enforcing", "tc"));
    let log = agent.log()?;
    assert!(
        log.contains("eth0: judging at tc (veth: with an XDP program"),
        "{log}"
    );
    send_bulk(&hosts)?;
    let at_tc = average(&agent)?;
    assert!(at_tc > 4 * ONE_SEGMENT, "{at_tc} bytes a packet");
    let ended = agent.end(Signal::SIGTERM)?;
    assert_eq!(ended.code, Some(0));
    hosts.assert_untouched()?;

    // At XDP each segment comes by itself.
    let agent = hosts.enforce(&format!("{POINT} --hook xdp"))?;
    send_bulk(&hosts)?;
    let at_xdp = average(&agent)?;
    assert!(at_xdp <= ONE_SEGMENT, "{at_xdp} bytes a packet");
    Ok(())
}

#[test]
fn a_card_without_a_driver_for_xdp_is_judged_at_tc_and_that_is_said() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    // Whoever asks over the loopback interface while it is attached may lose the answer.
    let agent = Agent::start_guarded(
        &hosts.point,
        hosts.command(&format!("enforce {POINT} --interface lo --hook auto"))?,
    )?;
    let log = agent.log()?;
    assert!(!log.contains("WARN"), "{log}");
    assert!(
        log.contains("lo: judging at tc (its driver takes no XDP programs)"),
        "{log}"
    );
    assert_eq!(hosts.status()?.of("lo"), ("enforcing", "tc"));
    hosts.assert_enforced();
    // What goes to an address of its own takes the same way as what goes to loopback.
    for address in ["::1", "127.0.0.1", "2001:db8::2", "192.0.2.2"] {
        let to = address.parse()?;
        let inside =
            |port, patience| tcp_connect(&hosts.point, SocketAddr::new(to, port), patience);
        assert_eq!(inside(ALLOWED, LONG), Outcome::Connected, "{address}");
        assert_eq!(inside(FORBIDDEN, PATIENCE), Outcome::TimedOut, "{address}");
    }
    Ok(())
}

#[test]
fn a_running_card_changes_its_hook_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let start = |hook: &str| hosts.enforce(&format!("{POINT} --hook {hook}"));
    start("xdp")?.end(Signal::SIGKILL)?;
    let before = hosts.status()?.generation();
    for (hook, state, mode) in [
        ("tc", "enforcing", "tc"),
        ("xdp-generic", "generic", "generic"),
        ("tc", "enforcing", "tc"),
        ("xdp", "enforcing", "native"),
        ("auto", "enforcing", "tc"),
    ] {
        let witness = Witness::start(&hosts)?;
        witness.look()?;
        let agent = start(hook)?;
        witness.look()?;
        // A driver that gets or loses its XDP program starts its queues anew, and loses what is in them.
        let seen = witness.finish()?;
        println!("to {hook}: {seen:?}");
        assert!(seen.sent > 0 && seen.forbidden == 0, "{hook}: {seen:?}");
        let status = hosts.status()?;
        assert_eq!(status.of("eth0"), (state, mode), "{hook}");
        assert_eq!(status.generation(), before);
        hosts.assert_enforced();
        agent.end(Signal::SIGKILL)?;
    }
    Ok(())
}

/// The kernel has no two XDP modes on a card at once.
#[test]
fn one_xdp_mode_does_not_follow_the_other_and_a_way_is_said() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    for (is, wanted) in [("xdp", "xdp-generic"), ("xdp-generic", "xdp")] {
        hosts
            .enforce(&format!("{POINT} --hook {is}"))?
            .end(Signal::SIGKILL)?;
        hosts
            .run(&format!("enforce {POINT} --hook {wanted}"))?
            .assert_refused(&["eth0 is enforced at", "--hook tc once", wanted]);
        hosts.assert_enforced();
        assert_eq!(hosts.run("detach")?.code, Some(0));
    }
    Ok(())
}

/// The kernel takes the outer tag off before TC, and keeps it beside the frame.
#[test]
fn tags_beside_the_frame_are_tags() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --hook tc"))?;
    let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
    let frame = |packet: &Packet, tags: &[u16]| {
        let tagged = tags
            .iter()
            .fold(packet.clone(), |packet, id| packet.vlan(*id));
        tagged.build()
    };
    for packet in hosts.packets()? {
        let syn = packet.tcp(40000, ALLOWED).syn();
        for tags in [&[][..], &[0], &[0, 0], &[0, 0, 0]] {
            socket.send_until_taken(&frame(&syn, tags))?;
        }
    }
    let metrics = agent.metrics_when(|metrics| metrics.dropped(&[]) >= 2)?;
    assert_eq!(metrics.dropped(&[("reason", "vlan-depth")]), 2);
    assert_eq!(
        metrics.passed(&[("direction", "inbound"), ("service", "http")]),
        6
    );
    Ok(())
}

/// One that sees packets first may hide them.
#[test]
fn whoever_stands_before_the_ingress_program_is_told() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(&format!("{POINT} --hook tc"))?;
    let foreign = Foreign::load()?;
    let _standing = foreign.in_front(&hosts.point.interface("eth0"), Hook::Ingress)?;
    let before = [("interface", "eth0")];
    agent.metrics_when(|metrics| metrics.sum("sccm_egress_programs_before", &before) > 0.5)?;
    assert_eq!(hosts.status()?.of("eth0"), ("egress-behind", "tc"));
    Ok(())
}

/// WireGuard, tun and PPP: what goes through them begins with its IP header.
#[test]
fn a_tunnel_without_ethernet_headers_is_enforced() -> Result<()> {
    let hosts = Hosts::new()?;
    let tun = Tun::create(&hosts.point, "tun0")?;
    for line in [
        "address add 198.51.100.2/24 dev tun0",
        "address add 2001:db8:7::2/64 dev tun0 nodad",
        "link set dev tun0 up",
    ] {
        hosts.point.ip(line)?;
    }
    let _servers = hosts.tcp_servers(&[ALLOWED, FORBIDDEN])?;
    let packets = [
        Packet::ipv4("198.51.100.1", "198.51.100.2"),
        Packet::ipv6("2001:db8:7::1", "2001:db8:7::2"),
    ];
    let answers_to = |from: u16, port: u16| -> Result<[bool; 2]> {
        let mut answered = [false; 2];
        for (packet, answered) in packets.iter().zip(&mut answered) {
            tun.send(&packet.clone().tcp(from, port).syn().build())?;
            // From the port, and to the one that asked.
            let ports = [port, from].map(u16::to_be_bytes).concat();
            let is_it = |bytes: &[u8]| bytes.windows(4).any(|window| window == ports);
            let patience = if port == ALLOWED { LONG } else { PATIENCE };
            *answered = tun.receive(patience, is_it)?.is_some();
        }
        Ok(answered)
    };
    // Another port than below: the server repeats this answer for as long as nobody takes it.
    let before = answers_to(40001, FORBIDDEN)?;
    assert_eq!(before, [true; 2], "nothing is enforced yet");
    let answers = |port| answers_to(40000, port);
    let agent = hosts.enforce(&format!("{POINT} --interface tun0 --hook auto"))?;
    assert!(
        agent
            .log()?
            .contains("tun0: judging at tc (its frames have no Ethernet header)")
    );
    assert_eq!(hosts.status()?.of("tun0"), ("enforcing", "tc"));
    let running = Running::start(&hosts, "--interface tun0")?;
    assert_eq!(answers(ALLOWED)?, [true; 2]);
    assert_eq!(answers(FORBIDDEN)?, [false; 2]);
    // Too short for an IP header.
    tun.send(&packets[0].clone().tcp(1, 2).build()[..14 + 12])?;
    let metrics = agent.metrics()?;
    let inbound = [("interface", "tun0"), ("direction", "inbound")];
    assert_eq!(
        metrics.dropped(&[&inbound[..], &[("reason", "not-allowed")]].concat()),
        2
    );
    assert_eq!(
        metrics.dropped(&[&inbound[..], &[("reason", "ipv4-truncated")]].concat()),
        1
    );
    assert_eq!(
        metrics.passed(&[&inbound[..], &[("service", "http")]].concat()),
        2
    );
    let blocked = hosts.run("blocked -o json")?.stdout;
    for part in ["198.51.100.1", "2001:db8:7::1", "0x0800"] {
        assert!(blocked.contains(part), "{blocked}");
    }
    let (captured, _) = running.end(Signal::SIGINT)?;
    let begins = captured.iter().map(|one| (one.link, one.data[0] >> 4));
    let expected = [4, 6, 4].map(|version| (DataLink::RAW, version));
    assert_eq!(begins.collect::<Vec<_>>(), expected);
    Ok(())
}
