//! What the tests and the demonstration share: packets, throw-away hosts, traffic.
//!
//! Everything here that changes the machine (a namespace, a mount, a process) belongs to a value
//! and ends with it, also when a test panics. [`signals::Interrupt`] makes that hold for Ctrl-C.
//! What a killed process left behind is removed by the next one (see [`netns`], [`bpffs`]).

#![warn(unreachable_pub)]
#![expect(clippy::expect_used, reason = "a test that cannot go on panics")]
#![expect(
    clippy::print_stderr,
    reason = "beside a test, there is nobody else to tell"
)]

pub mod agent;
pub mod bpffs;
pub mod datapath;
pub mod document;
pub mod flows;
pub mod foreign;
pub mod gateway;
pub mod hooks;
pub mod ingress;
pub mod journal;
pub mod netns;
pub mod probes;
pub mod processor;
pub mod program;
pub mod reading;
pub mod scrape;
pub mod shape;
pub mod signals;
pub mod supervisor;
pub mod terminal;
pub mod traffic;
mod unique;

pub use sccm_packets as packet;
