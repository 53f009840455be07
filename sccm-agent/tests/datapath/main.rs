//! The real programs, run on frames of our own (`BPF_PROG_TEST_RUN`): what only the kernel's maps
//! and hooks can show. No card and no agent takes part.

mod blocked;
mod budget;
mod peers;
mod ports;
mod shadow;
mod state;
