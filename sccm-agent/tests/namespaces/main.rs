//! The real agent between throw-away hosts, with real programs on both sides.
//!
//! Each test has its own namespaces, so they run side by side. Those that measure the machine are
//! written so that neighbours do not disturb them.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on panics, also in its helpers"
)]

mod bad_input;
mod big_tcp;
mod blocked;
mod capture;
mod card_hooks;
mod clocks;
mod clsact;
mod control;
mod conversations;
mod counters;
mod decisions;
mod doctor;
mod egress_order;
mod enforce;
mod expect;
mod export;
mod faults;
mod flips;
mod hooks;
mod http;
mod injected;
mod killed;
mod later;
mod lockout;
mod logs;
mod mixin;
mod network;
mod page;
mod pins;
mod policy_file;
mod privileges;
mod promote;
mod reload;
mod renames;
mod replay;
mod stalls;
mod storms;
mod supervised;
mod support_bundle;
mod takeover;
mod trial;
mod unit;
mod unused;
mod watch;
