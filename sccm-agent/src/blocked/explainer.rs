//! From what the kernel noted to what people are told.

use super::{Change, Flow, Names, question};
use crate::coverage::Named;
use crate::kernel::{Clock, Maps};
use crate::policy::{
    self, Advice, Document, Labels, Opener, Question, SitePolicy, Surroundings, Target,
};
use anyhow::Result;
use sccm_common::ServiceClass;
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::{BlockedFlow, BlockedKey};
use sccm_common::policy::flag;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Answers that are remembered. Somebody who scans ports makes up thousands of questions.
const REMEMBERED: usize = 1024;

/// Ports at which DHCP servers and relays listen.
const DHCP: [u16; 2] = [67, 547];

/// Names flows, and remembers what would let them pass.
#[derive(Default)]
pub struct Explainer {
    /// What the kernel knows of the policy.
    document: Document,
    generation: u64,
    /// The policy as it was written, and the machine that it is for, if they are known.
    written: Option<(SitePolicy, Surroundings)>,
    /// What it calls addresses.
    labels: Arc<Labels>,
    /// The number under which that was told.
    number: Option<u64>,
    /// A gateway's own addresses, where the policy is not known.
    own: Vec<IpAddr>,
    advice: HashMap<Question, Advice>,
}

impl Explainer {
    /// For what the kernel has, by the policy file that it was made from, if that is at hand.
    ///
    /// # Errors
    /// Maps that cannot be read.
    pub fn of_file(maps: &Maps, info: &PolicyInfo, policy: Option<SitePolicy>) -> Result<Self> {
        let mut explainer = Self::default();
        explainer.set_policy(info);
        let own = maps.tables()?.own_addresses();
        explainer.set_own(own.clone());
        if let Some(policy) = policy {
            let machine = Surroundings {
                is_gateway: info.flags & flag::GATEWAY != 0,
                own,
                ..Surroundings::default()
            };
            explainer.set_written(0, Some((policy, machine)));
        }
        Ok(explainer)
    }

    /// From now on the answers are those of this policy.
    pub fn set_policy(&mut self, info: &PolicyInfo) {
        let document = Document::of(info);
        if (&document, info.generation) != (&self.document, self.generation) {
            (self.document, self.generation) = (document, info.generation);
            self.advice.clear();
        }
    }

    /// From now on the answers are those of this policy, which is the `number`th that is told.
    pub fn set_written(&mut self, number: u64, written: Option<(SitePolicy, Surroundings)>) {
        if self.is_news(number) {
            self.number = Some(number);
            let labels = written.as_ref().map(|(policy, _)| Labels::of(policy));
            self.labels = Arc::new(labels.unwrap_or_default());
            self.written = written;
            self.advice.clear();
        }
    }

    /// Whether this number has not been told yet.
    #[must_use]
    pub fn is_news(&self, number: u64) -> bool {
        self.number != Some(number)
    }

    /// What the policy as it was written calls addresses.
    #[must_use]
    pub fn labels(&self) -> Arc<Labels> {
        Arc::clone(&self.labels)
    }

    /// The gateway's own addresses, which have no roles.
    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    /// A flow with its names, its reason, and what would let it pass.
    pub fn explain(&mut self, flow: &BlockedFlow, names: &Names, clock: Clock) -> Flow {
        Flow {
            techniques: self.techniques(&flow.key),
            advice: self.advise(&flow.key, names),
            ..Flow::new(flow, names, clock)
        }
    }

    /// The same for a flow that the shadow noted. The policy is the candidate.
    pub fn explain_change(&mut self, flow: &BlockedFlow, names: &Names, clock: Clock) -> Flow {
        let changed = Flow::changed(flow, names, clock);
        match changed.change {
            Some(Change::WouldDrop) => Flow {
                advice: self.advise(&flow.key, names),
                ..changed
            },
            _ => changed,
        }
    }

    /// The attack techniques that have such a flow.
    fn techniques(&self, key: &BlockedKey) -> Vec<&'static str> {
        match (&self.written, question(key)) {
            (Some((policy, _)), Some(question)) => Named::new(policy).of(&question),
            _ => Vec::new(),
        }
    }

    /// What would let a flow pass.
    pub fn advise(&mut self, key: &BlockedKey, names: &Names) -> Advice {
        let Some(question) = question(key) else {
            return Advice::default();
        };
        if let Some(known) = self.advice.get(&question) {
            return known.clone();
        }
        if self.advice.len() >= REMEMBERED {
            self.advice.clear();
        }
        let advice = match &self.written {
            Some((policy, machine)) => by_policy(policy, machine, &question),
            None => {
                let service = names.services.get(ServiceClass(key.service));
                let service = service.map_or("", |name| &name.service);
                let is_own = self.own.contains(&question.protected);
                let peers = &names.services.peers;
                self.document.advise(&question, service, peers, is_own)
            }
        };
        self.advice.insert(question, advice.clone());
        advice
    }
}

/// By the policy as it was written.
fn by_policy(policy: &SitePolicy, machine: &Surroundings, question: &Question) -> Advice {
    let ask = |question: &Question| policy::advise(policy, machine, question).unwrap_or_default();
    // What a DHCP server says to a relay needs what the relay needs.
    let relay = reversed(question).map(|question| ask(&question));
    let relay = relay.filter(|advice| {
        let mut hints = advice.hints.iter();
        hints.any(|hint| hint.table == "[peers]")
    });
    relay.unwrap_or_else(|| ask(question))
}

/// If a DHCP server seems to answer a relay: what the relay asks.
fn reversed(question: &Question) -> Option<Question> {
    let Target::Udp(ports) = &question.target else {
        return None;
    };
    let answers = question.opener == Opener::Protected && DHCP.contains(ports.start());
    answers.then(|| Question {
        opener: Opener::Peer,
        ..question.clone()
    })
}
