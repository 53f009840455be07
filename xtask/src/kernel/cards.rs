//! The network cards of the emulated machine: pairs of one kind, each pair on a cable of its own. One
//! card of a pair is for who is protected, the other one for its peer (`sccm-agent/tests/devices/cards.rs`).
//!
//! A cable is a bridge between two taps. The emulator could join cards by itself, but only a tap hands
//! over the large packets for whose sake a card is judged at TC.

use anyhow::Result;

use crate::network::ip;

/// A pair: what its cable is called, and both cards as the emulator makes them.
const PAIRS: &[(&str, &str)] = &[
    ("large", "virtio-net-pci"),
    (
        "small",
        "virtio-net-pci,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off",
    ),
    ("vmware", "vmxnet3"),
];

/// The ends of a cable.
fn ends(cable: &str) -> [String; 2] {
    [0, 1].map(|end| format!("{cable}{end}"))
}

/// Lays the cables in this thread's network, where the emulator finds them.
///
/// # Errors
/// `ip` fails.
pub fn lay_cables() -> Result<()> {
    for (cable, _) in PAIRS {
        ip(&format!("link add {cable} up type bridge mcast_snooping 0"))?;
        for end in ends(cable) {
            ip(&format!("tuntap add {end} mode tap"))?;
            ip(&format!("link set {end} master {cable} up"))?;
        }
    }
    Ok(())
}

/// What the emulator is told of the cards.
pub fn arguments() -> Vec<String> {
    let mut all = Vec::new();
    for (cable, device) in PAIRS {
        for end in ends(cable) {
            all.push("-netdev".to_owned());
            all.push(format!(
                "tap,id={end},ifname={end},script=no,downscript=no,vnet_hdr=on"
            ));
            all.push("-device".to_owned());
            all.push(format!("{device},netdev={end},romfile="));
        }
    }
    all
}
