//! A distribution point stays a healthy member of its network while the real agent enforces:
//! neighbours find each other, path-MTU messages arrive, and its own connections work.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use sccm_tests::agent::{Hosts, LONG, POINT};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::packet::Packet;
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{
    FrameSocket, Outcome, ping, tcp_exchange, tcp_server, udp_echo_server, udp_exchange,
};

/// Both hosts forget who is on the link.
fn forget_neighbours(hosts: &Hosts) -> Result<()> {
    for host in [&hosts.client, &hosts.point] {
        host.ip("-4 neighbour flush dev eth0")?;
        host.ip("-6 neighbour flush dev eth0")?;
    }
    Ok(())
}

#[test]
fn neighbours_are_found_again_and_again() -> Result<()> {
    let hosts = Hosts::new()?;
    let _server = hosts.tcp_servers(&[80])?;
    let agent = hosts.enforce(POINT)?;
    // An entry is good for 30 seconds, so this is ten minutes.
    const ROUNDS: u64 = 20;
    for _ in 0..ROUNDS {
        forget_neighbours(&hosts)?;
        hosts.assert_tcp(&[80], Outcome::Connected);
    }
    let metrics = agent.metrics()?;
    for reason in ["arp", "neighbour-discovery"] {
        let passed = metrics.passed(&[("reason", reason)]);
        assert!(passed >= ROUNDS, "{reason}: {passed}");
    }
    Ok(())
}

/// The counterpart of the test above: it would notice.
#[test]
fn without_its_essentials_the_point_is_lost() -> Result<()> {
    let hosts = Hosts::new()?;
    let _server = hosts.tcp_servers(&[80])?;
    let agent = hosts.enforce(&format!(
        "{POINT} --without-essential arp --without-essential neighbour-discovery"
    ))?;
    forget_neighbours(&hosts)?;
    hosts.assert_tcp(&[80], Outcome::TimedOut);
    let dropped = |metrics: &Metrics| {
        let removed = [("reason", "essential-removed")];
        metrics.dropped(&removed)
    };
    agent.metrics_when(|metrics| dropped(metrics) >= 2)?;
    Ok(())
}

/// Sends 512 KiB from the point to a client that asks at port 80; returns how much arrives.
fn download(client: &Namespace, point: &Namespace, from: SocketAddr) -> Result<usize> {
    const LENGTH: usize = 512 * 1024;
    let listener = point.enter(|| TcpListener::bind(from))?;
    let mut receiver = client.enter(|| TcpStream::connect_timeout(&from, LONG))?;
    receiver.set_read_timeout(Some(LONG))?;
    let (mut sender, _) = listener.accept()?;
    sender.set_write_timeout(Some(LONG))?;
    thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&[0; LENGTH]));
        let mut received = Vec::new();
        receiver.read_to_end(&mut received)?;
        Ok(received.len())
    })
}

#[test]
fn path_mtu_messages_arrive() -> Result<()> {
    // The client becomes a router, and `far` is behind a link with a smaller MTU.
    let hosts = Hosts::new()?;
    let (router, point, far) = (&hosts.client, &hosts.point, Namespace::new("far")?);
    let (near_end, far_end) = veth_pair(router, "small", &far, "eth0")?;
    near_end
        .mtu(1400)?
        .address("198.51.100.254/24")?
        .address("2001:db8:1::fe/64")?;
    far_end
        .address("198.51.100.1/24")?
        .address("2001:db8:1::1/64")?;
    router.sysctl("net.ipv4.ip_forward", "1")?;
    router.sysctl("net.ipv6.conf.all.forwarding", "1")?;
    far.route("default via 198.51.100.254")?;
    far.ip("-6 route add default via 2001:db8:1::fe")?;
    point.route("198.51.100.0/24 via 192.0.2.1")?;
    point.route("2001:db8:1::/64 via 2001:db8::1")?;

    let agent = hosts.enforce(POINT)?;
    for (address, client) in Hosts::POINT
        .into_iter()
        .zip(["198.51.100.1", "2001:db8:1::1"])
    {
        let received = download(&far, point, (address, 80).into())?;
        assert_eq!(received, 512 * 1024, "{client}");
        let route = point.ip(&format!("route get {client}"))?;
        assert!(route.contains("mtu 1400"), "{route}");
    }
    let errors = [("reason", "icmp-error"), ("interface", "eth0")];
    let passed = agent.metrics()?.passed(&errors);
    assert!(passed >= 2, "{passed} ICMP errors");
    Ok(())
}

#[test]
fn the_points_own_connections_work_and_only_they() -> Result<()> {
    let hosts = Hosts::new()?;
    let (client, point) = (&hosts.client, &hosts.point);
    let _tcp = tcp_server(client, (Ipv6Addr::UNSPECIFIED, 25).into())?;
    let _udp = udp_echo_server(client, (Ipv6Addr::UNSPECIFIED, 53).into())?;
    let agent = hosts.enforce(POINT)?;
    for address in Hosts::CLIENT {
        assert!(tcp_exchange(point, (address, 25).into(), LONG), "{address}");
        assert!(udp_exchange(point, (address, 53).into(), LONG), "{address}");
        assert!(ping(point, address, LONG)?, "{address}");
    }
    let metrics = agent.metrics()?;
    for protocol in ["tcp", "udp", "icmp", "icmpv6"] {
        let replies = [("reason", "reply"), ("protocol", protocol)];
        assert!(metrics.passed(&replies) > 0, "{protocol}");
    }
    assert_eq!(metrics.dropped(&[]), 0);

    let sender = FrameSocket::open(client.interface("eth0"))?;
    let receiver = FrameSocket::open(point.interface("eth0"))?;
    for packet in hosts.packets()? {
        let packet = |data: &str| packet.clone().data(data);
        let unsolicited: [Packet; 4] = [
            packet("unsolicited").tcp(25, 40001).syn().ack(),
            packet("unsolicited").tcp(25, 40001).ack(),
            packet("unsolicited").tcp(25, 40001).rst(),
            packet("unsolicited").udp(53, 40001),
        ];
        for packet in unsolicited {
            sender.send(&packet.build())?;
        }
        sender.send(&packet("the last one").udp(53, 63500).build())?;
        let ours =
            |frame: &[u8]| frame.ends_with(b"unsolicited") || frame.ends_with(b"the last one");
        let first = receiver.receive(LONG, ours)?.expect("the allowed frame");
        assert!(first.ends_with(b"the last one"), "{first:02x?}");
    }
    let metrics = agent.metrics()?;
    let refused = [("reason", "not-allowed")];
    assert_eq!(metrics.dropped(&refused), 8);
    Ok(())
}
