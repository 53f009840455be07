//! Programs, maps, links and pins: the only room that uses aya.
//!
//! Everything is pinned in one directory, so that enforcement outlives the agent, and the next
//! agent takes over maps, counters and flows:
//!
//! ```text
//! /sys/fs/bpf/sccm-agent/maps/POLICIES ...       one pin for each map
//! /sys/fs/bpf/sccm-agent/links/0-inbound ...     one pin for each hook, by slot
//! ```

mod attach;
mod batch;
mod blocked;
pub mod bpf;
mod capture;
mod clock;
mod counters;
mod ethtool;
mod events;
mod features;
mod filter;
mod flows;
mod heard;
mod held;
pub mod loaded;
mod mapped;
mod maps;
mod memory;
mod names;
mod object;
mod opener;
mod openings;
mod order;
mod owner;
mod pinned;
mod pins;
mod program;
mod shared;
mod sockets;
mod tallies;
mod topology;
mod types;
mod unhook;
mod uses;

pub use attach::{Attached, Ingress, TcHook, TcOrder};
pub use blocked::Unnoted;
pub use capture::{Capture, Dropped};
pub use clock::{Clock, is_synchronized, since_boot};
pub use counters::Reading;
pub use ethtool::{CardFacts, VlanOffload};
pub use events::Events;
pub use features::Features;
pub use flows::{FlowCount, FlowTable, KnownFlow, Merged, TableFlow};
pub use heard::{Heard, Said};
pub use held::Held;
pub use mapped::Mapped;
pub use maps::{Maps, create as create_maps};
pub use memory::needed as memory_needed;
pub use opener::Opener;
pub use openings::{HandedOut, KnownOpening, OpeningTable, Outcomes, keep_open, merge_openings};
pub use order::all as tc_programs;
pub use owner::describe as describe_program;
pub use pins::{DEFAULT_PIN_DIR, Found, Lock, PinDir};
pub use program::{IngressAt, Loader, Programs};
pub use shared::SharedMaps;
pub use sockets::sockets_of;
pub use tallies::Tally;
pub use topology::{Enforced, Topology};
pub use uses::{Right, Rights};

/// The innermost error: what the kernel said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
