//! Which hook suits a card: what its driver loses once an XDP program is on it.
//!
//! A packet that XDP refuses costs a fraction of one that TC refuses, because the kernel has
//! allocated nothing for it yet. But some drivers then take no large packets any more: each of the 45
//! segments of one goes through the machine by itself.

use super::How;
use crate::interface::{self, Interface, Kind, XdpFeatures};
use crate::kernel::{CardFacts, Ingress, VlanOffload};
use crate::plan::Card;
use crate::policy::HookChoice;
use std::fmt;

/// The largest MTU of frames that fit into one page, with the headroom of XDP before them
/// (`XDP_PACKET_HEADROOM`) and the kernel's own structure behind (`skb_shared_info`). The Ethernet header
/// may have two VLAN tags.
pub const ONE_BUFFER: u32 = 4096 - 256 - 320 - (14 + 2 * 4);

/// Drivers that lose by XDP, and what.
const LOSES: [(&str, &str); 4] = [
    (
        "veth",
        "with an XDP program its other end sends no large packets (drivers/net/veth.c)",
    ),
    (
        "virtio_net",
        "with an XDP program its host sends no large packets (drivers/net/virtio_net.c)",
    ),
    (
        "hv_netvsc",
        "with an XDP program its host sends no large packets (drivers/net/hyperv)",
    ),
    (
        "vmxnet3",
        "with an XDP program its host sends no large packets (drivers/net/vmxnet3)",
    ),
];

/// The hook of a card, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub ingress: Ingress,
    pub why: Why,
}

/// Who or what chose a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `auto`, for what it found of the card.
    Found(String),
    /// The flag `--hook`.
    Flag,
    /// The policy, which names the card.
    Policy,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found(why) => why,
            Self::Flag => "--hook says so",
            Self::Policy => "[hooks] of the policy says so",
        })
    }
}

/// The hook for a card.
#[must_use]
pub fn choose(how: &How, card: &Card) -> Chosen {
    let ingress = match how.of(&card.name) {
        HookChoice::Xdp => Ingress::Native,
        HookChoice::Tc => Ingress::Tc,
        HookChoice::XdpGeneric => Ingress::Generic,
        HookChoice::Auto => return automatic(&Facts::of(card)),
    };
    let why = match how.by_card.contains_key(&card.name) {
        true => Why::Policy,
        false => Why::Flag,
    };
    Chosen { ingress, why }
}

/// What `auto` chooses for this interface, if it is a card; `is_trunk`: its VLANs are told apart.
#[must_use]
pub fn suits(one: &Interface, is_trunk: bool) -> Chosen {
    let is_tunnel = one.kind == Kind::Tunnel;
    automatic(&Facts::read(&one.name, one.index, (is_trunk, is_tunnel)))
}

/// What of a card decides.
#[derive(Debug, Clone, Default)]
struct Facts {
    driver: String,
    mtu: u32,
    /// `None`: the kernel does not tell, as before Linux 6.3.
    xdp: Option<XdpFeatures>,
    /// It joins packets that come in, or its host sends them joined. What counts is the setting: virtio's
    /// is on where device and driver agreed on large packets, until somebody switches it off.
    receives_joined: bool,
    /// It is a trunk, and takes VLAN tags off before XDP sees them.
    hides_tags: bool,
    /// Its frames have no Ethernet header.
    is_tunnel: bool,
}

impl Facts {
    fn of(card: &Card) -> Self {
        Self::read(&card.name, card.index, (card.is_trunk(), !card.ethernet))
    }

    fn read(name: &str, index: u32, (is_trunk, is_tunnel): (bool, bool)) -> Self {
        let facts = CardFacts::of(name).unwrap_or_default();
        let features = interface::xdp_features().unwrap_or_default();
        let strips = || VlanOffload::of(name).is_ok_and(|offload| offload.strips);
        Self {
            receives_joined: facts.receives_joined,
            driver: facts.driver,
            mtu: facts.mtu,
            xdp: features.get(&index).copied(),
            hides_tags: is_trunk && strips(),
            is_tunnel,
        }
    }
}

fn automatic(facts: &Facts) -> Chosen {
    let chosen = |ingress, why: String| Chosen {
        ingress,
        why: Why::Found(why),
    };
    if facts.is_tunnel {
        let why = "its frames have no Ethernet header";
        return chosen(Ingress::Tc, why.to_owned());
    }
    let driver = &facts.driver;
    let loses = LOSES.iter().find(|(name, _)| name == driver);
    let loses = loses.filter(|(name, _)| *name != "virtio_net" || facts.receives_joined);
    if let Some((name, why)) = loses {
        return chosen(Ingress::Tc, format!("{name}: {why}"));
    }
    let name = match driver.as_str() {
        "" => "its driver",
        name => name,
    };
    match facts.xdp {
        Some(features) if !features.native => {
            return chosen(Ingress::Tc, format!("{name} takes no XDP programs"));
        }
        Some(features) if !features.several_buffers && facts.mtu > ONE_BUFFER => {
            let mtu = facts.mtu;
            let why = format!(
                "{name} takes XDP programs for frames of one buffer only, and its MTU is {mtu}"
            );
            return chosen(Ingress::Tc, why);
        }
        _ => {}
    }
    if facts.hides_tags {
        let why = format!("{name} takes VLAN tags off before XDP sees them");
        return chosen(Ingress::Tc, why);
    }
    let why = match facts.xdp {
        Some(_) => format!("{name} runs XDP programs itself"),
        None => {
            format!("{name} is tried: the kernel does not tell whether it takes XDP programs")
        }
    };
    chosen(Ingress::Native, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Hooks;

    const NATIVE: Option<XdpFeatures> = features(true, true);

    const fn features(native: bool, several_buffers: bool) -> Option<XdpFeatures> {
        Some(XdpFeatures {
            native,
            several_buffers,
        })
    }

    fn facts(driver: &str, xdp: Option<XdpFeatures>) -> Facts {
        Facts {
            driver: driver.to_owned(),
            mtu: 1500,
            xdp,
            ..Facts::default()
        }
    }

    #[track_caller]
    fn suits(facts: Facts, ingress: Ingress, part: &str) {
        suits_why(&automatic(&facts), ingress, part);
    }

    #[track_caller]
    fn suits_why(chosen: &Chosen, ingress: Ingress, part: &str) {
        assert_eq!(chosen.ingress, ingress, "{chosen:?}");
        let why = chosen.why.to_string();
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn cards_that_lose_by_xdp_get_tc() {
        for driver in ["veth", "hv_netvsc", "vmxnet3"] {
            suits(facts(driver, NATIVE), Ingress::Tc, "large packets");
        }
        let large = Facts {
            receives_joined: true,
            ..facts("virtio_net", NATIVE)
        };
        suits(large, Ingress::Tc, "large packets");
        suits(facts("virtio_net", NATIVE), Ingress::Native, "itself");
        suits(
            facts("", features(false, false)),
            Ingress::Tc,
            "takes no XDP",
        );
        let tunnel = Facts {
            is_tunnel: true,
            ..facts("tun", NATIVE)
        };
        suits(tunnel, Ingress::Tc, "no Ethernet header");
        let tags = Facts {
            hides_tags: true,
            ..facts("ixgbe", NATIVE)
        };
        suits(tags, Ingress::Tc, "VLAN tags");
    }

    #[test]
    fn all_others_get_xdp() {
        suits(facts("ixgbe", NATIVE), Ingress::Native, "ixgbe runs");
        suits(facts("ixgbe", None), Ingress::Native, "ixgbe is tried");
    }

    #[test]
    fn frames_of_several_buffers_need_a_driver_for_them() {
        let of = |mtu, several| Facts {
            mtu,
            ..facts("igb", features(true, several))
        };
        suits(of(3498, false), Ingress::Native, "itself");
        suits(of(3499, false), Ingress::Tc, "one buffer");
        suits(of(9000, true), Ingress::Native, "itself");
    }

    #[test]
    fn what_the_operator_says_is_done() {
        let card = |name: &str| Card {
            name: name.to_owned(),
            index: 0,
            lanes: Vec::new(),
            given: true,
            ethernet: true,
        };
        let tunnel = Card {
            ethernet: false,
            ..card("found")
        };
        for (choice, ingress) in [
            (HookChoice::Xdp, Ingress::Native),
            (HookChoice::Tc, Ingress::Tc),
            (HookChoice::XdpGeneric, Ingress::Generic),
        ] {
            let by_flag = How {
                hook: choice,
                by_card: Hooks::from([("found".to_owned(), HookChoice::Auto)]),
                ..How::default()
            };
            let of = |how: &How, card: &Card| choose(how, card);
            let (flag, policy) = (Why::Flag, Why::Policy);
            let chosen = |why| Chosen { ingress, why };
            assert_eq!(of(&by_flag, &card("no-such-card")), chosen(flag));
            // The policy's word about a card goes before the flag.
            suits_why(&of(&by_flag, &tunnel), Ingress::Tc, "no Ethernet header");
            let by_policy = by_flag.with(&Hooks::from([("no-such-card".to_owned(), choice)]));
            assert_eq!(of(&by_policy, &card("no-such-card")), chosen(policy));
        }
    }
}
