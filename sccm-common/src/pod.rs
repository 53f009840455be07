//! Lets the agent move these layouts through aya's typed maps.

use crate::abi::{InterfaceRecord, PeerRecord, PolicyInfo, ServiceRecord};
use crate::blocked::{BlockedFlow, Bucket};
use crate::capture::{Desk, Order};
use crate::counter::Counter;
use crate::flow::table;
use crate::fragment::{FragmentKey, FragmentState};
use crate::policy::Policy;
use crate::tftp::{TransferKey, TransferState};
use crate::trunk::Lane;
use crate::usage::{RowRecord, Use};

// SAFETY: plain data without padding (asserted beside each type), any bytes are valid.
unsafe impl aya::Pod for InterfaceRecord {}
// SAFETY: as above.
unsafe impl aya::Pod for Lane {}
// SAFETY: as above.
unsafe impl aya::Pod for Counter {}
// SAFETY: as above.
unsafe impl aya::Pod for table::Set {}
// SAFETY: as above.
unsafe impl aya::Pod for Policy {}
// SAFETY: as above.
unsafe impl aya::Pod for table::Hash {}
// SAFETY: as above.
unsafe impl aya::Pod for ServiceRecord {}
// SAFETY: as above.
unsafe impl aya::Pod for PeerRecord {}
// SAFETY: as above.
unsafe impl aya::Pod for PolicyInfo {}
// SAFETY: as above.
unsafe impl aya::Pod for FragmentKey {}
// SAFETY: as above.
unsafe impl aya::Pod for FragmentState {}
// SAFETY: as above.
unsafe impl aya::Pod for TransferKey {}
// SAFETY: as above.
unsafe impl aya::Pod for TransferState {}
// SAFETY: as above.
unsafe impl aya::Pod for BlockedFlow {}
// SAFETY: as above.
unsafe impl aya::Pod for Bucket {}
// SAFETY: as above.
unsafe impl aya::Pod for Order {}
// SAFETY: as above.
unsafe impl aya::Pod for Desk {}
// SAFETY: as above.
unsafe impl aya::Pod for crate::rpc::heard::Desk {}
// SAFETY: as above.
unsafe impl aya::Pod for crate::opening::Set {}
// SAFETY: as above.
unsafe impl aya::Pod for Use {}
// SAFETY: as above.
unsafe impl aya::Pod for RowRecord {}
