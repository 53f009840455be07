//! How the operator lets the programs be attached.

use crate::kernel::EgressOrder;
use clap::ValueEnum;

/// How the programs of a card are attached.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    pub xdp_mode: XdpMode,
    pub egress_order: EgressOrder,
}

/// XDP attach mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// In the driver only
    #[default]
    Native,
    /// In the kernel's network stack: works with every driver, about four times slower
    Generic,
    /// Native; generic, with a warning, if the driver refuses
    Auto,
}
