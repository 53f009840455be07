//! How full the table of flows is, and what makes way in it.

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
    let count = |alive, evicted| FlowCount { alive, evicted };
    assert_eq!(kernel.flow_count()?, count(0, 0));
    for pair in FAMILIES {
        kernel.leaves(&pair.out().tcp(40_000, 1433).syn())?;
        kernel.leaves(&pair.out().udp(40_000, 161))?;
        // Neither an answer of a service nor a second look at a flow makes another.
        kernel.leaves(&pair.out().tcp(80, 50_000).syn().ack())?;
        kernel.leaves(&pair.out().tcp(40_000, 1433).syn())?;
        kernel.leaves(&pair.out().udp(40_000, 161))?;
    }
    assert_eq!(kernel.flow_count()?, count(4, 0));
    kernel.age_flows(Timeouts::DEFAULT.tcp_opening + 1)?;
    assert_eq!(kernel.flow_count()?, count(2, 0));
    kernel.age_flows(Timeouts::DEFAULT.other + 1)?;
    assert_eq!((kernel.flow_count()?, kernel.flows()?), (count(0, 0), 4));
    Ok(())
}

#[test]
fn flows_that_make_way_are_counted_and_the_table_stays_bounded() -> Result<()> {
    let mut kernel = datapath()?;
    let [pair, _] = FAMILIES;
    let opened = 3 * CAPACITY as u16;
    for port in 0..opened {
        let frame = pair.out().udp(20_000 + port, 161).build();
        assert_eq!(kernel.run_outbound(&frame)?, Action::Pass);
    }
    let count = kernel.flow_count()?;
    assert!(count.alive <= u64::from(CAPACITY), "{count:?}");
    // Some are held free for each CPU, and made ready in batches.
    assert!(count.alive > u64::from(CAPACITY / 2), "{count:?}");
    assert_eq!(count.alive + count.evicted, u64::from(opened), "{count:?}");
    kernel.newly_counted()?;
    // What is lost is the oldest.
    assert_eq!(kernel.arrives(&pair.back().udp(161, 20_000))?, NotAllowed);
    let last = pair.back().udp(161, 20_000 + opened - 1);
    assert_eq!(kernel.arrives(&last)?, Reply);
    Ok(())
}
