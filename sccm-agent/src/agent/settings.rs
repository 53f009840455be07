//! What the agent is told when it starts.

use crate::hooks::How;
use crate::http::HttpArgs;
use crate::kernel::PinDir;
use crate::policies;
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// What happens when the agent is told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnExit {
    /// Detach the programs
    #[default]
    Detach,
    /// Keep enforcing without the agent, until `sccm-agent detach`
    Keep,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// The policy and the interfaces that it is for.
    pub policies: policies::Settings,
    /// Enforce the interfaces that are there, and the others as they come.
    pub wait_for_interfaces: bool,
    /// How many flows the kernel remembers.
    pub flow_capacity: u32,
    pub how: How,
    pub http: HttpArgs,
    /// Where programs and maps are pinned.
    pub pins: PinDir,
    /// Where decisions about policies are kept.
    pub state_dir: PathBuf,
    pub on_exit: OnExit,
    /// Enforce even if that cuts an SSH session.
    pub accept_lockout: bool,
    /// How long the first policy waits to be confirmed; `None`: it is not on trial.
    pub confirm_within: Option<Duration>,
    pub control_socket: PathBuf,
    /// Log each newly blocked flow.
    pub log_blocked: bool,
    /// How many of the most blocked flows are metrics of their own.
    pub metrics_top_flows: u32,
}
