//! The two networks that the machine stands between: each is a cable to a host that is a network
//! namespace of a thread of this process. With the process, all of it is gone.

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::process::{command, run};

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

/// Takes this thread, and all that it starts from now on, into a network of its own. Returns what
/// `ip` knows the network by.
pub fn leave() -> Result<String> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace (needs root)")?;
    ip(&["link", "set", "lo", "up"])?;
    Ok(gettid().to_string())
}

/// Makes both cables here, so that the emulator finds them.
pub fn make() -> Result<()> {
    for side in [&OUTSIDE, &INSIDE] {
        ip(&["tuntap", "add", side.name, "mode", "tap"])?;
    }
    Ok(())
}

/// Gives a cable to another network, once the emulator holds its end.
pub fn give(side: &Side, network: &str) -> Result<()> {
    ip(&["link", "set", side.name, "netns", network])
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
    ip(&["address", "add", &format!("{host}/24"), "dev", name])?;
    ip(&["link", "set", name, "up"])?;
    let known = [
        "neighbour",
        "replace",
        gateway,
        "lladdr",
        card,
        "nud",
        "permanent",
        "dev",
        name,
    ];
    ip(&known)?;
    ip(&["route", "add", other, "via", gateway])
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(command("ip").args(arguments))
}
