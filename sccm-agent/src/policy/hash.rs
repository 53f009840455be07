//! The fingerprint of compiled tables.

use super::addresses::AddressTable;
use sccm_common::Policy;
use sha2::{Digest, Sha256};

/// SHA-256 of everything that decides: two policies with the same hash decide alike.
pub(super) fn of(policy: &Policy, addresses: &AddressTable) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(policy.flags.to_le_bytes());
    hasher.update(policy.essentials.0.to_le_bytes());
    for table in [
        &policy.tcp[..],
        &policy.udp,
        &policy.icmp,
        &policy.icmpv6,
        &policy.protocol,
    ] {
        let numbers: Vec<u8> = table.iter().map(|class| class.0).collect();
        hasher.update(&numbers);
    }
    let limits = policy.timeouts;
    for number in [
        policy.peers,
        limits.tcp_opening,
        limits.tcp_established,
        limits.tcp_closing,
        limits.other,
    ] {
        hasher.update(number.to_le_bytes());
    }
    for access in &policy.access {
        for word in [access.inbound.0, access.outbound.0].concat() {
            hasher.update(word.to_le_bytes());
        }
    }
    let words = addresses.used().iter();
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    hasher.update(&bytes);
    hasher.finalize().into()
}
