//! What the protected side opens lets its answers in; nothing else does.

use crate::Reason::{NotAllowed, Outbound, Reply, Service};
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, STRANGER, World, class, v4};
use crate::{Reason, ServiceClass};
use sccm_packets::protocol::{ESP, GRE};
use sccm_packets::tcp_flag::{ACK, FIN, RST, SYN};

/// From the protected system to the peer, in both families.
fn ways() -> [Link; 2] {
    FAMILIES.map(|family| Link::new(family, PROTECTED, PEER))
}

#[test]
fn a_connection_is_opened_by_its_syn() {
    for out in ways() {
        let world = World::host();
        let back = out.back();
        let answer = back.tcp(80, 40000, SYN | ACK);
        assert_eq!(world.arrives(&answer), NotAllowed);
        assert_eq!(world.leaves(&out.tcp(40000, 80, SYN)), Outbound);
        assert_eq!(world.flows(), 1);
        let judged = world.ingress(&answer);
        assert_eq!((judged.reason, judged.service), (Reply, class::HTTP));
        assert_eq!(world.leaves(&out.tcp(40000, 80, ACK)), Outbound);
        assert_eq!(world.arrives(&back.tcp_data(80, 40000)), Reply);
        assert_eq!(world.flows(), 1);

        // Another port, another peer, another protocol: another flow.
        assert_eq!(world.arrives(&back.tcp_data(81, 40000)), NotAllowed);
        assert_eq!(world.arrives(&back.tcp_data(80, 40001)), NotAllowed);
        let stranger = Link::new(out.family, STRANGER, PROTECTED);
        assert_eq!(world.arrives(&stranger.tcp_data(80, 40000)), NotAllowed);
        assert_eq!(world.arrives(&back.udp(80, 40000, b"")), NotAllowed);
    }
}

#[test]
fn a_bare_syn_is_never_an_answer() {
    for out in ways() {
        let world = World::host();
        world.leaves(&out.tcp(40000, 80, SYN));
        world.leaves(&out.tcp(40000, 80, ACK));
        for flags in [SYN, SYN | FIN, SYN | RST] {
            let frame = out.back().tcp(80, 40000, flags);
            assert_eq!(world.arrives(&frame), NotAllowed, "{flags:#x}");
        }
        // It did not close the flow either.
        world.wait(world.policy.timeouts.tcp_closing + 1);
        assert_eq!(world.arrives(&out.back().tcp_data(80, 40000)), Reply);
    }
}

#[test]
fn answers_to_what_was_not_allowed_open_nothing() {
    for out in ways() {
        let world = World::host();
        for flags in [SYN | ACK, RST, RST | ACK] {
            assert_eq!(world.leaves(&out.tcp(3389, 50000, flags)), Outbound);
        }
        assert_eq!(world.leaves(&out.echo_reply(7)), Outbound);
        assert_eq!(world.leaves(&out.unreachable(&[0; 28])), Outbound);
        assert_eq!(world.remembered(), (0, 0, 0));
    }
}

#[test]
fn answers_of_an_allowed_service_open_nothing() {
    for out in ways() {
        let world = World::host().inbound(&[class::HTTP, class::DNS, class::ECHO]);
        let back = out.back();
        for flags in [SYN, ACK, RST, FIN | ACK] {
            assert_eq!(world.arrives(&back.tcp(50000, 80, flags)), Service);
        }
        assert_eq!(world.arrives(&back.udp(50000, 53, b"who")), Service);
        assert_eq!(world.arrives(&back.echo(7)), Service);
        for flags in [SYN | ACK, ACK, FIN | ACK, RST, 0] {
            let judged = world.egress(&out.tcp(80, 50000, flags)).unwrap();
            assert_eq!((judged.reason, judged.service), (Outbound, class::HTTP));
        }
        assert_eq!(world.leaves(&out.tcp_data(80, 50000)), Outbound);
        let judged = world.egress(&out.udp(53, 50000, b"me")).unwrap();
        assert_eq!((judged.reason, judged.service), (Outbound, class::DNS));
        let judged = world.egress(&out.echo_reply(7)).unwrap();
        assert_eq!((judged.reason, judged.service), (Outbound, class::ECHO));
        assert_eq!(world.remembered(), (0, 0, 0));
        // From a service's own port something may still be opened.
        assert_eq!(world.leaves(&out.tcp(80, 50000, SYN)), Outbound);
        assert_eq!(world.flows(), 1);
    }
}

#[test]
fn a_stream_under_way_is_picked_up_when_the_protected_side_speaks() {
    for out in ways() {
        for mine in [out.tcp(40000, 443, ACK), out.tcp_data(40000, 443)] {
            let world = World::host();
            let theirs = out.back().tcp_data(443, 40000);
            assert_eq!(world.arrives(&theirs), NotAllowed);
            assert_eq!(world.flows(), 0);
            assert_eq!(world.leaves(&mine), Outbound);
            assert_eq!(world.arrives(&theirs), Reply);
            // As an open one: it outlives a connection that is still opening.
            world.wait(world.policy.timeouts.tcp_opening + 1);
            assert_eq!(world.arrives(&theirs), Reply);
        }
    }
}

#[test]
fn a_syn_of_the_protected_side_begins_a_known_flow_anew() {
    for out in ways() {
        let world = World::host();
        let theirs = out.back().tcp_data(80, 40000);
        for flags in [SYN, ACK, RST] {
            world.leaves(&out.tcp(40000, 80, flags));
        }
        world.wait(world.policy.timeouts.tcp_closing + 1);
        assert_eq!(world.arrives(&theirs), NotAllowed);
        world.leaves(&out.tcp(40000, 80, SYN));
        world.wait(world.policy.timeouts.tcp_closing + 1);
        assert_eq!(world.arrives(&theirs), Reply);
        assert_eq!(world.flows(), 1);
        // With a reset in it, it ends what is known.
        world.leaves(&out.tcp(40000, 80, SYN | RST));
        world.wait(world.policy.timeouts.tcp_closing + 1);
        assert_eq!(world.arrives(&theirs), NotAllowed);
    }
}

#[test]
fn datagrams_and_echoes_open_flows() {
    for out in ways() {
        let world = World::host();
        let back = out.back();
        assert_eq!(world.arrives(&back.udp(53, 40000, b"me")), NotAllowed);
        assert_eq!(world.leaves(&out.udp(40000, 53, b"who")), Outbound);
        let judged = world.ingress(&back.udp(53, 40000, b"me"));
        assert_eq!((judged.reason, judged.service), (Reply, class::DNS));
        assert_eq!(world.arrives(&back.udp(53, 40001, b"me")), NotAllowed);

        assert_eq!(world.arrives(&back.echo_reply(7)), NotAllowed);
        assert_eq!(world.leaves(&out.echo(7)), Outbound);
        let judged = world.ingress(&back.echo_reply(7));
        assert_eq!((judged.reason, judged.service), (Reply, class::ECHO));
        assert_eq!(world.arrives(&back.echo_reply(8)), NotAllowed);
        // The peer may not ask in return.
        assert_eq!(world.arrives(&back.echo(7)), NotAllowed);
        assert_eq!(world.flows(), 2);
    }
}

#[test]
fn tunnels_without_ports_are_flows() {
    for out in ways() {
        for (protocol, class) in [(GRE, ServiceClass::GRE), (ESP, ServiceClass::OTHER)] {
            let world = World::host();
            let theirs = out.back().ip(protocol, &[0; 16]);
            assert_eq!(world.arrives(&theirs), NotAllowed);
            assert_eq!(world.leaves(&out.ip(protocol, &[0; 16])), Outbound);
            let judged = world.ingress(&theirs);
            assert_eq!((judged.reason, judged.service), (Reply, class));
            let stranger = Link::new(out.family, STRANGER, PROTECTED);
            assert_eq!(world.arrives(&stranger.ip(protocol, &[0; 16])), NotAllowed);
        }
    }
}

#[test]
fn what_arrives_never_opens_anything() {
    for out in ways() {
        let world = World::host().inbound(&[class::HTTP, class::DNS, class::ECHO]);
        let back = out.back();
        for port in [80, 81, 53, 69, 1723] {
            for flags in 0..=0x3f {
                world.arrives(&back.tcp(50000, port, flags));
            }
            world.arrives(&back.tcp_data(50000, port));
            world.arrives(&back.udp(50000, port, b"\x00\x01file\x00octet\x00"));
        }
        world.arrives(&back.echo(7));
        world.arrives(&back.echo_reply(7));
        world.arrives(&back.unreachable(&[0x45; 64]));
        for protocol in 0..=u8::MAX {
            world.arrives(&back.ip(protocol, &[0; 64]));
        }
        assert_eq!(world.flows(), 0);
        assert_eq!(world.remembered().2, 0, "TFTP is not allowed here");
    }
}

#[test]
fn a_pptp_control_connection_brings_its_tunnel() {
    // The protected system as the client, and as the server.
    let out = v4(PROTECTED, PEER);
    for (mine, service, flags) in [
        ((40000, 1723), None, [SYN, ACK, RST]),
        ((1723, 40000), Some(class::PPTP), [SYN | ACK, ACK, RST]),
    ] {
        let world = World::host().inbound(service.as_slice());
        let theirs = out.back().ip(GRE, &[0; 16]);
        for flags in flags {
            world.leaves(&out.tcp(mine.0, mine.1, flags));
        }
        assert_eq!(world.arrives(&theirs), NotAllowed, "{mine:?}");
        assert_eq!(world.leaves(&out.tcp_data(mine.0, mine.1)), Outbound);
        assert_eq!(world.arrives(&theirs), Reply, "{mine:?}");
        let stranger = v4(STRANGER, PROTECTED).ip(GRE, &[0; 16]);
        assert_eq!(world.arrives(&stranger), Reason::NotAllowed);
    }
    // Data on another port brings none.
    let world = World::host();
    world.leaves(&out.tcp_data(40000, 1724));
    assert_eq!(world.arrives(&out.back().ip(GRE, &[0; 16])), NotAllowed);
}
