//! Where packets that come in at a card are judged, as the operator asks it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where packets that come in are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
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

impl HookChoice {
    /// Its word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::XdpGeneric => "xdp-generic",
        }
    }
}

/// The hooks of cards that have one of their own, by the names of the cards.
pub type Hooks = BTreeMap<String, HookChoice>;
