//! The fingerprint of compiled tables.

use super::AddressTable;
use sccm_common::Policy;
use sccm_common::address::{Entry, Family};
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
    for family in [Family::V4, Family::V6] {
        entries(&mut hasher, addresses.root(family));
    }
    for chunk in addresses.chunks() {
        entries(&mut hasher, chunk);
    }
    hasher.finalize().into()
}

fn entries(hasher: &mut Sha256, entries: &[Entry]) {
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    hasher.update(&bytes);
}
