//! What a policy takes in the kernel.

use crate::policy::Compiled;
use sccm_common::Policy;
use sccm_common::abi::PolicyInfo;
use sccm_common::address::Trie;
use sccm_common::policy::{BANKS, MAX_PAIRS};
use serde::Serialize;
use std::collections::BTreeSet;

/// How large a policy is, and how large it may be.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Size {
    /// Kinds of peers that it tells apart.
    pub peer_classes: usize,
    /// Kinds of protected systems that it tells apart.
    pub local_classes: usize,
    /// Pairs of both that there is room for.
    pub class_pairs_limit: usize,
    /// Kinds of services that it tells apart.
    pub service_classes: usize,
    /// Bytes of the address trie in use.
    pub address_bytes: usize,
    /// Bytes that there is room for.
    pub address_bytes_limit: usize,
    /// Bytes of kernel memory that the policy fills.
    pub bytes: usize,
    /// Bytes of kernel memory that are reserved for this policy and the next one,
    /// however large they are. Flows and counters are not among them.
    pub reserved_bytes: usize,
}

impl Size {
    pub(super) fn new(compiled: &Compiled) -> Self {
        let policy = &compiled.policy;
        let services: BTreeSet<u8> = compiled.services.iter().map(|(class, _)| class.0).collect();
        let fixed = size_of::<Policy>() + size_of::<PolicyInfo>();
        let used = size_of_val(compiled.addresses.used());
        Self {
            peer_classes: policy.peers as usize,
            local_classes: compiled.local_classes,
            class_pairs_limit: MAX_PAIRS,
            service_classes: services.len(),
            address_bytes: used,
            address_bytes_limit: size_of::<Trie>(),
            bytes: fixed + used,
            reserved_bytes: BANKS as usize * (fixed + size_of::<Trie>()),
        }
    }
}
