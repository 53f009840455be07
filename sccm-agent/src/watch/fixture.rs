//! A machine for the tests: two interfaces, a few counters, three blocked flows.

use super::{Series, Snapshot};
use crate::blocked::Names;
use crate::kernel::Clock;
use crate::openings::Live;
use crate::policy::{ServiceName, ServiceNames};
use crate::state::{InterfaceState, State};
use sccm_common::abi::{PolicyInfo, ROLES_BYTES};
use sccm_common::blocked::{BlockedFlow, BlockedKey};
use sccm_common::counter::{Counter, Direction};
use sccm_common::packet::Protocol;
use sccm_common::{Address, Reason, ServiceClass};
use std::net::Ipv6Addr;
use std::time::Instant;

/// The bytes of each packet.
pub(crate) const LENGTH: u64 = 100;

/// A service's name, as the kernel's maps have it.
pub(crate) fn service(protocol: &str, service: &str) -> ServiceName {
    ServiceName {
        protocol: protocol.to_owned(),
        service: service.to_owned(),
    }
}

/// What counts inbound packets of an interface that end for this reason.
pub(crate) fn series(interface: &str, reason: Reason, service: Option<ServiceName>) -> Series {
    Series {
        interface: interface.to_owned(),
        direction: Direction::Inbound,
        observing: false,
        reason,
        service,
    }
}

/// So many packets.
pub(crate) const fn count(packets: u64) -> Counter {
    Counter {
        packets,
        bytes: packets * LENGTH,
    }
}

/// A TCP flow from 192.0.2.`source` to this port of 192.0.2.2.
pub(crate) fn flow(source: u8, port: u16, packets: u64) -> BlockedFlow {
    BlockedFlow {
        key: BlockedKey {
            source: Address::v4([192, 0, 2, source]),
            destination: Address::v4([192, 0, 2, 2]),
            port,
            protocol: Protocol::TCP.0,
            reason: Reason::NotAllowed as u8,
            service: ServiceClass::TCP.0,
            ..BlockedKey::NONE
        },
        packets,
        bytes: packets * LENGTH,
        first: u32::MAX,
        // As if just now, whenever it is drawn.
        last: u32::MAX,
    }
}

/// An outbound UDP flow between the longest of addresses.
pub(crate) fn long_flow(packets: u64) -> BlockedFlow {
    let address = |last: u16| {
        let text = format!("2001:db80:1111:2222:3333:4444:5555:{last:x}");
        let bits = text.parse::<Ipv6Addr>().unwrap().to_bits();
        Address {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    };
    let mut flow = flow(0, 161, packets);
    flow.key.source = address(0xaaaa);
    flow.key.destination = address(0xbbbb);
    flow.key.protocol = Protocol::UDP.0;
    flow.key.family = 1;
    flow.key.reason = Reason::Ipv6ExtensionOrder as u8;
    flow
}

/// The machine at this moment.
pub(crate) fn snapshot(at: Instant) -> Snapshot {
    let interface = |name: &str, state| InterfaceState {
        interface: name.to_owned(),
        state,
        mode: Some("native"),
        before: Vec::new(),
    };
    let mut roles = [0; ROLES_BYTES];
    roles[..18].copy_from_slice(b"distribution-point");
    let clock = Clock::read().unwrap();
    let none = service("tcp", "none");
    let flows = [flow(1, 3389, 30), flow(7, 445, 200), long_flow(3)];
    Snapshot {
        at,
        clock,
        policy: PolicyInfo {
            generation: 3,
            hash: [0x5c; 32],
            flags: 0,
            edition: 0,
            published: clock.wall(),
            confirm_by: 0,
            warm_up_until: 0,
            until: 0,
            tables: [0; 32],
            withdrawn: [0; 32],
            roles,
        },
        shadow: None,
        agent_runs: true,
        interfaces: vec![
            interface("eth0", State::Enforcing),
            interface("eth1", State::EgressLost),
        ],
        counters: [
            (series("eth0", Reason::NotAllowed, Some(none.clone())), 40),
            (series("eth1", Reason::NotAllowed, Some(none)), 60),
            (series("eth0", Reason::Ipv4Version, None), 7),
            (
                series("eth0", Reason::Service, Some(service("tcp", "http"))),
                5000,
            ),
        ]
        .map(|(series, packets)| (series, count(packets)))
        .into(),
        flows: flows.into_iter().map(|flow| (flow.key, flow)).collect(),
        names: Names {
            interfaces: [(0, "eth0".to_owned())].into(),
            services: ServiceNames::default(),
            labels: std::sync::Arc::default(),
        },
        suppressed: 0,
        handed_out: Live::default(),
    }
}
