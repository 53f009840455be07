//! What the kernel program remembers: flows, first fragments, transfers.
//!
//! The same decisions are proven in detail beside their source, with a clock that a test can set.
//! Here is what only the kernel can show: the real maps, the real programs on both hooks, and what
//! ten million forged packets leave behind. Instead of waiting, [`Datapath::age_flows`] rewrites
//! the pinned flow table.

mod capacity;
mod flood;
mod flows;
mod fragments;
mod gateway;
mod groups;
mod outbound;
mod probes;
mod questions;
mod rpc;
mod rpc_copied;
mod rpc_left;
mod tftp;

use anyhow::Result;
use sccm_agent::policy::Outbound;
use sccm_common::Reason;
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;

/// A system behind the program, and one on the other side, in both families.
const FAMILIES: [Pair; 2] = [
    Pair {
        protected: "192.0.2.10",
        peer: "198.51.100.7",
    },
    Pair {
        protected: "2001:db8::10",
        peer: "2001:db8:a::7",
    },
];

/// Two addresses of one family.
#[derive(Debug, Clone, Copy)]
struct Pair {
    protected: &'static str,
    peer: &'static str,
}

impl Pair {
    /// From the protected system to the peer.
    fn out(self) -> Packet {
        Packet::ip(self.protected, self.peer)
    }

    /// From the peer to the protected system.
    fn back(self) -> Packet {
        Packet::ip(self.peer, self.protected)
    }

    fn is_v6(self) -> bool {
        self.protected.contains(':')
    }
}

/// A PXE service point: DHCP, TFTP and BINL in, SQL out, and DNS for these tests.
fn pxe(outbound: Outbound) -> Settings {
    Settings {
        allow: vec!["udp/53", "tcp/80"],
        outbound,
        ..Settings::roles(&["pxe-service-point"])
    }
}

/// Loads the programs with a policy.
fn datapath(settings: &Settings) -> Result<Datapath> {
    let mut datapath = Datapath::load()?;
    datapath.publish(settings)?;
    Ok(datapath)
}

/// What becomes of packets, by the kernel's own counters.
trait Fate {
    fn arrives(&mut self, packet: &Packet) -> Result<Reason>;
    fn leaves(&mut self, packet: &Packet) -> Result<Reason>;
}

impl Fate for Datapath {
    fn arrives(&mut self, packet: &Packet) -> Result<Reason> {
        let judged = self.judge_inbound(&packet.build())?;
        assert_eq!(judged.action.passes(), judged.reason.passes(), "{judged:?}");
        Ok(judged.reason)
    }

    fn leaves(&mut self, packet: &Packet) -> Result<Reason> {
        let judged = self.judge_outbound(&packet.build())?;
        assert_eq!(judged.action.passes(), judged.reason.passes(), "{judged:?}");
        Ok(judged.reason)
    }
}
