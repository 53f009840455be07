//! Questions in the kernel's table: who asked, and a flood of others.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason::{
    DhcpReply, DhcpRequest, NotAllowed, Outbound as Left, OutboundNotAllowed, Service,
};
use sccm_tests::datapath::Settings;
use sccm_tests::packet::Packet;

use super::{FAMILIES, Fate as _, datapath, pxe};

#[test]
fn an_answer_passes_to_who_asked_for_a_minute() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&pxe(Outbound::Enforce))?;
        let (question, answer) = (pair.back().udp(50000, 53), pair.out().udp(53, 50000));
        let other = pair.out().udp(53, 50001);
        assert_eq!(kernel.leaves(&answer)?, OutboundNotAllowed);
        assert_eq!(kernel.arrives(&question)?, Service);
        assert_eq!(kernel.leaves(&answer)?, Left);
        assert_eq!(kernel.leaves(&other)?, OutboundNotAllowed);
        // Seconds of the machine run on beside those of the test.
        kernel.age_questions(50)?;
        assert_eq!(kernel.leaves(&answer)?, Left);
        kernel.age_questions(15)?;
        assert_eq!(kernel.leaves(&answer)?, OutboundNotAllowed);
        assert_eq!((kernel.flows()?, kernel.transfers()?), (0, 0));
    }
    Ok(())
}

#[test]
fn dhcp_is_answered_for_a_minute() -> Result<()> {
    for mode in [Outbound::Track, Outbound::Enforce, Outbound::Off] {
        let settings = Settings {
            outbound: mode,
            ..Settings::roles(&["distribution-point"])
        };
        let mut kernel = datapath(&settings)?;
        let discover = Packet::ipv4("0.0.0.0", "255.255.255.255").udp(68, 67);
        let offer = Packet::ipv4("198.51.100.1", "255.255.255.255").udp(67, 68);
        let (discover, offer) = (discover.payload(240), offer.payload(240));
        // Another transaction.
        let other = Packet::ipv4("198.51.100.1", "192.0.2.10").udp(67, 68);
        let other = other.data(vec![7; 240]);
        let solicit = Packet::ipv6("fe80::c", "ff02::1:2").udp(546, 547);
        let reply = Packet::ipv6("fe80::5", "fe80::c").udp(49321, 546);
        let asks = match mode {
            Outbound::Enforce => DhcpRequest,
            Outbound::Track | Outbound::Off => Left,
        };
        for (question, answer) in [(discover, offer), (solicit, reply)] {
            assert_eq!(kernel.arrives(&answer)?, NotAllowed);
            assert_eq!(kernel.leaves(&question)?, asks);
            assert_eq!(kernel.arrives(&answer)?, DhcpReply);
            assert_eq!(kernel.arrives(&other)?, NotAllowed);
            kernel.age_questions(50)?;
            assert_eq!(kernel.arrives(&answer)?, DhcpReply);
            kernel.age_questions(15)?;
            assert_eq!(kernel.arrives(&answer)?, NotAllowed);
        }
    }
    Ok(())
}

/// The relay asks from one of its addresses and port 40067, and is answered at another.
#[test]
fn a_relay_is_answered_where_it_says() -> Result<()> {
    for mode in [Outbound::Track, Outbound::Enforce, Outbound::Off] {
        let settings = Settings {
            outbound: mode,
            allow: vec!["udp/67"],
            ..Settings::roles(&["distribution-point"])
        };
        let mut kernel = datapath(&settings)?;
        let message = |kind: u8| {
            let mut message = vec![0; 240];
            message[0] = kind;
            message[24..28].copy_from_slice(&[10, 65, 0, 1]);
            message
        };
        let message_v6 = |kind: u8| {
            let mut message = vec![0; 60];
            message[0] = kind;
            message
        };
        let udp = |from: &str, to: &str, ports: (u16, u16), data: Vec<u8>| {
            Packet::ip(from, to).udp(ports.0, ports.1).data(data)
        };
        let (host, peer) = ("192.0.2.10", "198.51.100.1");
        let v4 = udp(peer, host, (40067, 67), message(1));
        let back = |port| udp(host, "10.65.0.1", (67, port), message(2));
        // A peer asks, under enforce.
        if mode == Outbound::Enforce {
            assert_eq!(kernel.leaves(&back(67))?, OutboundNotAllowed);
            assert_eq!(kernel.arrives(&v4)?, Service);
            for port in [67, 40067] {
                assert_eq!(kernel.leaves(&back(port))?, Left);
            }
            assert_eq!(kernel.leaves(&back(69))?, OutboundNotAllowed);
            continue;
        }
        // This host asks, by both families.
        let asks = udp(host, peer, (40067, 67), message(1));
        let answer = |port| udp(peer, "10.65.0.1", (67, port), message(2));
        assert_eq!(kernel.arrives(&answer(40067))?, NotAllowed);
        assert_eq!(kernel.leaves(&asks)?, Left);
        assert_eq!(kernel.arrives(&answer(40067))?, DhcpReply);
        assert_eq!(kernel.arrives(&answer(40068))?, NotAllowed);
        let asks = udp("fe80::c", "ff05::1:3", (40547, 547), message_v6(12));
        let answer = udp("fe80::5", "fe80::c", (547, 40547), message_v6(13));
        assert_eq!(kernel.arrives(&answer)?, NotAllowed);
        assert_eq!(kernel.leaves(&asks)?, Left);
        assert_eq!(kernel.arrives(&answer)?, DhcpReply);
        kernel.age_questions(65)?;
        assert_eq!(kernel.arrives(&answer)?, NotAllowed);
    }
    Ok(())
}

/// A question from a forged address each; one in a thousand is honest, and answered at the end.
#[test]
fn a_million_forged_questions_cost_no_honest_answer() -> Result<()> {
    const FORGED: u32 = 1_000_000;
    let mut kernel = datapath(&pxe(Outbound::Enforce))?;
    let frame = Packet::ipv4("198.51.100.7", "192.0.2.10")
        .udp(50000, 53)
        .payload(20);
    let mut question = frame.build();
    let mut ask = |source: u32, kernel: &mut sccm_tests::datapath::Datapath| {
        question[26..30].copy_from_slice(&source.to_be_bytes());
        kernel.run_inbound(&question)
    };
    // 10.0.0.0 and up; the honest ones are from 172.16.0.0 and up.
    let (forged, honest) = (0x0a00_0000, 0xac10_0000);
    let nobody = Packet::ipv4("192.0.2.10", "203.0.113.1").udp(53, 50000);
    assert!(!kernel.run_outbound(&nobody.build())?.passes());
    let mut unanswered = Vec::new();
    for number in 0..FORGED {
        ask(forged + number, &mut kernel)?;
        if number % 1000 == 0 {
            let asker = honest + number / 1000;
            ask(asker, &mut kernel)?;
            unanswered.push(asker);
        }
        // A thousand conversations, each answered after a hundred thousand forged questions.
        if unanswered.len() > 100 {
            let asker = std::net::Ipv4Addr::from(unanswered.remove(0));
            let answer = Packet::ipv4("192.0.2.10", &asker.to_string()).udp(53, 50000);
            assert!(kernel.run_outbound(&answer.build())?.passes(), "{number}");
        }
    }
    assert_eq!((kernel.flows()?, kernel.transfers()?), (0, 0));
    Ok(())
}
