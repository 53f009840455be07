//! The policy compiler: from roles and settings to the tables in the kernel.
//!
//! It works wholly in memory and touches nothing. Every port gets the class of
//! what the whole catalog knows about it, so that a drop is named also where no
//! role of this host is concerned; the roles then decide which classes pass.

pub mod addresses;
mod allow;
mod answers;
mod compile;
mod cover;
pub(crate) mod ethertype;
mod expectation;
mod explain;
mod groups;
mod handed_out;
mod hash;
mod hints;
mod hook;
mod kinds;
mod labels;
mod model;
mod peers;
mod publish;
mod rights;
mod rows;
mod scopes;
mod services;
mod surroundings;
mod tables;
pub mod taken;
mod target;
mod text;
mod tracking;
mod vocabulary;
mod written;

pub use allow::Allow;
pub(crate) use allow::{parse_target, prefix};
pub use answers::{address_of, ip_of};
pub use compile::{Compiled, Essential, Request, compile};
pub use cover::Cover;
pub use ethertype::{Ethertype, Side};
pub use expectation::{Ends, Expectation, Must};
pub use explain::{
    Document, Explanation, Ground, Opener, Question, Running, advise, answer, explain,
};
pub use handed_out::Openness;
pub(crate) use handed_out::{dynamic_range, is_of_rpc};
pub use hash::of_written as hash_of;
pub use hints::{Advice, Hint};
pub(crate) use hints::{OUTBOUND, unused};
pub use hook::{HookChoice, Hooks};
pub use kinds::{Kind, Kinds, ports_of, table_of};
pub use labels::Labels;
pub(crate) use model::asks_for_an_address;
pub use model::{
    CLIENT, DHCP_RELAY, INTERNET, Outbound, PXE_CLIENT, Protected, Publish, Rpc, Rule, SitePolicy,
    default_internal,
};
pub use peers::PeerNames;
pub use publish::{idle, misfit};
pub(crate) use rights::may_reach_many;
pub use rows::{Identity, KnownRow, KnownRows, WantedRow, counted};
pub use services::{ServiceName, ServiceNames};
pub use surroundings::Surroundings;
pub use tables::Tables;
pub use target::Target;
pub use text::{edition_text, hash_text, roles_text, stale_roles};
pub use tracking::check_roles;
pub(crate) use vocabulary::companions;
pub use written::WrittenPolicy;
