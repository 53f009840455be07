//! By which interfaces a gateway forwards besides those that it enforces.

use super::{interface, machine, plan};
use crate::interface::Kind;
use crate::plan::not_enforced;

/// What is told with these interfaces named, if the machine routes from all that `routes` names.
fn told(line: &str, routes: &str) -> String {
    let mut machine = machine();
    machine.push(interface(40, "lo", Kind::Card, None));
    let mut down = interface(41, "off0", Kind::Card, None);
    down.up = false;
    machine.push(down);
    let plan = plan(line).unwrap();
    let routes: Vec<&str> = routes.split(' ').collect();
    let routes = |name: &str| routes == ["all"] || routes.contains(&name);
    let entrances = plan.entrances.into_keys().collect();
    not_enforced(&entrances, &machine, routes).join(" ")
}

#[test]
fn members_of_a_bridge_with_a_judged_one_are_told_whatever_is_routed() {
    // eth0.20 is a member of br20.
    assert_eq!(told("uplink eth2 segment eth0", ""), "bond0 eth1.20");
    assert_eq!(told("uplink br0 segment br20", ""), "");
    // One leg of a bond, which is then a member that is not judged.
    assert_eq!(told("uplink eth2 segment eth3", ""), "eth4 bond0");
}

#[test]
fn interfaces_from_which_the_machine_routes_are_told() {
    let routed = told("uplink eth3 segment eth4", "eth0 off0");
    assert_eq!(routed, "eth0 eth2");
    let all = told("uplink eth0 segment br0", "all");
    assert_eq!(
        all,
        "eth1 empty0 eth1.20 office inner eth0.x away wg0 tun0 ib0"
    );
    // VLANs alone are judged of eth1.
    let on_a_stick = told("uplink eth1.20 segment office", "eth1 eth1.20 office lo");
    assert_eq!(on_a_stick, "eth1 eth0.20");
}
