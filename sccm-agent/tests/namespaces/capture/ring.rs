//! The order and the ring buffer, with the programs alone.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use sccm_agent::kernel::{Capture, Clock};
use sccm_common::Place;
use sccm_common::capture::{ANY_REASON, ANY_SLOT, LONGEST, Order};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;

fn everything() -> Order {
    Order {
        snaplen: LONGEST as u32,
        slot: ANY_SLOT,
        reason: ANY_REASON,
        ..Order::default()
    }
}

#[test]
fn a_full_ring_loses_records_and_nothing_else() -> Result<()> {
    const FRAMES: u64 = 3000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let mut kernel = Datapath::load_at(Place::Host)?;
    kernel.publish(&Settings::roles(&["distribution-point"]))?;
    let packet = Packet::ipv4("198.51.100.7", "192.0.2.10");
    let frame = packet.tcp(50000, 9999).syn().payload(1000).build();
    let mut capture = Capture::begin(kernel.pins(), everything())?;
    for _ in 0..FRAMES {
        assert!(!kernel.run_inbound(&frame)?.passes());
    }
    let taken = capture.take_rest(usize::MAX);
    let whole = taken
        .iter()
        .all(|one| one.bytes == frame && one.header.length as usize == frame.len());
    assert!(whole);
    let (taken, lost) = (taken.len() as u64, capture.lost()?);
    assert!(taken > 900 && lost > 0, "{taken}, {lost}");
    assert_eq!(taken + lost, FRAMES);
    let counted = kernel.newly_counted()?;
    let packets: u64 = counted.0.values().map(|count| count.packets).sum();
    assert_eq!(packets, FRAMES);

    // There is room again, until the order is taken back.
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert_eq!(capture.take_rest(9).len(), 1);
    capture.end()?;
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert_eq!((capture.take_rest(9).len(), capture.lost()?), (0, lost));

    // An order that nobody renews runs out.
    let order = Order {
        until: Clock::read()?.program() + 2,
        id: std::process::id(),
        ..everything()
    };
    kernel.order(order)?;
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert_eq!(capture.take_rest(9).len(), 1);
    // What another has ordered is not taken for one's own.
    kernel.order(Order { id: 0, ..order })?;
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert_eq!(capture.take_rest(9).len(), 0);
    kernel.order(order)?;
    while Clock::read()?.program() <= order.until {
        sleep(Duration::from_millis(100));
    }
    assert!(!kernel.run_inbound(&frame)?.passes());
    assert_eq!((capture.take_rest(9).len(), capture.lost()?), (0, lost));
    Ok(())
}
