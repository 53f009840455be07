//! Which interfaces the machine routes from, as its settings say.

use std::fs;

/// Whether the machine routes what comes in at the interface of this name: IPv4 by a setting of the
/// interface, IPv6 by one of the machine (since Linux 6.17 also by one of the interface).
#[must_use]
pub fn routes(name: &str) -> bool {
    let is_on = |setting: String| {
        let value = fs::read_to_string(format!("/proc/sys/net/{setting}"));
        value.is_ok_and(|value| value.trim() != "0")
    };
    is_on(format!("ipv4/conf/{name}/forwarding"))
        || !is_on(format!("ipv6/conf/{name}/disable_ipv6"))
            && (is_on("ipv6/conf/all/forwarding".to_owned())
                || is_on(format!("ipv6/conf/{name}/force_forwarding")))
}
