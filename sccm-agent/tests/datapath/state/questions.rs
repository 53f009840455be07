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
