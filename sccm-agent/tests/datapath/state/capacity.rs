//! How full the table of flows is, and what makes way in it.

use std::ops::Range;

use anyhow::Result;
use sccm_agent::kernel::FlowCount;
use sccm_agent::policy::Outbound;
use sccm_common::Place;
use sccm_common::Reason::{NotAllowed, Reply};
use sccm_common::policy::Timeouts;
use sccm_tests::datapath::{Action, Datapath};

use super::{FAMILIES, Fate as _, pxe};

/// Room for so many flows.
const CAPACITY: u32 = 4096;

fn datapath() -> Result<Datapath> {
    let mut kernel = Datapath::load_with(Place::Host, CAPACITY)?;
    kernel.publish(&pxe(Outbound::Track))?;
    Ok(kernel)
}

#[test]
fn what_is_alive_is_counted_and_what_has_expired_is_not() -> Result<()> {
    let mut kernel = datapath()?;
    let count = |alive| FlowCount {
        alive,
        ..FlowCount::default()
    };
    assert_eq!(kernel.flow_count()?, count(0));
    for pair in FAMILIES {
        kernel.leaves(&pair.out().tcp(40_000, 1433).syn())?;
        kernel.leaves(&pair.out().udp(40_000, 161))?;
        // Neither an answer of a service nor a second look at a flow makes another.
        kernel.leaves(&pair.out().tcp(80, 50_000).syn().ack())?;
        kernel.leaves(&pair.out().tcp(40_000, 1433).syn())?;
        kernel.leaves(&pair.out().udp(40_000, 161))?;
    }
    assert_eq!(kernel.flow_count()?, count(4));
    kernel.age_flows(Timeouts::DEFAULT.tcp_opening + 1)?;
    assert_eq!(kernel.flow_count()?, count(2));
    kernel.age_flows(Timeouts::DEFAULT.other + 1)?;
    assert_eq!((kernel.flow_count()?, kernel.flows()?), (count(0), 4));
    Ok(())
}

#[test]
fn flows_that_make_way_are_counted_and_the_table_stays_bounded() -> Result<()> {
    let mut kernel = datapath()?;
    let [pair, _] = FAMILIES;
    let open = |kernel: &mut Datapath, ports: Range<u16>| -> Result<()> {
        for port in ports {
            let frame = pair.out().udp(port, 161).build();
            assert_eq!(kernel.run_outbound(&frame)?, Action::Pass);
        }
        Ok(())
    };
    // As many as the table is made for fit, but for some whose sets are full.
    let old = 10_000..10_000 + CAPACITY as u16;
    open(&mut kernel, old.clone())?;
    let count = kernel.flow_count()?;
    assert_eq!(
        count.alive + count.evicted,
        u64::from(CAPACITY),
        "{count:?}"
    );
    assert!(count.evicted < u64::from(CAPACITY / 50), "{count:?}");
    // Many more fill it, and what was quiet makes way.
    kernel.age_flows(10)?;
    let new = 20_000..20_000 + 9 * CAPACITY as u16;
    open(&mut kernel, new.clone())?;
    let full = kernel.flow_count()?;
    assert_eq!(
        full.alive + full.evicted,
        10 * u64::from(CAPACITY),
        "{full:?}"
    );
    assert_eq!((full.alive, full.missed), (2 * u64::from(CAPACITY), 0));
    kernel.newly_counted()?;
    for port in old.step_by(100) {
        assert_eq!(kernel.arrives(&pair.back().udp(161, port))?, NotAllowed);
    }
    let last = pair.back().udp(161, new.end - 1);
    assert_eq!(kernel.arrives(&last)?, Reply);
    // What has expired makes way without being missed.
    kernel.age_flows(Timeouts::DEFAULT.other + 1)?;
    open(&mut kernel, 10_000..11_000)?;
    let count = kernel.flow_count()?;
    assert_eq!(
        (count.alive, count.evicted),
        (1_000, full.evicted),
        "{count:?}"
    );
    Ok(())
}
