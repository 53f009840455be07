//! The status page in a real browser, against a real agent with real packets.
//!
//! Chromium and its driver run in the agent's own network namespace, where there is nobody else
//! to ask. The page is looked at as its readers do: by what is written in it.

mod access;
pub mod browser;
mod figures;
mod looks;
mod restart;
mod stage;
