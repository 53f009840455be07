//! Flows in the kernel's table.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason::{
    IcmpErrorRelated, IcmpErrorUnrelated, NotAllowed, Outbound as Left, Reply,
};
use sccm_common::policy::Timeouts;
use sccm_tests::datapath::{Datapath, Settings};

use super::{FAMILIES, Fate, Pair, datapath, pxe};

/// Far enough apart that no slow machine mixes them up.
const TIMEOUTS: Timeouts = Timeouts {
    tcp_opening: 40,
    tcp_established: 100_000,
    tcp_half_closed: 1_000,
    tcp_closing: 20,
    other: 60,
    answer: 60,
    ..Timeouts::DEFAULT
};

fn tracking() -> Result<Datapath> {
    datapath(&Settings {
        timeouts: TIMEOUTS,
        ..pxe(Outbound::Track)
    })
}

#[test]
fn answers_come_back_to_what_was_opened() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = tracking()?;
        let (out, back) = (|| pair.out(), || pair.back());
        let exchanges = [
            (
                out().tcp(40000, 1433).syn(),
                back().tcp(1433, 40000).syn().ack(),
            ),
            (out().udp(40000, 161), back().udp(161, 40000)),
            (out().icmp_echo_request(7), back().icmp_echo_reply(7)),
            (out().gre().payload(8), back().gre().payload(8)),
            (out().esp().payload(8), back().esp().payload(8)),
            // Under way since before the program came.
            (
                out().tcp(40001, 443).ack(),
                back().tcp(443, 40001).ack().payload(9),
            ),
        ];
        for (number, (mine, theirs)) in (1..).zip(exchanges) {
            assert_eq!(kernel.arrives(&theirs)?, NotAllowed, "{theirs:?}");
            assert_eq!(kernel.leaves(&mine)?, Left);
            assert_eq!(kernel.arrives(&theirs)?, Reply, "{theirs:?}");
            assert_eq!(kernel.flows()?, number);
        }
        // A bare SYN is no answer, and other ports are other flows.
        let syn = back().tcp(1433, 40000).syn();
        assert_eq!(kernel.arrives(&syn)?, NotAllowed);
        assert_eq!(kernel.arrives(&back().udp(162, 40000))?, NotAllowed);
        assert_eq!(kernel.arrives(&back().icmp_echo_reply(8))?, NotAllowed);
    }
    Ok(())
}

fn establish(kernel: &mut Datapath, pair: Pair) -> Result<()> {
    kernel.leaves(&pair.out().tcp(40000, 1433).syn())?;
    kernel.arrives(&pair.back().tcp(1433, 40000).syn().ack())?;
    kernel.leaves(&pair.out().tcp(40000, 1433).ack())?;
    Ok(())
}

#[test]
fn flows_end() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = tracking()?;
        let data = pair.back().tcp(1433, 40000).ack().payload(9);

        kernel.leaves(&pair.out().tcp(40000, 1433).syn())?;
        kernel.age_flows(TIMEOUTS.tcp_opening + 1)?;
        assert_eq!(kernel.arrives(&data)?, NotAllowed, "opening");

        establish(&mut kernel, pair)?;
        kernel.age_flows(TIMEOUTS.tcp_opening + 1)?;
        assert_eq!(kernel.arrives(&data)?, Reply, "established, and refreshed");

        // A reset that is not at the next byte ends nothing; at most it claims to.
        kernel.arrives(&pair.back().tcp(1433, 40000).rst().sequence(0xdead_beef))?;
        kernel.age_flows(TIMEOUTS.tcp_half_closed + 1)?;
        assert_eq!(kernel.arrives(&data)?, Reply, "forged");
        kernel.arrives(&pair.back().tcp(1433, 40000).rst().sequence(9))?;
        kernel.leaves(&pair.out().tcp(40000, 1433).ack())?;
        kernel.age_flows(TIMEOUTS.tcp_half_closed + 1)?;
        assert_eq!(kernel.arrives(&data)?, Reply, "taken back");
        kernel.arrives(&pair.back().tcp(1433, 40000).rst())?;
        assert_eq!(kernel.arrives(&data)?, Reply, "not yet");
        kernel.age_flows(TIMEOUTS.tcp_closing + 1)?;
        assert_eq!(kernel.arrives(&data)?, NotAllowed, "reset by the peer");

        establish(&mut kernel, pair)?;
        kernel.leaves(&pair.out().tcp(40000, 1433).fin().ack())?;
        kernel.leaves(&pair.out().tcp(40000, 1433).ack())?;
        kernel.age_flows(TIMEOUTS.tcp_half_closed - 9)?;
        assert_eq!(kernel.arrives(&data)?, Reply, "still heard");
        kernel.arrives(&pair.back().tcp(1433, 40000).fin().ack())?;
        kernel.leaves(&pair.out().tcp(40000, 1433).ack().acknowledgement(2))?;
        assert_eq!(kernel.arrives(&data)?, Reply, "not yet");
        kernel.age_flows(TIMEOUTS.tcp_closing + 1)?;
        assert_eq!(kernel.arrives(&data)?, NotAllowed, "closed by both");

        kernel.leaves(&pair.out().udp(40000, 161))?;
        kernel.age_flows(TIMEOUTS.other + 1)?;
        assert_eq!(kernel.arrives(&pair.back().udp(161, 40000))?, NotAllowed);
    }
    Ok(())
}

#[test]
fn errors_belong_to_the_flow_that_they_quote() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = tracking()?;
        for opening in [
            pair.out().tcp(40000, 1433).syn(),
            pair.out().udp(40000, 161),
            pair.out().icmp_echo_request(7),
        ] {
            let quoted = opening.build()[14..].to_vec();
            let error = match pair.is_v6() {
                true => pair.back().icmpv6(1, 4).data(quoted),
                false => pair.back().icmp(3, 3).data(quoted),
            };
            assert_eq!(kernel.arrives(&error)?, IcmpErrorUnrelated);
            kernel.leaves(&opening)?;
            assert_eq!(kernel.arrives(&error)?, IcmpErrorRelated);
        }
        assert_eq!(kernel.flows()?, 3);
    }
    let [pair, _] = FAMILIES;
    let mut kernel = tracking()?;
    let opening = pair.out().router_alert().udp(40000, 161);
    kernel.leaves(&opening)?;
    let error = pair.back().icmp(11, 0).data(&opening.build()[14..]);
    assert_eq!(kernel.arrives(&error)?, IcmpErrorRelated, "behind options");
    Ok(())
}
