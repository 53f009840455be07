//! Fingerprints: of compiled tables, and of a policy as it was written.

use super::SitePolicy;
use super::addresses::AddressTable;
use sccm_common::Policy;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// SHA-256 of everything that decides: two policies with the same hash decide, and count, alike.
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
        limits.answer,
    ] {
        hasher.update(number.to_le_bytes());
    }
    for access in &policy.access {
        for word in [access.inbound.0, access.outbound.0].concat() {
            hasher.update(word.to_le_bytes());
        }
    }
    let peers: Vec<u8> = policy.peer_of.iter().map(|peer| peer.0).collect();
    hasher.update(&peers);
    for ethertype in policy.ethertypes {
        for number in [ethertype.number, ethertype.places] {
            hasher.update(number.to_le_bytes());
        }
    }
    let words = addresses.used().iter();
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    hasher.update(&bytes);
    hasher.finalize().into()
}

/// SHA-256 of what the operator wrote. Unlike the tables, it stays the same when
/// a gateway's own addresses change, so it tells whether a file is still the one
/// that was taken back. Only ever compared with what the same program made.
pub(super) fn as_written(policy: &SitePolicy, observe: bool) -> [u8; 32] {
    struct Feed(Sha256);
    impl fmt::Write for Feed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let mut feed = Feed(Sha256::new());
    // A hasher takes everything.
    let _ = write!(feed, "{observe} {policy:?}");
    feed.0.finalize().into()
}
