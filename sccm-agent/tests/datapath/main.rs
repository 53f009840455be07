//! The real programs, run on frames of our own (`BPF_PROG_TEST_RUN`): what only the kernel's maps
//! and hooks can show. No card and no agent takes part.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on panics, also in its helpers"
)]
#![expect(clippy::print_stdout, reason = "figures, for whoever records them")]

mod blocked;
mod budget;
mod peers;
mod ports;
mod shadow;
mod state;
