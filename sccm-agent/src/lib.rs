//! Enforces, at the network card, what Configuration Manager's port table says.
//!
//! The catalog is the vendor's document as data; the policy compiler turns
//! roles and settings into tables; the kernel room puts the tables where the
//! programs in `sccm-ebpf` read them. Only [`kernel`] knows aya, so everything
//! else can be tested without root.

#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod agent;
pub mod blocked;
pub mod bundle;
pub mod capture;
pub mod catalog;
pub mod changed;
pub mod check;
pub mod cli;
pub mod config;
pub mod connections;
pub mod control;
pub mod coverage;
pub mod decisions;
pub mod diff;
pub mod doctor;
pub mod expect;
pub mod export;
pub mod files;
pub mod flows;
#[cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "nobody wraps the allocator's settings")
)]
pub mod heap;
pub mod hooks;
pub mod http;
pub mod import;
pub mod interface;
#[expect(unsafe_code, reason = "it speaks to the kernel where aya does not")]
pub mod kernel;
pub mod learn;
pub mod lockout;
pub mod log;
pub mod metrics;
pub mod openings;
pub mod output;
pub mod plan;
pub mod policies;
pub mod policy;
pub mod privileges;
pub mod record;
pub mod replay;
#[cfg(test)]
mod rooms;
pub mod site;
pub mod state;
pub mod supervisor;
pub mod units;
pub mod unused;
pub mod visible;
pub mod watch;
pub mod watcher;
