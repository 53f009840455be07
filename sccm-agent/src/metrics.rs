//! What Prometheus reads: the kernel's counters under stable names.
//!
//! Every scrape reads the kernel afresh, so the numbers are right also after
//! the agent was restarted.

mod blocked;
mod counted;
pub mod flows;
mod format;
mod known;
mod openmetrics;
mod process;
pub mod reference;
mod series;

pub use flows::Flows;
pub use format::Format;
pub use known::{Gaps, Reloads, Rules};

use crate::catalog::Edition;
use crate::interface::{Interface, Netlink};
use crate::kernel::{Maps, PinDir};
use crate::state::{self, lock};
use anyhow::Result;
use prometheus::TextEncoder;
use reference as table;
use sccm_common::abi::PolicyInfo;
use series::{Scrape, Series};
use std::sync::Mutex;

/// Where metrics come from.
pub struct Source {
    /// The pins of this agent.
    pub pins: PinDir,
    /// Its maps.
    pub maps: Mutex<Maps>,
    /// The kernel's view of interfaces.
    pub netlink: Netlink,
    /// Times without enforcement.
    pub gaps: Gaps,
    /// How full the table of flows is.
    pub flows: Flows,
    /// How the last reload went.
    pub reloads: Reloads,
    /// What the operator wrote about the rules of the running policy.
    pub rules: Rules,
    /// How many of the most blocked flows are metrics of their own.
    pub top_flows: usize,
}

impl Source {
    /// All metrics.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub async fn render(&self, format: Format) -> Result<String> {
        let present = self.netlink.interfaces().await?;
        let (mut text, mut scrape) = (String::new(), Scrape::default());
        self.tell_kernel(&mut scrape, &present)?;
        counted::write(&mut text, format, &lock(&self.maps))?;
        self.flows.tell_in(&mut scrape)?;
        self.reloads.tell_in(&mut scrape)?;
        self.rules.tell_in(&mut scrape)?;
        let abi = sccm_common::abi::VERSION.to_string();
        let version = env!("CARGO_PKG_VERSION");
        scrape.one(&table::BUILD_INFO, &[version, &abi], 1.0)?;
        process::tell(&mut scrape)?;
        match format {
            Format::Text => TextEncoder::new().encode_utf8(&scrape.0, &mut text)?,
            Format::OpenMetrics => openmetrics::encode(&mut text, &scrape.0)?,
        }
        Ok(text)
    }

    /// What the maps say, but for the counters of packets.
    fn tell_kernel(&self, scrape: &mut Scrape, present: &[Interface]) -> Result<()> {
        let maps = lock(&self.maps);
        blocked::tell(scrape, &maps, self.top_flows)?;
        self.tell_interfaces(scrape, &maps, present)?;
        self.tell_policy(scrape, &maps)?;
        scrape.single(&table::FLOW_CAPACITY, f64::from(self.pins.flow_capacity()?))
    }

    fn tell_interfaces(
        &self,
        scrape: &mut Scrape,
        maps: &Maps,
        present: &[Interface],
    ) -> Result<()> {
        let mut enforcing = Series::new(&table::ENFORCING);
        let mut gaps = self.gaps.all();
        for state in state::interfaces(&self.pins, maps, present)? {
            let labels = [state.interface.as_str(), state.mode.unwrap_or("none")];
            enforcing.add(&labels, is(state.state.drops()))?;
            // From the start: what begins above 0 has not increased, says Prometheus.
            gaps.entry(state.interface).or_default();
        }
        scrape.tell(enforcing);
        let mut without = Series::new(&table::INTERFACE_GAP);
        for (interface, gap) in gaps {
            without.add(&[&interface], gap.as_secs_f64())?;
        }
        scrape.tell(without);
        Ok(())
    }

    fn tell_policy(&self, scrape: &mut Scrape, maps: &Maps) -> Result<()> {
        let policy = maps.info()?;
        let (hash, roles) = (hash_text(&policy.hash), roles_text(&policy));
        let edition = Edition::numbered(policy.edition).map_or("unknown", Edition::name);
        scrape.one(&table::POLICY_INFO, &[&hash, &roles, edition], 1.0)?;
        scrape.single(&table::POLICY_GENERATION, policy.generation as f64)?;
        scrape.single(&table::POLICY_UNCONFIRMED, is(!policy.is_confirmed()))?;
        if let Some(shadow) = maps.shadow()? {
            let (hash, roles) = (hash_text(&shadow.hash), roles_text(&shadow));
            scrape.one(&table::SHADOW_INFO, &[&hash, &roles], 1.0)?;
            scrape.single(&table::SHADOW_START, shadow.published as f64)?;
        }
        Ok(())
    }
}

fn is(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// A policy's hash, as hexadecimal digits.
#[must_use]
pub fn hash_text(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A policy's roles, as `a,b`.
#[must_use]
pub fn roles_text(policy: &PolicyInfo) -> String {
    let end = policy
        .roles
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(policy.roles.len());
    String::from_utf8_lossy(&policy.roles[..end]).into_owned()
}
