//! What the machine routes, as its settings say.

use std::fs;

/// Whether the machine routes what comes in at the interface of this name: IPv4 by a setting of the
/// interface, IPv6 by one of the machine (since Linux 6.17 also by one of the interface).
#[must_use]
pub fn routes(name: &str) -> bool {
    is_on(&format!("ipv4/conf/{name}/forwarding"))
        || !is_on(&format!("ipv6/conf/{name}/disable_ipv6"))
            && (is_on("ipv6/conf/all/forwarding")
                || is_on(&format!("ipv6/conf/{name}/force_forwarding")))
}

/// Whether a multicast router runs, of any family. The kernel sets this while one does.
#[must_use]
pub fn routes_multicast() -> bool {
    is_on("ipv4/conf/all/mc_forwarding") || is_on("ipv6/conf/all/mc_forwarding")
}

/// Whether the machine routes directed broadcasts that come in at the interface of this name, rather
/// than take them itself.
#[must_use]
pub fn routes_broadcasts(name: &str) -> bool {
    is_on("ipv4/conf/all/bc_forwarding") && is_on(&format!("ipv4/conf/{name}/bc_forwarding"))
}

fn is_on(setting: &str) -> bool {
    let value = fs::read_to_string(format!("/proc/sys/net/{setting}"));
    value.is_ok_and(|value| value.trim() != "0")
}
