//! What Prometheus reads: the kernel's counters under stable names.
//!
//! Every scrape reads the kernel afresh, so the numbers are right also after
//! the agent was restarted.

mod blocked;
mod counted;
mod format;
mod openmetrics;
mod process;
pub mod reference;
mod series;
mod uses;

pub use format::Format;

use crate::interface::Interface;
use crate::kernel::{Clock, FlowTable, Maps, OpeningTable};
use crate::openings;
use crate::policy::{edition_text, hash_text, roles_text};
use crate::record::{Part, Record};
use crate::state::Machine;
use anyhow::Result;
use prometheus::TextEncoder;
use reference as table;
use sccm_common::policy::flag;
use series::{Scrape, Series};
use std::sync::Arc;

/// What the metrics are read from.
pub struct Metrics {
    pub machine: Arc<Machine>,
    pub record: Arc<Record>,
    pub flows: FlowTable,
    /// How many of the most blocked flows are metrics of their own.
    pub top_flows: usize,
}

impl Metrics {
    /// All metrics.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub async fn render(&self, format: Format) -> Result<String> {
        let present = self.machine.netlink.interfaces().await?;
        let (mut text, mut scrape) = (String::new(), Scrape::default());
        self.export_kernel(&mut scrape, &present)?;
        counted::write(&mut text, format, &self.machine.maps.lock())?;
        self.export_record(&mut scrape)?;
        let abi = sccm_common::abi::VERSION.to_string();
        let version = env!("CARGO_PKG_VERSION");
        scrape.one(&table::BUILD_INFO, &[version, &abi], 1.0)?;
        process::export(&mut scrape)?;
        match format {
            Format::Text => TextEncoder::new().encode_utf8(&scrape.0, &mut text)?,
            Format::OpenMetrics => openmetrics::encode(&mut text, &scrape.0)?,
        }
        Ok(text)
    }

    /// What the maps hold, but for the counters of packets.
    fn export_kernel(&self, scrape: &mut Scrape, present: &[Interface]) -> Result<()> {
        self.export_interfaces(scrape, present)?;
        let maps = self.machine.maps.lock();
        blocked::export(scrape, &maps, self.top_flows)?;
        self.export_policy(scrape, &maps)?;
        uses::export(scrape, &maps)?;
        let capacity = self.machine.pins.flow_capacity()?;
        scrape.single(&table::FLOW_CAPACITY, f64::from(capacity))?;
        let count = self.flows.count()?;
        scrape.single(&table::FLOW_ENTRIES, count.alive as f64)?;
        scrape.single(&table::FLOW_EVICTIONS, count.evicted as f64)?;
        scrape.single(&table::FLOWS_MISSED, count.missed as f64)?;
        self.export_openings(scrape)
    }

    fn export_openings(&self, scrape: &mut Scrape) -> Result<()> {
        let table = OpeningTable::open(&self.machine.pins)?;
        scrape.single(&table::RPC_OPENINGS, table.read()?.len() as f64)?;
        let mut answers = Series::new(&table::RPC_ANSWERS);
        for one in openings::by_label(&table)? {
            answers.add(&[one.outcome, one.by.label()], one.count as f64)?;
        }
        scrape.export(answers);
        scrape.single(&table::RPC_SEGMENTS_LOST, table.lost()? as f64)
    }

    fn export_interfaces(&self, scrape: &mut Scrape, present: &[Interface]) -> Result<()> {
        let mut enforcing = Series::new(&table::ENFORCING);
        let mut before = Series::new(&table::EGRESS_BEFORE);
        let mut gaps = self.record.gaps.all();
        for state in self.machine.states(present)? {
            let labels = [state.interface.as_str(), state.mode.unwrap_or("none")];
            enforcing.add(&labels, is(state.state.drops()))?;
            before.add(&[&state.interface], state.before.len() as f64)?;
            // From the start: what begins above 0 has not increased, says Prometheus.
            gaps.entry(state.interface).or_default();
        }
        scrape.export(enforcing);
        scrape.export(before);
        let mut without = Series::new(&table::INTERFACE_GAP);
        for (interface, gap) in gaps {
            without.add(&[&interface], gap.as_secs_f64())?;
        }
        scrape.export(without);
        Ok(())
    }

    /// What the kernel does not know.
    fn export_record(&self, scrape: &mut Scrape) -> Result<()> {
        let reloads = &self.record.reloads;
        scrape.single(&table::LAST_RELOAD_SUCCESSFUL, is(reloads.last_succeeded()))?;
        scrape.single(&table::LAST_RELOAD_SUCCESS, reloads.last_success() as f64)?;
        let mut errors = Series::new(&table::AGENT_ERRORS);
        for part in Part::ALL {
            errors.add(&[part.label()], self.record.errors.of(part) as f64)?;
        }
        scrape.export(errors);
        let expiry = self.record.certificate.end();
        scrape.single(&table::CERTIFICATE_EXPIRY, expiry as f64)?;
        let mut rules = Series::new(&table::POLICY_RULE_INFO);
        for (name, reason) in self.record.rules.all() {
            rules.add(&[&name, &reason], 1.0)?;
        }
        scrape.export(rules);
        Ok(())
    }

    fn export_policy(&self, scrape: &mut Scrape, maps: &Maps) -> Result<()> {
        let policy = maps.info()?;
        let (hash, roles) = (hash_text(&policy.hash), roles_text(&policy));
        let edition = edition_text(&policy);
        scrape.one(&table::POLICY_INFO, &[&hash, &roles, edition], 1.0)?;
        scrape.single(&table::POLICY_GENERATION, policy.generation as f64)?;
        scrape.single(&table::POLICY_UNCONFIRMED, is(!policy.is_confirmed()))?;
        let differs = self.record.drift.differs_from(&hash);
        scrape.single(&table::POLICY_FILE_DIFFERS, is(differs))?;
        let observing = policy.flags & flag::OBSERVE != 0;
        let left = policy.warm_up_left(Clock::read()?.wall());
        let left = if observing { 0 } else { left };
        scrape.single(&table::WARM_UP, left as f64)?;
        if let Some(shadow) = maps.shadow()? {
            let (hash, roles) = (hash_text(&shadow.hash), roles_text(&shadow));
            scrape.one(&table::SHADOW_INFO, &[&hash, &roles], 1.0)?;
            scrape.single(&table::SHADOW_START, shadow.published as f64)?;
        }
        Ok(())
    }
}

/// 1 or 0.
fn is(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}
