//! Empty on purpose: it lets the agent's build script depend on this crate, so
//! that cargo rebuilds the program in `main.rs` when anything below it changes.
#![no_std]
