//! How the operator lets the programs be attached.

use clap::ValueEnum;

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
