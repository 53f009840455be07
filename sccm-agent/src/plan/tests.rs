//! Cards, VLANs, bridges and bonds of a machine that does not exist.

mod sides;
mod third;

use super::*;
use crate::interface::XdpProgram;

const NO_PROGRAM: Option<XdpProgram> = None;

fn interface(index: u32, name: &str, kind: Kind, controller: Option<u32>) -> Interface {
    Interface {
        name: name.to_owned(),
        index,
        up: true,
        controller,
        kind,
        xdp: NO_PROGRAM,
    }
}

/// Three cards; br0 over eth2 and bond0, which is over eth3 and eth4; br20 over VLANs; vrf0 with
/// a tunnel.
fn machine() -> Vec<Interface> {
    let vlan = |parent, id| Kind::Vlan {
        parent: Some(parent),
        id,
    };
    vec![
        interface(1, "eth0", Kind::Card, None),
        interface(2, "eth1", Kind::Card, None),
        interface(3, "eth2", Kind::Card, Some(10)),
        interface(4, "eth3", Kind::Card, Some(11)),
        interface(5, "eth4", Kind::Card, Some(11)),
        interface(10, "br0", Kind::Group { bond: None }, None),
        interface(11, "bond0", Kind::Group { bond: None }, Some(10)),
        interface(12, "empty0", Kind::Group { bond: None }, None),
        interface(20, "eth1.20", vlan(2, 20), Some(24)),
        interface(21, "office", vlan(2, 30), None),
        interface(22, "bond0.20", vlan(11, 20), None),
        interface(23, "inner", vlan(20, 7), None),
        interface(24, "br20", Kind::Group { bond: None }, None),
        interface(25, "eth0.20", vlan(1, 20), Some(24)),
        interface(26, "eth0.x", Kind::Veth { peer: None }, None),
        interface(
            27,
            "away",
            Kind::Vlan {
                parent: None,
                id: 5,
            },
            None,
        ),
        interface(28, "wg0", Kind::Tunnel, None),
        interface(29, "vrf0", Kind::Vrf, None),
        interface(30, "tun0", Kind::Tunnel, Some(29)),
        interface(31, "ib0", Kind::OtherLink, None),
    ]
}

fn named(line: &str) -> Vec<NamedInterface> {
    let mut place = Place::Host;
    let mut named = Vec::new();
    for word in line.split(' ') {
        match word {
            "uplink" => place = Place::Uplink,
            "segment" => place = Place::Segment,
            interface => named.push(NamedInterface {
                name: interface.to_owned(),
                place,
            }),
        }
    }
    named
}

fn plan(line: &str) -> Result<Plan> {
    of(&named(line), &machine())
}

/// Cards with what of them is counted as what.
fn told(line: &str) -> Vec<String> {
    let lane = |lane: &Lane| match lane.vlan {
        Some(id) => format!("{id} as {} {:?}", lane.name, lane.place),
        None => format!("rest as {} {:?}", lane.name, lane.place),
    };
    let card = |card: &Card| {
        let lanes: Vec<String> = card.lanes.iter().map(lane).collect();
        format!("{}: {}", card.name, lanes.join(", "))
    };
    plan(line).unwrap().cards.iter().map(card).collect()
}

#[test]
fn names_become_cards() {
    for (line, expected) in [
        ("eth0", &["eth0: rest as eth0 Host"] as &[_]),
        // With a device of that name, with another name, and without any.
        ("eth1.20", &["eth1: 20 as eth1.20 Host"]),
        ("office", &["eth1: 30 as office Host"]),
        ("eth1.4094", &["eth1: 4094 as eth1.4094 Host"]),
        // A router on a stick.
        (
            "uplink eth1.20 segment office",
            &["eth1: 20 as eth1.20 Uplink, 30 as office Segment"],
        ),
        (
            "eth1 eth1.20",
            &["eth1: rest as eth1 Host, 20 as eth1.20 Host"],
        ),
        // What has the name wins over what the name could mean.
        ("eth0.x", &["eth0.x: rest as eth0.x Host"]),
        (
            "br0",
            &[
                "eth2: rest as eth2 Host",
                "eth3: rest as eth3 Host",
                "eth4: rest as eth4 Host",
            ],
        ),
        (
            "bond0.20",
            &["eth3: 20 as eth3.20 Host", "eth4: 20 as eth4.20 Host"],
        ),
        (
            "br20",
            &["eth1: 20 as eth1.20 Host", "eth0: 20 as eth0.20 Host"],
        ),
        ("empty0", &[]),
        ("wg0", &["wg0: rest as wg0 Host"]),
        ("vrf0", &["tun0: rest as tun0 Host"]),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
    assert!(plan("eth0 eth1.20").unwrap().cards[1].is_trunk());
    assert!(!plan("eth0 eth1.20").unwrap().cards[0].is_trunk());
}

#[test]
fn the_same_frames_are_not_given_twice() {
    for (line, parts) in [
        (
            "br0 eth2",
            &["eth2 is a member of br0, which is given too"] as &[_],
        ),
        ("eth2 br0", &["eth2 is a member of br0, which is given too"]),
        (
            "uplink br0 segment bond0",
            &["br0 and bond0 mean the same frames of eth3"],
        ),
        (
            "br0 eth2.20",
            &["eth2.20 is of eth2, and eth2 is a member of br0"],
        ),
        (
            "eth2.20 br0",
            &["eth2.20 is of eth2, and eth2 is a member of br0"],
        ),
        (
            "bond0 eth3.7",
            &["eth3.7 is of eth3, and eth3 is a member of bond0"],
        ),
        (
            "uplink eth1.30 segment office",
            &["eth1.30 and office mean the same frames of eth1"],
        ),
        (
            "br20 eth1.20",
            &["br20 and eth1.20 mean the same frames of eth1"],
        ),
    ] {
        let error = plan(line).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{line}: {error}");
        }
    }
    let many: Vec<String> = (1..=16).map(|id| format!("eth1.{id}")).collect();
    let error = plan(&many.join(" ")).unwrap_err().to_string();
    assert!(
        error.contains("17 interfaces") && error.contains("at most 16"),
        "{error}"
    );
    assert!(plan(&many[1..].join(" ")).is_ok());
}

#[test]
fn what_is_no_interface_is_told() {
    for (name, parts) in [
        ("eth9", &["no interface `eth9`", "did you mean eth"] as &[_]),
        ("eth9.20", &["no interface `eth9.20`"]),
        ("eth1.0", &["no VLAN of eth1", "1 to 4094"]),
        ("eth1.4095", &["no VLAN of eth1", "1 to 4094"]),
        ("eth1.twenty", &["no VLAN of eth1", "1 to 4094"]),
        (
            "inner",
            &["VLAN within VLAN 20", "name the outer one, eth1.20"],
        ),
        ("office.7", &["VLAN within VLAN 30"]),
        ("away", &["another network namespace"]),
        (
            "ib0",
            &["frames of ib0 have another link header", "nftables"],
        ),
        (
            "wg0.20",
            &["frames of wg0 have no Ethernet header", "no VLANs"],
        ),
    ] {
        let error = plan(name).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

/// Names of the interfaces that a plan lists.
fn names(numbers: &BTreeSet<u32>) -> Vec<String> {
    let machine = machine();
    let listed = machine.iter().filter(|one| numbers.contains(&one.index));
    listed.map(|one| one.name.clone()).collect()
}

fn entrances_of(plan: &Plan) -> BTreeSet<u32> {
    plan.entrances.keys().copied().collect()
}

/// What is translated is remembered where it crosses from one side to the other.
#[test]
fn an_entrance_is_on_the_side_on_which_all_of_it_is() {
    let plan = plan("uplink eth1.20 segment eth0.20 segment eth3").unwrap();
    let machine = machine();
    let side = |name: &str| {
        let one = machine.iter().find(|one| one.name == name).unwrap();
        plan.entrances
            .get(&one.index)
            .map(|entrance| entrance.place)
    };
    assert_eq!(side("eth1.20"), Some(Some(Place::Uplink)));
    assert_eq!(side("eth0.20"), Some(Some(Place::Segment)));
    assert_eq!(side("eth3"), Some(Some(Place::Segment)));
    // A bridge between both sides.
    assert_eq!(side("br20"), Some(None));
    assert_eq!(side("eth0"), None);
}

#[test]
fn what_stands_on_judged_frames_is_an_entrance() {
    for (line, entrances, reach) in [
        ("eth0", "eth0 eth0.20", "eth0 br20 eth0.20"),
        ("eth1.20", "eth1.20", "eth1.20 br20"),
        ("eth1", "eth1 eth1.20 office", "eth1 eth1.20 office br20"),
        ("office", "office", "office"),
        ("eth3", "eth3", "eth3 br0 bond0 bond0.20"),
        // All of bond0 is judged, but a member of br0 that comes may not be.
        (
            "bond0",
            "eth3 eth4 bond0 bond0.20",
            "eth3 eth4 br0 bond0 bond0.20",
        ),
        ("br20", "eth1.20 br20 eth0.20", "eth1.20 br20 eth0.20"),
        // All members of br20 are judged, whoever named them.
        (
            "eth1.20 segment eth0.20",
            "eth1.20 br20 eth0.20",
            "eth1.20 br20 eth0.20",
        ),
    ] {
        let plan = plan(&format!("uplink {line}")).unwrap();
        assert_eq!(names(&entrances_of(&plan)).join(" "), entrances, "{line}");
        assert_eq!(names(&plan.reach).join(" "), reach, "{line}");
    }
}

/// What a host routes needs flows for its answers, so it is judged where it leaves.
#[test]
fn a_host_has_entrances_only_within_its_bridges() {
    for (line, entrances) in [
        ("eth0", "eth0.20"),
        ("eth1", "eth1.20"),
        ("eth3", "eth3"),
        ("bond0", "eth3 eth4 bond0"),
    ] {
        let plan = plan(line).unwrap();
        assert_eq!(names(&entrances_of(&plan)).join(" "), entrances, "{line}");
    }
}
