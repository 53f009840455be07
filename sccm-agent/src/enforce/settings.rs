//! Everything that `enforce` is told, and what can be checked about it alone.

use crate::config;
use crate::http::HttpArgs;
use crate::kernel::PinDir;
use crate::policy::SitePolicy;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use sccm_common::Place;
use sccm_common::counter::MAX_INTERFACES;
use std::path::PathBuf;
use std::time::Duration;

/// Which way of attaching is acceptable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// In the driver, or not at all
    #[default]
    Native,
    /// In the kernel's stack: every driver can, about four times slower
    Generic,
    /// Native, and generic with a warning where the driver refuses
    Auto,
}

/// What happens when the agent is told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnExit {
    /// Interfaces are as before
    #[default]
    Detach,
    /// Enforcement goes on without the agent, until `sccm-agent detach`
    Keep,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is
    On,
    /// It is not
    Off,
}

/// An interface, and where it is in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub interface: String,
    /// Where it is.
    pub place: Place,
}

/// Where the policy comes from.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// The flags of `enforce`: it never changes.
    Flags(Box<SitePolicy>),
    /// A file, which a reload reads again.
    File(PathBuf),
}

impl PolicySource {
    /// The policy as it is written now.
    ///
    /// # Errors
    /// The file cannot be read, or is no policy.
    pub fn load(&self) -> Result<SitePolicy> {
        match self {
            Self::Flags(policy) => Ok(SitePolicy::clone(policy)),
            Self::File(path) => config::load(path),
        }
    }

    /// Where a candidate is looked for unless another place is given: beside the file.
    #[must_use]
    pub fn candidate(&self) -> Option<PathBuf> {
        match self {
            Self::Flags(_) => None,
            Self::File(path) => Some(path.with_extension("candidate.toml")),
        }
    }

    /// What to add to an advice that names a flag.
    pub(super) fn in_its_words(&self) -> String {
        match self {
            Self::Flags(_) => String::new(),
            Self::File(path) => format!(" (as a rule in {})", path.display()),
        }
    }
}

/// Everything that `enforce` is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the policy comes from.
    pub source: PolicySource,
    /// The file that a shadow is read from, if there is to be one.
    pub shadow: Option<PathBuf>,
    /// The interfaces to enforce.
    pub ports: Vec<Port>,
    /// How many flows are remembered.
    pub flow_capacity: u32,
    /// Drop nothing, count what would be.
    pub observe: bool,
    /// Acceptable ways of attaching.
    pub xdp_mode: XdpMode,
    /// Where and to whom metrics are served.
    pub http: HttpArgs,
    /// Where everything is pinned.
    pub pins: PinDir,
    /// What a signal to end means.
    pub on_exit: OnExit,
    /// Cut SSH sessions without asking.
    pub accept_lockout: bool,
    /// How long the first policy waits to be confirmed; `None`: it needs not be.
    pub confirm_within: Option<Duration>,
    /// Where commands are taken.
    pub control_socket: PathBuf,
    /// Take the command to reload over HTTP, too.
    pub enable_reload: bool,
    /// Log each newly blocked flow.
    pub log_blocked: bool,
    /// How many of the most blocked flows are metrics of their own.
    pub metrics_top_flows: u32,
}

impl Settings {
    /// Whether these are a gateway's, rather than a host's.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.ports.iter().any(|port| port.place != Place::Host)
    }

    /// Checks what needs no machine to check.
    ///
    /// # Errors
    /// What contradicts itself, and what to give instead.
    pub fn check(&self) -> Result<()> {
        for (place, port) in self.ports.iter().enumerate() {
            if let Some(other) = self.ports[..place]
                .iter()
                .find(|other| other.interface == port.interface)
            {
                let name = &port.interface;
                ensure!(
                    other.place == port.place,
                    "{name} is given as uplink and as segment: a gateway stands between two"
                );
                bail!("interface {name} is given twice");
            }
        }
        ensure!(
            self.ports.len() <= MAX_INTERFACES as usize,
            "{} interfaces are given; one agent enforces at most {MAX_INTERFACES}",
            self.ports.len()
        );
        Ok(())
    }
}
