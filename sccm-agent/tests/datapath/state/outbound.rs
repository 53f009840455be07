//! The three outbound modes on the TC hook.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason::{
    self, Arp, IcmpError, IcmpErrorUnrelated, NotAllowed, Outbound as Left, OutboundNotAllowed,
    Reply, Service,
};
use sccm_tests::datapath::{Action, Datapath, Settings};
use sccm_tests::packet::Packet;

use super::{FAMILIES, Fate, datapath, pxe};

#[track_caller]
fn named(kernel: &mut Datapath, packet: &Packet, reason: Reason, service: &str) -> Result<()> {
    let judged = kernel.judge_outbound(&packet.build())?;
    let service = Some(service.to_owned());
    assert_eq!((judged.reason, judged.service), (reason, service));
    assert_eq!(judged.action.passes(), reason.passes());
    Ok(())
}

#[test]
fn enforce_lets_out_the_roles_links_only() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&pxe(Outbound::Enforce))?;
        let sql = pair.out().tcp(40000, 1433).syn();
        named(&mut kernel, &sql, Left, "tcp sql")?;
        let answer = pair.back().tcp(1433, 40000).syn().ack();
        assert_eq!(kernel.arrives(&answer)?, Reply);
        assert_eq!(kernel.flows()?, 1);

        // To the Internet.
        let web = pair.out().tcp(40000, 443).syn();
        named(&mut kernel, &web, OutboundNotAllowed, "tcp https")?;
        let tftp = pair.out().udp(40000, 69).data(*b"\x00\x01f\x00octet\x00");
        named(&mut kernel, &tftp, OutboundNotAllowed, "udp tftp")?;
        let unknown = pair.out().udp(40000, 40001);
        named(&mut kernel, &unknown, OutboundNotAllowed, "udp none")?;
        let control = pair.out().tcp(40000, 1723).ack().payload(9);
        assert_eq!(kernel.leaves(&control)?, OutboundNotAllowed);
        let tunnel = pair.out().gre().payload(8);
        named(&mut kernel, &tunnel, OutboundNotAllowed, "gre gre")?;
        assert_eq!((kernel.flows()?, kernel.transfers()?), (1, 0));
        let answer = pair.back().tcp(443, 40000).syn().ack();
        assert_eq!(kernel.arrives(&answer)?, NotAllowed);
    }
    Ok(())
}

#[test]
fn enforce_lets_out_answers_and_essentials() -> Result<()> {
    let mut settings = pxe(Outbound::Enforce);
    settings
        .allow
        .extend(["icmp/echo-request", "icmpv6/echo-request"]);
    for pair in FAMILIES {
        let mut kernel = datapath(&settings)?;
        let web = pair.out().tcp(80, 50000).syn().ack();
        named(&mut kernel, &web, Left, "tcp http+tcp/80")?;
        // No answer without its question: the service's port opens nothing.
        let opening = pair.out().tcp(80, 40001).syn();
        assert_eq!(kernel.leaves(&opening)?, OutboundNotAllowed);
        let (unasked, echo_reply) = (pair.out().udp(53, 50000), pair.out().icmp_echo_reply(7));
        assert_eq!(kernel.leaves(&unasked)?, OutboundNotAllowed);
        assert_eq!(kernel.leaves(&echo_reply)?, OutboundNotAllowed);
        assert_eq!(kernel.arrives(&pair.back().udp(50000, 53))?, Service);
        assert_eq!(kernel.arrives(&pair.back().icmp_echo_request(7))?, Service);
        assert_eq!(kernel.leaves(&unasked)?, Left);
        assert_eq!(kernel.leaves(&echo_reply)?, Left);
        let echo = pair.out().icmp_echo_request(7);
        assert_eq!(kernel.leaves(&echo)?, OutboundNotAllowed);
        let about = |quoted: Packet| {
            let quoted = quoted.build()[14..].to_vec();
            match pair.is_v6() {
                true => pair.out().icmpv6(1, 4).data(quoted),
                false => pair.out().icmp(3, 3).data(quoted),
            }
        };
        // Errors about what came in.
        let question = pair.back().udp(50000, 53);
        assert_eq!(kernel.leaves(&about(question))?, IcmpError);
        let nothing = pair.back().udp(50000, 54);
        assert_eq!(kernel.leaves(&about(nothing))?, IcmpErrorUnrelated);
        assert_eq!(kernel.flows()?, 0);
    }
    let mut kernel = datapath(&settings)?;
    let arp = Packet::arp_request("192.0.2.10", "192.0.2.1");
    assert_eq!(kernel.leaves(&arp)?, Left);
    assert_eq!(kernel.arrives(&arp)?, Arp);
    Ok(())
}

#[test]
fn observing_names_what_enforce_would_drop() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&Settings {
            observe: true,
            ..pxe(Outbound::Enforce)
        })?;
        let judged = kernel.judge_outbound(&pair.out().tcp(40000, 443).syn().build())?;
        assert_eq!(judged.reason, OutboundNotAllowed);
        assert_eq!((judged.action, judged.observing), (Action::Pass, true));
    }
    Ok(())
}
