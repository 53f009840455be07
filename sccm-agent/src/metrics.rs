//! What Prometheus reads: the kernel's counters under stable names.
//!
//! Every scrape reads the kernel afresh, so the numbers are right also after
//! the agent was restarted.

mod blocked;
mod format;
mod openmetrics;

pub use format::Format;

use crate::interface::Netlink;
use crate::kernel::{Maps, PinDir, Reading};
use crate::policy::SitePolicy;
use crate::state::{self, lock};
use anyhow::Result;
use prometheus::{CounterVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use sccm_common::Disposition;
use sccm_common::abi::PolicyInfo;
use sccm_common::counter::Direction;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FLOW_LABELS: [&str; 6] = [
    "interface",
    "direction",
    "reason",
    "protocol",
    "service",
    "peer",
];

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
    /// How the last reload went.
    pub reloads: Reloads,
    /// What the operator wrote about the rules of the running policy.
    pub rules: Rules,
    /// How many of the most blocked flows are metrics of their own.
    pub top_flows: usize,
}

/// The rules of the running policy: name, reason. The kernel knows neither.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Vec<(String, String)>>);

impl Rules {
    /// Takes note of the policy that runs now; of one that another agent published,
    /// nothing is known.
    pub fn tell(&self, policy: Option<&SitePolicy>) {
        let rules = policy.into_iter();
        let rules = rules.flat_map(|policy| policy.allow.iter().chain(&policy.management));
        let told = rules.map(|rule| (rule.name.clone(), rule.reason.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told.collect();
    }

    fn register(&self, registry: &Registry) -> Result<()> {
        let help = "Always 1; why the policy has each rule, in the operator's words.";
        let info = IntGaugeVec::new(
            Opts::new("sccm_policy_rule_info", help),
            &["rule", "reason"],
        )?;
        registry.register(Box::new(info.clone()))?;
        for (name, reason) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            info.with_label_values(&[name.as_str(), reason.as_str()])
                .set(1);
        }
        Ok(())
    }
}

/// How the last reload went; the agent's start counts as one.
#[derive(Debug, Default)]
pub struct Reloads {
    failed: AtomicBool,
    succeeded: AtomicI64,
}

impl Reloads {
    /// Notes how a reload went that has just ended.
    pub fn note(&self, succeeded: bool) {
        self.failed.store(!succeeded, Ordering::Relaxed);
        if succeeded {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = now.unwrap_or_default().as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            self.succeeded.store(seconds, Ordering::Relaxed);
        }
    }

    fn register(&self, registry: &Registry) -> Result<()> {
        gauge(
            registry,
            "sccm_policy_last_reload_successful",
            "1 if the last reload, or the start, made its policy the active one.",
            i64::from(!self.failed.load(Ordering::Relaxed)),
        )?;
        gauge(
            registry,
            "sccm_policy_last_reload_success_timestamp_seconds",
            "When a reload, or the start, last did so.",
            self.succeeded.load(Ordering::Relaxed),
        )
    }
}

/// How long interfaces have been without their programs, since the agent began.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<BTreeMap<String, Duration>>);

impl Gaps {
    /// Adds a time to an interface's.
    pub fn add(&self, interface: &str, gap: Duration) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *gaps.entry(interface.to_owned()).or_default() += gap;
    }

    fn all(&self) -> BTreeMap<String, Duration> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Source {
    /// All metrics.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub async fn render(&self, format: Format) -> Result<String> {
        let registry = Registry::new();
        self.register_counters(&registry)?;
        blocked::register(&registry, &lock(&self.maps), self.top_flows)?;
        self.register_state(&registry).await?;
        self.rules.register(&registry)?;
        register_build_info(&registry)?;
        let families = registry.gather();
        match format {
            Format::Text => Ok(TextEncoder::new().encode_to_string(&families)?),
            Format::OpenMetrics => openmetrics::encode(&families),
        }
    }

    fn register_counters(&self, registry: &Registry) -> Result<()> {
        let passed = Pair::new(registry, "sccm_passed", "that went on to the kernel")?;
        let dropped = Pair::new(registry, "sccm_dropped", "that were dropped")?;
        let would_drop = Pair::new(registry, "sccm_would_drop", "that observe mode let pass")?;
        let readings = lock(&self.maps).counters()?;
        for reading in readings {
            match (reading.reason.disposition(), reading.observing) {
                (Disposition::Pass, _) => passed.add(&reading),
                (Disposition::Drop, false) => dropped.add(&reading),
                (Disposition::Drop, true) => would_drop.add(&reading),
            }
        }
        let shadow_passed = "that the shadow passes and the active policy drops";
        let shadow_passed = Pair::new(registry, "sccm_shadow_passed", shadow_passed)?;
        let shadow_dropped = "that the shadow drops and the active policy passes";
        let shadow_dropped = Pair::new(registry, "sccm_shadow_dropped", shadow_dropped)?;
        let readings = lock(&self.maps).shadow_counters()?;
        for reading in readings {
            match reading.reason.disposition() {
                Disposition::Pass => shadow_passed.add(&reading),
                Disposition::Drop => shadow_dropped.add(&reading),
            }
        }
        Ok(())
    }

    async fn register_state(&self, registry: &Registry) -> Result<()> {
        let enforcing = IntGaugeVec::new(
            Opts::new(
                "sccm_enforcing",
                "1 where packets are dropped, read back from the kernel.",
            ),
            &["interface", "mode"],
        )?;
        registry.register(Box::new(enforcing.clone()))?;
        let present = self.netlink.interfaces().await?;
        let states = state::interfaces(&self.pins, &lock(&self.maps), &present)?;
        for state in states {
            enforcing
                .with_label_values(&[state.interface.as_str(), state.mode.unwrap_or("none")])
                .set(i64::from(state.state.drops()));
        }

        let policy = lock(&self.maps).info()?;
        let gaps = CounterVec::new(
            Opts::new(
                "sccm_interface_gap_seconds_total",
                "Time that an interface came back for without its programs.",
            ),
            &["interface"],
        )?;
        registry.register(Box::new(gaps.clone()))?;
        for (interface, gap) in self.gaps.all() {
            gaps.with_label_values(&[&interface])
                .inc_by(gap.as_secs_f64());
        }

        let info = IntGaugeVec::new(
            Opts::new(
                "sccm_policy_info",
                "Always 1; the labels say which policy is active.",
            ),
            &["hash", "roles"],
        )?;
        registry.register(Box::new(info.clone()))?;
        info.with_label_values(&[hash_text(&policy.hash), roles_text(&policy)])
            .set(1);
        gauge(
            registry,
            "sccm_policy_generation",
            "Counts up with every published policy.",
            i64::try_from(policy.generation).unwrap_or(i64::MAX),
        )?;
        gauge(
            registry,
            "sccm_policy_unconfirmed",
            "1 while the active policy waits to be confirmed.",
            i64::from(!policy.is_confirmed()),
        )?;
        self.register_shadow(registry)?;
        self.reloads.register(registry)
    }

    fn register_shadow(&self, registry: &Registry) -> Result<()> {
        let shadow = lock(&self.maps).shadow()?;
        let Some(shadow) = shadow else {
            return Ok(());
        };
        let help = "Always 1, while a candidate judges beside the active policy.";
        let info = IntGaugeVec::new(Opts::new("sccm_shadow_info", help), &["hash", "roles"])?;
        registry.register(Box::new(info.clone()))?;
        info.with_label_values(&[hash_text(&shadow.hash), roles_text(&shadow)])
            .set(1);
        gauge(
            registry,
            "sccm_shadow_start_timestamp_seconds",
            "Since when it does.",
            i64::try_from(shadow.published).unwrap_or(i64::MAX),
        )
    }
}

fn gauge(registry: &Registry, name: &str, help: &str, value: i64) -> Result<()> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    gauge.set(value);
    Ok(())
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

/// The packets and the bytes of one disposition.
struct Pair {
    packets: IntCounterVec,
    bytes: IntCounterVec,
}

impl Pair {
    fn new(registry: &Registry, prefix: &str, what: &str) -> Result<Self> {
        let counter = |unit: &str, noun: &str| -> Result<IntCounterVec> {
            let opts = Opts::new(format!("{prefix}_{unit}_total"), format!("{noun} {what}."));
            let counter = IntCounterVec::new(opts, &FLOW_LABELS)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Self {
            packets: counter("packets", "Packets")?,
            bytes: counter("bytes", "Bytes of packets")?,
        })
    }

    /// Classes that share a name add up.
    fn add(&self, reading: &Reading) {
        let direction = match reading.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        let (protocol, service) = match &reading.service {
            Some(name) => (name.protocol.as_str(), name.service.as_str()),
            None => ("", ""),
        };
        let reason = reading.reason.label();
        let labels = [
            reading.interface.as_str(),
            direction,
            reason,
            protocol,
            service,
            reading.peer.as_deref().unwrap_or_default(),
        ];
        self.packets
            .with_label_values(&labels)
            .inc_by(reading.count.packets);
        self.bytes
            .with_label_values(&labels)
            .inc_by(reading.count.bytes);
    }
}

fn register_build_info(registry: &Registry) -> Result<()> {
    let info = IntGaugeVec::new(
        Opts::new(
            "sccm_agent_build_info",
            "Always 1; the labels say what is running.",
        ),
        &["version", "abi"],
    )?;
    registry.register(Box::new(info.clone()))?;
    let abi = sccm_common::abi::VERSION.to_string();
    info.with_label_values(&[env!("CARGO_PKG_VERSION"), abi.as_str()])
        .set(1);
    Ok(())
}
