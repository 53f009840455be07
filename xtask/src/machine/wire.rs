//! The two networks that the machine stands between: each is a cable to a host that is a network
//! namespace of a thread of this process. With the process, all of it is gone.

use anyhow::Result;

use crate::network::ip;

/// One of the two.
pub struct Side {
    /// What the cable is called.
    pub name: &'static str,
    /// The address of the machine's card.
    pub card: &'static str,
    /// The machine's address.
    pub gateway: &'static str,
    /// The host's address.
    pub host: &'static str,
    /// The network behind the machine.
    other: &'static str,
}

/// Where peers are.
pub const OUTSIDE: Side = Side {
    name: "outside",
    card: "52:54:00:00:00:01",
    gateway: "192.0.2.1",
    host: "192.0.2.10",
    other: "198.51.100.0/24",
};

/// Where the protected system is.
pub const INSIDE: Side = Side {
    name: "inside",
    card: "52:54:00:00:00:02",
    gateway: "198.51.100.1",
    host: "198.51.100.10",
    other: "192.0.2.0/24",
};

/// Makes both cables here, so that the emulator finds them.
pub fn make() -> Result<()> {
    for side in [&OUTSIDE, &INSIDE] {
        ip(&format!("tuntap add {} mode tap", side.name))?;
    }
    Ok(())
}

/// Gives a cable to another network, once the emulator holds its end.
pub fn give(side: &Side, network: &str) -> Result<()> {
    ip(&format!("link set {} netns {network}", side.name))
}

/// Makes this network the host at the end of a cable. It asks nobody where the machine is, so that its
/// packets go out also while the machine is not there.
pub fn connect(side: &Side) -> Result<()> {
    let Side {
        name,
        card,
        gateway,
        host,
        other,
    } = *side;
    ip(&format!("address add {host}/24 dev {name}"))?;
    ip(&format!("link set {name} up"))?;
    ip(&format!(
        "neighbour replace {gateway} lladdr {card} nud permanent dev {name}"
    ))?;
    ip(&format!("route add {other} via {gateway}"))
}
