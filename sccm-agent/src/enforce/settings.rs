//! Everything that `enforce` is told, and what can be checked about it alone.

use crate::http::HttpArgs;
use crate::kernel::PinDir;
use crate::policy::SitePolicy;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use sccm_common::Place;
use sccm_common::counter::MAX_INTERFACES;

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

/// An interface, and where it is in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub interface: String,
    /// Where it is.
    pub place: Place,
}

/// Everything that `enforce` is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The policy.
    pub policy: SitePolicy,
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
        ensure!(
            self.policy.management.is_empty() || self.is_gateway(),
            "--manage is for the gateway itself; on a host, --allow says it all"
        );
        Ok(())
    }
}
