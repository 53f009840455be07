//! What a policy takes in the kernel.

use crate::policy::Compiled;
use sccm_common::Policy;
use sccm_common::abi::{CHUNKS, PolicyInfo};
use sccm_common::address::{Chunk, Family, Root};
use sccm_common::policy::{BANKS, MAX_PAIRS};
use serde::Serialize;
use std::collections::BTreeSet;

/// How large a policy is, and how large it may be.
#[derive(Debug, Serialize)]
pub struct Size {
    /// Kinds of peers that it tells apart.
    pub peer_classes: usize,
    /// Kinds of protected systems that it tells apart.
    pub local_classes: usize,
    /// Pairs of both that there is room for.
    pub class_pairs_limit: usize,
    /// Kinds of services that it tells apart.
    pub service_classes: usize,
    /// Address tables in use.
    pub address_tables: usize,
    /// Address tables that there is room for.
    pub address_tables_limit: usize,
    /// Bytes of kernel memory that the policy fills.
    pub bytes: usize,
    /// Bytes of kernel memory that are reserved for this policy and the next one,
    /// however large they are. Flows and counters are not among them.
    pub reserved_bytes: usize,
}

impl Size {
    pub(super) fn new(compiled: &Compiled) -> Self {
        let table = &compiled.addresses;
        let families = [Family::V4, Family::V6].into_iter();
        let roots = families.flat_map(|family| table.root(family));
        let entries = roots.chain(table.chunks().iter().flatten());
        let mut classes = (BTreeSet::new(), BTreeSet::new());
        for class in entries.filter_map(|entry| entry.decode().ok()) {
            classes.0.insert(class.peer);
            classes.1.insert(class.local);
        }
        let services: BTreeSet<u8> = compiled.services.iter().map(|(class, _)| class.0).collect();
        let banks = BANKS as usize;
        let fixed = size_of::<Policy>() + size_of::<PolicyInfo>() + 2 * size_of::<Root>();
        Self {
            peer_classes: classes.0.len(),
            local_classes: classes.1.len(),
            class_pairs_limit: MAX_PAIRS,
            service_classes: services.len(),
            address_tables: table.chunks().len(),
            address_tables_limit: CHUNKS as usize / banks,
            bytes: fixed + size_of_val(table.chunks()),
            reserved_bytes: banks * fixed + CHUNKS as usize * size_of::<Chunk>(),
        }
    }
}
