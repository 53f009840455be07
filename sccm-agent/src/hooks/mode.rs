//! How the operator lets the programs be attached.

use clap::ValueEnum;

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
