//! What switches, and hosts of virtual machines, tell each other through a bridged gateway.

use anyhow::{Context as _, Result, ensure};
use sccm_tests::gateway::{Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::packet::{MacAddress, Packet};
use sccm_tests::traffic::FrameSocket;

use super::support::{PATIENCE, end};

/// A virtual machine's address.
const MOVED: MacAddress = [0x00, 0x50, 0x56, 0xaa, 0xbb, 0xcc];

/// The same as the bridge prints it.
const MOVED_TEXT: &str = "00:50:56:aa:bb:cc";

/// What network load balancing tells its members.
const HEARTBEAT: u16 = 0x886f;

/// A bridged gateway with a second card at its segment, and the host there.
fn stage_with_two_segments() -> Result<(Stage, Namespace)> {
    let stage = Stage::new(Topology::Bridged)?;
    let second = Namespace::new("second")?;
    veth_pair(&second, "eth0", stage.gateway(), "seg1")?;
    stage.gateway().ip("link set dev seg1 master br0")?;
    Ok((stage, second))
}

/// Whether this frame goes from one host to another.
fn crosses(from: &Namespace, to: &Namespace, packet: &Packet) -> Result<bool> {
    let (from, to) = (
        FrameSocket::open(from.interface("eth0"))?,
        FrameSocket::open(to.interface("eth0"))?,
    );
    let frame = packet.build();
    from.send(&frame)?;
    // A tag does not arrive in the frame.
    let content = &frame[18..];
    let arrived = to.receive(PATIENCE, |other| other.ends_with(content))?;
    Ok(arrived.is_some())
}

#[test]
fn control_of_switches_crosses_the_bridge_both_ways() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let agent = stage.enforce("distribution-point", "--outbound enforce")?;
    // What a bridge forwards; to the groups of the link itself it listens alone.
    let control = [
        ("pvst", Packet::pvst_bpdu(2)),
        ("pvst", Packet::pvst_bpdu(20).vlan(20)),
        ("udld", Packet::cisco(0x0111)),
        ("cdp", Packet::cisco(0x2000)),
        ("vtp", Packet::cisco(0x2003)),
        ("dtp", Packet::cisco(0x2004)),
        ("pagp", Packet::cisco(0x0104)),
        ("mvrp", Packet::mvrp()),
        ("mmrp", Packet::mmrp()),
        ("cfm", Packet::cfm(1)),
        ("erps", Packet::raps()),
        ("erps", Packet::raps().vlan(20)),
    ];
    for (name, packet) in &control {
        let packet = packet.clone().pad(46);
        ensure!(crosses(&stage.client, &stage.server, &packet)?, "{name}");
        let back = packet.source_mac([2, 0, 0, 0, 0, 9]);
        ensure!(crosses(&stage.server, &stage.client, &back)?, "{name} back");
    }
    let other = Packet::cisco(0x2001).pad(46);
    ensure!(!crosses(&stage.client, &stage.server, &other)?);
    let metrics = agent.metrics()?;
    for (name, _) in &control {
        let sent = control.iter().filter(|(other, _)| other == name).count() as u64;
        for (card, direction) in [("up0", "inbound"), ("seg0", "outbound")] {
            let labels = [
                ("reason", *name),
                ("interface", card),
                ("direction", direction),
            ];
            assert_eq!(metrics.passed(&labels), sent, "{labels:?}");
        }
    }
    assert_eq!(metrics.dropped(&[("reason", "ethertype-refused")]), 1);
    end(agent)
}

/// The bridge's port at which it knows the virtual machine.
fn known_at(stage: &Stage) -> Result<String> {
    let output = stage
        .gateway()
        .command("bridge")
        .args(["fdb", "show", "br", "br0"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find(|line| line.starts_with(MOVED_TEXT));
    let mut words = line.context(text.clone())?.split_whitespace();
    words
        .find(|word| *word == "dev")
        .and_then(|_| words.next())
        .map(str::to_owned)
        .context("no port")
}

#[test]
fn the_bridge_learns_where_a_virtual_machine_has_moved() -> Result<()> {
    let (stage, second) = stage_with_two_segments()?;
    let agent = stage.enforce_cards("--uplink up0 --segment seg0 --segment seg1")?;
    let announcement = Packet::rarp(3, MOVED).pad(18);
    ensure!(crosses(&stage.server, &stage.client, &announcement)?);
    assert_eq!(known_at(&stage)?, "seg0");
    ensure!(crosses(&second, &stage.client, &announcement)?);
    assert_eq!(known_at(&stage)?, "seg1");
    ensure!(crosses(&stage.client, &second, &announcement)?);
    assert_eq!(known_at(&stage)?, "up0");
    // What answers one, nobody has asked for.
    let answer = Packet::rarp(4, MOVED).pad(18);
    ensure!(!crosses(&second, &stage.client, &answer)?);
    assert_eq!(known_at(&stage)?, "up0");
    let metrics = agent.metrics()?;
    for card in ["up0", "seg0", "seg1"] {
        assert_eq!(
            metrics.passed(&[("reason", "rarp"), ("interface", card)]),
            1
        );
    }
    end(agent)
}

#[test]
fn heartbeats_pass_between_two_cards_of_the_side_that_is_named() -> Result<()> {
    let (stage, second) = stage_with_two_segments()?;
    let heartbeat = || {
        Packet::ethertype(HEARTBEAT)
            .destination_mac([0xff; 6])
            .pad(46)
    };
    let cards = "--uplink up0 --segment seg0 --segment seg1";
    for (setting, within, from_outside) in [
        ("", false, false),
        ("--pass-ethertype 0x886f@segment", true, false),
        ("--pass-ethertype 0x886f@uplink", false, true),
        ("--pass-ethertype 0x886f", true, true),
    ] {
        let agent = stage.enforce_cards(&format!("{cards} {setting}"))?;
        for (from, to, expected) in [
            (&stage.server, &second, within),
            (&second, &stage.server, within),
            (&stage.client, &second, from_outside),
        ] {
            let crossed = crosses(from, to, &heartbeat())?;
            assert_eq!(
                crossed,
                expected,
                "{setting}: {} to {}",
                from.name(),
                to.name()
            );
        }
        let another = Packet::ethertype(HEARTBEAT + 1).pad(46);
        ensure!(!crosses(&second, &stage.server, &another)?);
        let passed = agent.metrics_when(|metrics| {
            let named = metrics.passed(&[("reason", "named-ethertype")]);
            named == u64::from(within) * 2 + u64::from(from_outside)
        })?;
        assert_eq!(passed.passed(&[("reason", "other-ethertype")]), 0);
        end(agent)?;
    }
    Ok(())
}
