//! The flags that name interfaces.

use crate::plan::NamedInterface;
use anyhow::{Result, ensure};
use clap::Args;
use sccm_common::Place;

/// The interfaces that are enforced.
#[derive(Debug, Clone, Args)]
pub(super) struct InterfaceArgs {
    /// Interface of this host to enforce: a card, a VLAN such as eth0.20, a bridge or a bond;
    /// repeatable
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,

    /// On a gateway: interface that faces the peers; repeatable
    #[arg(long = "uplink", value_name = "IF", conflicts_with = "interfaces")]
    uplinks: Vec<String>,

    /// On a gateway: interface that faces the protected systems; repeatable
    #[arg(long = "segment", value_name = "IF", conflicts_with = "interfaces")]
    segments: Vec<String>,
}

impl InterfaceArgs {
    /// Whether none is named.
    pub(super) fn is_empty(&self) -> bool {
        self.interfaces.is_empty() && self.uplinks.is_empty() && self.segments.is_empty()
    }

    /// The interfaces, in the order of their places.
    ///
    /// # Errors
    /// None is named, or only one side of a gateway.
    pub(super) fn named(&self) -> Result<Vec<NamedInterface>> {
        let by_place = [
            (&self.interfaces, Place::Host),
            (&self.uplinks, Place::Uplink),
            (&self.segments, Place::Segment),
        ];
        let named: Vec<NamedInterface> = by_place
            .into_iter()
            .flat_map(|(names, place)| {
                names.iter().map(move |name| NamedInterface {
                    name: name.clone(),
                    place,
                })
            })
            .collect();
        let lacks = |names: &[String], others: &[String]| names.is_empty() && !others.is_empty();
        ensure!(
            !named.is_empty(),
            "nothing to enforce: give --interface IF on a host, or --uplink IF and --segment IF \
             on a gateway"
        );
        ensure!(
            !lacks(&self.uplinks, &self.segments),
            "a gateway needs an --uplink too: the interface at the side of the peers"
        );
        ensure!(
            !lacks(&self.segments, &self.uplinks),
            "a gateway needs a --segment too: the interface at the side of the protected systems"
        );
        Ok(named)
    }
}
