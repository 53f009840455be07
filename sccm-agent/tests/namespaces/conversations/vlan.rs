//! Tagged frames through a bridge: judged like those without a tag.
//!
//! They come from a raw socket and are seen by one, so that no VLAN device is needed.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::packet::Packet;

use super::crossing::{Crossing, packet};
use super::support::Told;

#[test]
fn tags_make_no_difference() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let agent = stage.enforce("distribution-point", "")?;
    let crossing = Crossing::new(&stage)?;
    let tags: [fn(Packet) -> Packet; 3] = [
        |packet| packet,
        |packet| packet.vlan(20),
        |packet| packet.qinq(100, 20),
    ];
    for family in FAMILIES {
        for tag in tags {
            let to = |port| {
                tag(packet(CLIENT[family], SERVER[family])
                    .tcp(40000, port)
                    .syn())
            };
            assert!(crossing.reaches(to(80))?);
            assert!(!crossing.reaches(to(8080))?);
        }
        let deep = packet(CLIENT[family], SERVER[family]).tcp(40000, 80).syn();
        assert!(!crossing.reaches(deep.vlan(1).vlan(2).vlan(3))?);
    }
    let metrics = agent.metrics()?;
    let all = (FAMILIES.len() * tags.len()) as u64;
    assert_eq!(
        metrics.passed(&[("reason", "service"), ("service", "http")]),
        all
    );
    assert_eq!(metrics.dropped(&[("reason", "not-allowed")]), all);
    metrics.tells_dropped(&[("reason", "vlan-depth")])
}
