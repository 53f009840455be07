//! A world for unit tests: tables in memory, a clock that a test sets, and frames.
//!
//! Frames are built as bytes (by `sccm-packets`) and parsed, so that a test says what is on the wire
//! and not what a parser should make of it. Every test can thus run on IPv4 and
//! IPv6 alike. Nothing here needs a kernel, a file or a system call.

mod link;
mod world;

pub(crate) use link::{Host, Link, quote, v4, v6};
pub(crate) use world::{World, class};

use crate::address::Family;

/// Both families, for tests in which they must not differ.
pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A protected system.
pub(crate) const PROTECTED: Host = Host(1);
/// A system on the other side.
pub(crate) const PEER: Host = Host(2);
/// Another one there.
pub(crate) const STRANGER: Host = Host(3);
/// The gateway itself.
pub(crate) const GATEWAY: Host = Host(9);
