//! What was open before the agent: it is put into the table of flows, so that it goes on.
//!
//! That is only done where nothing was enforced before; otherwise the table has it. If the machine
//! does not tell, the start goes on all the same: `--warm-up` is for that.

use crate::connections::{self, Connection};
use crate::kernel::{FlowTable, KnownFlow, PinDir};
use crate::policies;
use crate::policy::Tables;
use anyhow::Result;
use std::collections::HashSet;

/// Where it goes, and which policy it must suit.
pub(super) struct Older<'a> {
    pub pins: &'a PinDir,
    pub is_gateway: bool,
    /// How many flows are written at most.
    pub most: usize,
    pub tables: Tables,
}

impl Older<'_> {
    /// Remembers what is open, and says so. No program runs yet.
    pub(super) fn remember(&self) {
        let mut known = Vec::new();
        if self.is_gateway {
            match connections::tracked() {
                Ok(Some(tracked)) => known.extend(tracked),
                Ok(None) => tracing::warn!(
                    "this machine tracks no connections (nf_conntrack): those that are open pass \
                     again once a protected system sends, see --warm-up"
                ),
                Err(error) => tracing::warn!("cannot read the open connections: {error:#}"),
            }
        }
        match connections::of_sockets() {
            Ok(own) => known.extend(own),
            Err(error) => tracing::warn!("cannot read the open connections: {error:#}"),
        }
        match self.write(known) {
            Ok(0) => {}
            Ok(flows) => tracing::info!(flows, "open connections keep passing"),
            Err(error) => tracing::warn!("adding open connections to the flow table: {error:#}"),
        }
    }

    /// Remembers what was opened while the programs were attached. What could not be read before is
    /// not told again.
    pub(super) fn catch_up(&self) {
        let mut known = connections::of_sockets().unwrap_or_default();
        if self.is_gateway {
            let tracked = connections::tracked().ok().flatten();
            known.extend(tracked.unwrap_or_default());
        }
        policies::keep_open(self.pins, self.is_gateway, None, &self.tables);
        if let Err(error) = self.write(known) {
            tracing::warn!(
                "adding connections that were opened during the start to the flow table: {error:#}"
            );
        }
    }

    fn write(&self, known: Vec<Connection>) -> Result<u64> {
        let of_protected = |one: &Connection| self.tables.lets_open(one.protocol, one.from, one.to);
        let known: HashSet<Connection> = known.into_iter().filter(of_protected).collect();
        if known.len() > self.most {
            tracing::warn!(
                "{} connections are open, but the flow table has room for {} of them: see \
                 --flow-capacity",
                known.len(),
                self.most
            );
        }
        let flows: Vec<KnownFlow> = known.iter().take(self.most).map(Connection::flow).collect();
        FlowTable::open(self.pins)?.remember(&flows)
    }
}
