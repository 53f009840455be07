//! What became of a frame, in the kernel and in this process, in terms that can be compared.

use anyhow::{Result, bail};
use sccm_agent::policy::{Compiled, ServiceName};
use sccm_common::memory::MemoryTables;
use sccm_common::policy::flag;
use sccm_common::{Disposition, Reason, Verdict};

use super::Place;

/// `XDP_DROP` and `XDP_PASS` (include/uapi/linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// `TC_ACT_SHOT`, and `TC_ACT_UNSPEC`: the program leaves the frame's fate to others
/// (include/uapi/linux/pkt_cls.h).
const TC_ACT_SHOT: u32 = 2;
const TC_ACT_UNSPEC: u32 = u32::MAX;

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the kernel's network stack.
    Pass,
    /// It ends at the card.
    Drop,
}

impl Action {
    /// Whether the frame goes on.
    #[must_use]
    pub fn passes(self) -> bool {
        self == Self::Pass
    }

    /// What an XDP program returned.
    pub fn of_xdp(value: u32) -> Result<Self> {
        match value {
            XDP_PASS => Ok(Self::Pass),
            XDP_DROP => Ok(Self::Drop),
            other => bail!("the XDP program returned {other}"),
        }
    }

    /// What a TC program returned.
    ///
    /// # Errors
    /// For any action but leaving the frame to others, and drop.
    pub fn of_tc(value: u32) -> Result<Self> {
        match value {
            TC_ACT_UNSPEC => Ok(Self::Pass),
            TC_ACT_SHOT => Ok(Self::Drop),
            other => bail!("the TC program returned {}", other as i32),
        }
    }
}

/// How a frame ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What happened to it.
    pub action: Action,
    /// Whether the policy only observes.
    pub observing: bool,
    /// Why.
    pub reason: Reason,
    /// `tcp http`, where the reason speaks of a service.
    pub service: Option<String>,
}

impl Judged {
    pub(super) fn counted(action: Action, place: Place) -> Self {
        Self {
            action,
            observing: place.observing,
            reason: place.reason,
            service: place.service,
        }
    }

    /// A verdict of the tables in memory, with the action that the kernel should take.
    pub fn native(verdict: Verdict, compiled: &Compiled) -> Self {
        let observing = compiled.policy.has(flag::OBSERVE);
        let action = match verdict.reason.disposition() {
            Disposition::Drop if !observing => Action::Drop,
            Disposition::Drop | Disposition::Pass => Action::Pass,
        };
        let name = || compiled.services.get(verdict.service).map(label);
        Self {
            action,
            observing,
            reason: verdict.reason,
            service: verdict.reason.service_row().and_then(|_| name()),
        }
    }
}

/// Tables in memory, asked as on a host.
pub trait OnHost {
    /// Judges a frame that comes in.
    fn inbound(&self, frame: &[u8]) -> Verdict;
    /// Judges a frame that goes out.
    fn outbound(&self, frame: &[u8]) -> Verdict;
}

impl OnHost for MemoryTables<'_> {
    fn inbound(&self, frame: &[u8]) -> Verdict {
        self.ingress(frame, sccm_common::Place::Host)
    }

    fn outbound(&self, frame: &[u8]) -> Verdict {
        let judged = self.egress(frame, sccm_common::Place::Host, false);
        judged.expect("a host judges all that leaves").1
    }
}

/// A service class by its name: `tcp http`.
pub(super) fn label(name: &ServiceName) -> String {
    format!("{} {}", name.protocol, name.service)
        .trim_start()
        .to_owned()
}
