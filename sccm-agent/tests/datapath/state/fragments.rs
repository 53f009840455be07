//! Fragments in the kernel's table.

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason::{
    FragmentFollows, FragmentOverlap, FragmentTiny, LaterFragment, LaterFragmentRefused,
    NotAllowed, Reply, Service,
};
use sccm_common::fragment::CAPACITY;
use sccm_tests::datapath::{Action, Settings};
use sccm_tests::packet::Packet;

use super::{FAMILIES, Fate, Pair, datapath, pxe};

impl Pair {
    /// A part of a UDP datagram from the peer.
    fn part(self, id: u16, offset: u16, more: bool) -> Packet {
        self.back().fragment(id, offset, more)
    }

    fn first(self, id: u16, port: u16) -> Packet {
        self.part(id, 0, true)
            .udp(5000, port)
            .udp_length(2000)
            .payload(16)
    }

    fn later(self, id: u16) -> Packet {
        self.part(id, 24, false).ip_protocol(17).payload(8)
    }
}

#[test]
fn later_ones_follow_their_first() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&pxe(Outbound::Track))?;
        assert_eq!(kernel.arrives(&pair.later(1))?, LaterFragmentRefused);
        assert_eq!(kernel.arrives(&pair.first(1, 53))?, Service);
        assert_eq!(kernel.arrives(&pair.later(1))?, FragmentFollows);
        assert_eq!(kernel.arrives(&pair.later(2))?, LaterFragmentRefused);
        assert_eq!(kernel.arrives(&pair.first(2, 54))?, NotAllowed);
        assert_eq!(kernel.arrives(&pair.later(2))?, LaterFragmentRefused);
        assert_eq!((kernel.fragments()?, kernel.flows()?), (1, 0));

        kernel.publish(&Settings {
            pass_orphan_fragments: true,
            ..pxe(Outbound::Track)
        })?;
        assert_eq!(kernel.arrives(&pair.later(2))?, LaterFragment);
        let overlap = pair.part(3, 8, true).ip_protocol(6).payload(8);
        assert_eq!(kernel.arrives(&overlap)?, FragmentOverlap);
        let tiny = pair.part(3, 0, true).ip_protocol(6).payload(16);
        assert_eq!(kernel.arrives(&tiny)?, FragmentTiny);
    }
    Ok(())
}

#[test]
fn filling_the_table_from_outside_evicts_no_flow() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = datapath(&pxe(Outbound::Track))?;
        let flows = 1000;
        for port in 0..flows {
            kernel.run_outbound(&pair.out().udp(40000 + port, 161).build())?;
        }
        for id in 0..=u16::MAX {
            let action = kernel.run_inbound(&pair.first(id, 53).build())?;
            assert_eq!(action, Action::Pass);
        }
        assert!(kernel.fragments()? <= CAPACITY as usize);
        assert_eq!(kernel.flows()?, usize::from(flows));
        kernel.newly_counted()?;
        for port in 0..flows {
            kernel.run_inbound(&pair.back().udp(161, 40000 + port).build())?;
        }
        let counted = kernel.newly_counted()?.0.into_iter();
        let ends: Vec<_> = counted
            .map(|(place, count)| (place.reason, count.packets))
            .collect();
        assert_eq!(ends, [(Reply, u64::from(flows))]);
    }
    Ok(())
}
