//! One case through all three: the verdict in this process, the kernel's programs, the oracle.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use sccm_agent::config;
use sccm_agent::policy::{Compiled, Request, ServiceNames, SitePolicy, compile};
use sccm_common::address::Family;
use sccm_common::flow::FlowKey;
use sccm_common::fragment::FragmentKey;
use sccm_common::opening::OpeningKey;
use sccm_common::packet::Protocol;
use sccm_common::tftp::TransferKey;
use sccm_common::{Address, Reason, ServiceClass, Verdict};
use sccm_tests::datapath::Action;

use crate::case::{Setting, Step};
use crate::kernel::Kernel;
use crate::native::Native;
use crate::oracle::{How, Oracle, PolicyRights, Said};

/// A policy that is compiled and being enforced, and the oracle's reading of it.
pub struct Stage<'a> {
    pub setting: &'a Setting,
    pub compiled: Compiled,
    rights: PolicyRights<'a>,
    /// By class number: `tcp http`.
    labels: HashMap<u8, String>,
}

/// What was seen, and all three agreed about.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// How often each reason was right.
    pub reasons: HashMap<Reason, u64>,
    /// How many ports were handed out by each kind of call, and how many of them were used.
    pub handed_out: HashMap<How, [u64; 2]>,
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        for (reason, count) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += count;
        }
        for (how, [learned, used]) in &other.handed_out {
            let counts = self.handed_out.entry(*how).or_default();
            counts[0] += learned;
            counts[1] += used;
        }
    }

    /// How many ports were handed out so, and how many of them were used.
    pub fn of(&self, how: How) -> [u64; 2] {
        self.handed_out.get(&how).copied().unwrap_or_default()
    }

    fn add_openings(&mut self, oracle: &Oracle<'_>) {
        for (_, opening, _) in oracle.openings() {
            let counts = self.handed_out.entry(opening.how).or_default();
            counts[0] += 1;
            counts[1] += u64::from(opening.is_used);
        }
    }
}

/// The file's policy; an error for what the agent refuses.
pub fn load(setting: &Setting) -> Result<SitePolicy> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, setting.document.toml())?;
    config::load(&path)
}

impl<'a> Stage<'a> {
    /// Compiles the policy under names that earlier ones had.
    pub fn new(setting: &'a Setting, policy: &SitePolicy, names: ServiceNames) -> Result<Self> {
        let request = Request {
            policy,
            machine: &setting.machine,
            observe: setting.observe,
        };
        let mut compiled = compile(&request, names)?;
        if setting.probing {
            compiled.probe(u32::MAX);
        }
        let labels = compiled.services.iter().map(|(class, name)| {
            let label = format!("{} {}", name.protocol, name.service);
            (class.0, label)
        });
        Ok(Self {
            setting,
            rights: PolicyRights::new(policy.site.catalog, setting),
            labels: labels.collect(),
            compiled,
        })
    }

    /// Whether no number has got another name than before.
    pub fn keeps(&self, names: &ServiceNames) -> bool {
        let now = &self.compiled.services;
        names
            .iter()
            .all(|(class, name)| now.get(class) == Some(name))
    }

    /// The first difference, if there is one: the step and what was said of it.
    pub fn run(
        &self,
        steps: &[Step],
        kernel: &mut Kernel,
        coverage: &mut Coverage,
    ) -> Result<Option<String>> {
        let difference = self.differ(steps, kernel, coverage)?;
        if difference.is_some() {
            kernel.forget()?;
        }
        Ok(difference)
    }

    fn differ(
        &self,
        steps: &[Step],
        kernel: &mut Kernel,
        coverage: &mut Coverage,
    ) -> Result<Option<String>> {
        let slots = kernel.slots;
        let native = Native::new(&self.compiled, &slots);
        let mut oracle = Oracle::new(self.setting, &self.rights);
        for (number, step) in steps.iter().enumerate() {
            let told = |what: String| Ok(Some(format!("step {number}: {what}")));
            let said = oracle.judge(step);
            let judged = catch_unwind(AssertUnwindSafe(|| native.judge(step)));
            let Ok(judged) = judged else {
                return told(format!("panicked, should say {said:?}"));
            };
            if let Step::Waits(seconds) = step {
                if let Err(error) = kernel.wait(&native, *seconds) {
                    return told(format!("{error:#}"));
                }
                continue;
            }
            let of_native = judged.map(|judged| {
                let of_service = judged.verdict.reason.service_row();
                let class = of_service.map(|_| judged.verdict.service);
                // What did not parse wanted no service, and yet is counted in that row.
                let class = class.filter(|class| *class != ServiceClass::NONE);
                let service = class.and_then(|class| self.labels.get(&class.0));
                let out = judged.direction == sccm_common::counter::Direction::Outbound;
                (
                    judged.slot,
                    out,
                    judged.verdict.reason,
                    service.map(String::as_str),
                )
            });
            let of_oracle = said.as_ref().map(|said: &Said| {
                (
                    slots.of_seat(said.seat),
                    said.outbound,
                    said.reason,
                    said.service.as_deref(),
                )
            });
            if of_native != of_oracle {
                return told(format!("native {of_native:?}, oracle {of_oracle:?}"));
            }
            if let Some(said) = &said {
                *coverage.reasons.entry(said.reason).or_default() += 1;
            }
            let (Step::Arrives(_, frame) | Step::Leaves(_, frame)) = step else {
                continue;
            };
            // The kernel lets a few pass in a second. They leave nothing behind, so it can do without.
            if said.is_some_and(|said| said.reason == Reason::Probe) {
                continue;
            }
            let Some(action) = kernel.run(step)? else {
                continue;
            };
            // What belongs to no one is counted apart from what is only observed.
            let verdict = judged.map(|judged| judged.verdict);
            let observing = self.observes(verdict);
            if let Some(judged) = &judged {
                kernel.expect(judged, observing, frame.len());
            }
            let passes = verdict.is_none_or(|verdict| verdict.reason.passes()) || observing;
            let expected = if passes { Action::Pass } else { Action::Drop };
            if action != expected {
                return told(format!("kernel {action:?}, not as {verdict:?}"));
            }
        }
        if let Err(error) = kernel.check_counters() {
            return Ok(Some(format!("{error:#}")));
        }
        if let Err(error) = kernel.check_memory(&native) {
            return Ok(Some(format!("memory: {error:#}")));
        }
        coverage.add_openings(&oracle);
        Ok(remembered(&native, &oracle))
    }

    fn observes(&self, verdict: Option<Verdict>) -> bool {
        let other = verdict.is_some_and(|verdict| verdict.reason == Reason::OtherVlan);
        self.setting.observe && !other
    }
}

/// Whether verdict and oracle remember the same.
fn remembered(native: &Native<'_>, oracle: &Oracle<'_>) -> Option<String> {
    let (flows, firsts, transfers) = oracle.memory();
    let flows = flows.map(|flow| {
        let ports = (flow.local_port, flow.peer_port);
        FlowKey::new(
            family(flow.local),
            address(flow.local),
            address(flow.peer),
            ports,
            Protocol(flow.protocol),
        )
    });
    let firsts = firsts.map(|datagram| FragmentKey {
        source: address(datagram.source),
        destination: address(datagram.destination),
        id: datagram.id,
        protocol: match family(datagram.source) {
            Family::V4 => datagram.protocol.into(),
            Family::V6 => 256,
        },
    });
    let transfers = transfers.map(|transfer| TransferKey {
        server: address(transfer.server),
        client: address(transfer.client),
        server_port: transfer.server_port.unwrap_or_default(),
        client_port: transfer.client_port,
        family: family(transfer.server) as u32,
    });
    let openings = oracle.openings().map(|(handed, opening, age)| {
        let ends = (address(handed.client), address(handed.server));
        let key = OpeningKey::new(family(handed.client), ends.0, ends.1, handed.port);
        (key, (opening.is_used, age, opening.how as u8))
    });
    let now = native.tables.state.now.get();
    let of_native = native.tables.state.openings.borrow();
    let of_native = of_native.iter().map(|(key, (opening, how, _))| {
        let age = u64::from(now - opening.seen());
        ((*key, (opening.is_used(), age, *how as u8)), ())
    });
    unlike("openings", &of_native.collect(), openings)
        .or_else(|| unlike("flows", &native.tables.state.flows.borrow(), flows))
        .or_else(|| unlike("fragments", &native.tables.state.fragments.borrow(), firsts))
        .or_else(|| {
            unlike(
                "transfers",
                &native.tables.state.transfers.borrow(),
                transfers,
            )
        })
}

fn unlike<K: Eq + Hash + Debug, V>(
    what: &str,
    native: &HashMap<K, V>,
    oracle: impl Iterator<Item = K>,
) -> Option<String> {
    let native: HashSet<&K> = native.keys().collect();
    let oracle: HashSet<K> = oracle.collect();
    let oracle: HashSet<&K> = oracle.iter().collect();
    let (more, less) = (&native - &oracle, &oracle - &native);
    (native != oracle).then(|| format!("{what}: native alone {more:?}, oracle alone {less:?}"))
}

fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

fn address(address: IpAddr) -> Address {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let (high, low) = (address.to_bits() >> 64, address.to_bits());
    Address {
        high: high as u64,
        low: low as u64,
    }
}
