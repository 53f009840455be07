//! What the kernel program and the agent must agree on, and the decision itself.
//!
//! Packets are parsed through the small [`Cursor`] trait and judged by pure
//! functions over the [`Tables`] trait, so the same source runs inside the
//! kernel, in unit tests, under miri and under a fuzzer. The rule of this crate:
//! no pointers, no system calls, no allocation (outside of `memory`, which no
//! kernel program has), and no padding in what crosses into the kernel.
#![no_std]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(any(feature = "user", target_arch = "bpf")), forbid(unsafe_code))]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod abi;
pub mod address;
pub mod as_written;
pub mod blocked;
pub mod capture;
pub mod counter;
pub mod cursor;
pub mod desk;
pub mod entrance;
pub mod essential;
pub mod ethertype;
pub mod flow;
pub mod fragment;
mod hash;
pub mod judgement;
#[cfg(any(feature = "std", test))]
pub mod memory;
pub mod opening;
pub mod packet;
pub mod peer;
pub mod policy;
pub mod probe;
pub mod question;
pub mod reason;
pub mod rpc;
pub mod service;
pub mod tftp;
pub mod trunk;
pub mod usage;
pub mod verdict;
pub mod wire;

#[cfg(feature = "user")]
mod pod;

#[cfg(test)]
mod testing;

pub use address::Address;
pub use cursor::{Cursor, Payload, SliceCursor};
pub use judgement::{Hook, Judgement};
pub use packet::Packet;
pub use peer::Peer;
pub use policy::Policy;
pub use reason::{Disposition, Reason};
pub use service::ServiceClass;
pub use verdict::{Place, Tables, Verdict};
