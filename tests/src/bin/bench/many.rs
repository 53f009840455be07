//! Prefixes in such number that a list of them would be hopeless.
//!
//! Some lie close together and fill tables, others are hosts anywhere. The hot cases show what the
//! way to a class costs; where every packet is of another peer, the memory on that way is cold.

use std::os::fd::AsFd as _;

use anyhow::{Result, ensure};
use sccm_common::Hook;
use sccm_common::Reason::{self, NotAllowed, Service};
use sccm_tests::packet::Packet;

use crate::case::Case;
use crate::cases::NOTE;
use crate::floor::{self, Walk};
use crate::series::{Series, Title};
use crate::sys;
use crate::world::World;

/// All /24 of 10.0.0.0/8.
const V4_NETWORKS: u32 = 1 << 16;

/// Every sixth /48 of 2001:db8::/32.
const V6_NETWORKS: u32 = 10_000;
const V6_APART: u32 = 6;

/// Hosts of IPv4; those of IPv6 are the rest.
const V4_HOSTS: u32 = 14_464;

/// What changes from packet to packet: the second and third byte of the source, fastest first.
const V4_VARYING: i16 = 27;
/// The fifth and sixth.
const V6_VARYING: i16 = 26;

/// Packets of a walk: each value of the two bytes once.
const WALK: u32 = 1 << 16;

/// `--allow` of SSH from this many prefixes, of 100,000 at most. Every other may do something else
/// besides, so that neighbours are of different classes.
pub fn prefixes(count: u32) -> Vec<&'static str> {
    let prefix = |number| match number {
        0..V4_NETWORKS => format!("10.{}.{}.0/24", number >> 8, number & 255),
        _ => match number - V4_NETWORKS {
            number @ 0..V6_NETWORKS => format!("2001:db8:{:x}::/48", number * V6_APART),
            number if number < V6_NETWORKS + V4_HOSTS => v4_host(number - V6_NETWORKS),
            number => v6_host(number - V6_NETWORKS - V4_HOSTS),
        },
    };
    // The settings of a test are literals; these few live as long as the program.
    (0..count)
        .map(|number| {
            let port = ["22", "22-23"][number as usize % 2];
            &*format!("tcp/{port}@{}", prefix(number)).leak()
        })
        .collect()
}

/// Somewhere in 128.0.0.0/2.
fn v4_host(number: u32) -> String {
    let bits = number.wrapping_mul(0x9e37_79b1) >> 2 | 1 << 31;
    std::net::Ipv4Addr::from_bits(bits).to_string()
}

/// Somewhere in 2400::/6.
fn v6_host(number: u32) -> String {
    let bits = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    std::net::Ipv6Addr::from_bits(bits >> 6 | 0x24 << 120).to_string()
}

/// The same packet again and again.
pub fn cases() -> Vec<Case> {
    let case = |name, from: &str, reason: Reason| {
        let packet = match from.contains(':') {
            true => Packet::ipv6(from, "2001:db8::10"),
            false => Packet::ipv4(from, "192.0.2.10"),
        };
        let packet = packet.tcp(50000, 22).syn();
        Case::new(
            "100,000 prefixes, inbound",
            name,
            Hook::Ingress,
            packet,
            reason,
        )
        .at_most(if reason.passes() { 20 } else { 20 + NOTE })
    };
    vec![
        case("pass, named network, IPv4", "10.77.1.7", Service),
        case("pass, named host, IPv4", &v4_host(77), Service),
        case("drop, other peer, IPv4", "198.51.100.7", NotAllowed),
        case("pass, named network, IPv6", "2001:db8:c::7", Service),
        case("pass, named host, IPv6", &v6_host(77), Service),
        case("drop, other peer, IPv6", "2001:db8:ffff::7", NotAllowed),
    ]
}

/// Another peer each time.
pub struct Peers {
    v4: Series,
    v6: Series,
}

impl Peers {
    /// Without a round yet.
    pub const fn new() -> Self {
        const fn series(name: &'static str) -> Series {
            let group = "100,000 prefixes, another peer each time";
            Series::new(Title {
                group,
                name,
                at_most: None,
            })
        }
        Self {
            v4: series("one of 65,536 networks, IPv4"),
            v6: series("one of 10,000 networks or none, IPv6"),
        }
    }

    /// One round.
    pub fn round(&mut self, world: &mut World) -> Result<()> {
        let v4 = Packet::ipv4("10.0.0.7", "192.0.2.10").tcp(50000, 22).syn();
        walk(&mut self.v4, world, V4_VARYING, &v4, V4_NETWORKS)?;
        let v6 = Packet::ipv6("2001:db8::7", "2001:db8::10");
        let v6 = v6.tcp(50000, 22).syn();
        walk(&mut self.v6, world, V6_VARYING, &v6, V6_NETWORKS)
    }

    /// What was measured.
    pub fn series(self) -> [Series; 2] {
        [self.v4, self.v6]
    }
}

fn walk(
    series: &mut Series,
    world: &mut World,
    at: i16,
    packet: &Packet,
    passing: u32,
) -> Result<()> {
    let empty = floor::empty(Hook::Ingress)?;
    let floor = Walk::new(Hook::Ingress, at, empty.as_fd())?;
    let ours = Walk::new(Hook::Ingress, at, world.program(Hook::Ingress)?)?;
    let run = |walk: &Walk| sys::test_run(walk.program(), &packet.build(), WALK);
    let before = [world.counted(Service)?, world.counted(NotAllowed)?];
    series.add(run(&floor)?.nanoseconds, run(&ours)?.nanoseconds);
    let [passed, dropped] = [world.counted(Service)?, world.counted(NotAllowed)?];
    let counted = [passed - before[0], dropped - before[1]];
    ensure!(
        counted == [u64::from(passing), u64::from(WALK - passing)],
        "{}: {counted:?} passed and were dropped",
        series.title.name
    );
    Ok(())
}
