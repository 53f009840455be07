//! How the operator lets the programs be attached.

use crate::kernel::TcOrder;
use clap::ValueEnum;

/// How the programs of a card are attached.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    pub hook: HookChoice,
    pub tc_order: TcOrder,
}

/// Where packets that come in are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum HookChoice {
    /// At XDP, unless the card would lose more by it than it wins: then at TC
    #[default]
    Auto,
    /// At XDP in the driver: the fastest drops
    #[value(alias = "native")]
    Xdp,
    /// At TC ingress: every driver, and the large packets that driver and kernel put together
    Tc,
    /// At XDP in the kernel's network stack: every driver
    #[value(alias = "generic")]
    XdpGeneric,
}
