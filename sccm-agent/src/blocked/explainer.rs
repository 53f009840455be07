//! From what the kernel noted to what people are told.

use super::{Advice, Flow, Names, Question, links, question, why};
use crate::catalog::{Catalog, Edition};
use crate::kernel::Clock;
use crate::policy::{
    self, BootOpeners, Ground, Opener, PXE_CLIENT, Request, SitePolicy, Surroundings, Target,
    roles_text,
};
use crate::site::Site;
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::{BlockedFlow, BlockedKey};
use std::collections::HashMap;
use std::net::IpAddr;

/// Answers that are remembered. Somebody who scans ports makes up thousands of questions.
const REMEMBERED: usize = 1024;

/// Answers that are worked out for one reading: each takes a few compilations of the policy.
const AT_ONCE: u32 = 8;

/// Ports at which DHCP servers and relays listen.
const DHCP: [u16; 2] = [67, 547];

/// Names flows, and remembers what would let them pass.
#[derive(Default)]
pub struct Explainer {
    /// As the document describes it, because the kernel does not have the site's own ports.
    /// `None`: the edition is not known, and no link is named.
    site: Option<Site>,
    roles: Vec<String>,
    links: HashMap<(Target, BootOpeners), Vec<Ground>>,
    /// The policy as it was written, and the machine that it is for, if they are known.
    written: Option<(SitePolicy, Surroundings)>,
    /// The number under which that was told.
    number: Option<u64>,
    /// A gateway's own addresses, where the policy is not known.
    own: Vec<IpAddr>,
    advice: HashMap<Question, Advice>,
    left: u32,
}

impl Explainer {
    /// From now on links are those of this policy's edition, and those of its roles come first.
    pub fn set_policy(&mut self, policy: &PolicyInfo) {
        let edition = Edition::numbered(policy.edition);
        let site = edition.map(|edition| Site::new(Catalog::of(edition)));
        let roles: Vec<String> = roles_text(policy).split(',').map(str::to_owned).collect();
        if (&self.site, &self.roles) != (&site, &roles) {
            (self.site, self.roles) = (site, roles);
            self.links.clear();
        }
        self.left = AT_ONCE;
    }

    /// From now on the answers are those of this policy, which is the `number`th that is told.
    pub fn set_written(&mut self, number: u64, written: Option<(SitePolicy, Surroundings)>) {
        self.left = AT_ONCE;
        if self.number != Some(number) {
            self.number = Some(number);
            self.written = written;
            self.advice.clear();
        }
    }

    /// Whether this number has not been told yet.
    #[must_use]
    pub fn is_news(&self, number: u64) -> bool {
        self.number != Some(number)
    }

    /// Works out every answer at once, however many there are.
    pub fn take_your_time(&mut self) {
        self.left = u32::MAX;
    }

    /// The gateway's own addresses, which have no roles.
    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    /// A flow with its names, its reason, and what would let it pass.
    pub fn explain(&mut self, flow: &BlockedFlow, names: &Names, clock: Clock) -> Flow {
        let advice = self.advise(&flow.key, names);
        Flow {
            refused: names.of(&flow.key),
            why: why(flow),
            packets: flow.packets,
            bytes: flow.bytes,
            first_seen: clock.unix(flow.first),
            last_seen: clock.unix(flow.last),
            would_allow: advice.would_allow,
            hints: advice.hints,
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
        let Some((policy, machine)) = &self.written else {
            return self.without_policy(question, names);
        };
        if self.left == 0 {
            // The next reading has it.
            return Advice::default();
        }
        self.left -= 1;
        let request = Request {
            policy,
            machine,
            observe: false,
        };
        let ask = |question: &Question| {
            let answer = policy::explain(&request, question).ok()?;
            Some(Advice {
                would_allow: answer.would_allow,
                hints: answer.hints,
            })
        };
        // What a DHCP server says to a relay needs what the relay needs.
        let relay = reversed(&question).and_then(|question| ask(&question));
        let relay = relay.filter(|advice| {
            let mut hints = advice.hints.iter();
            hints.any(|hint| hint.table == "[peers]")
        });
        let advice = relay.or_else(|| ask(&question)).unwrap_or_default();
        self.advice.insert(question, advice.clone());
        advice
    }

    /// By the document alone, and by what the kernel says of the policy.
    fn without_policy(&mut self, question: Question, names: &Names) -> Advice {
        if self.own.contains(&question.protected) {
            return Advice {
                would_allow: Vec::new(),
                hints: vec![policy::management_hint(&question)],
            };
        }
        let Some(site) = &self.site else {
            return Advice::default();
        };
        let peers: Vec<&str> = names.services.peers.iter().map(|(_, name)| name).collect();
        let mut roles = peers.iter().flat_map(|name| name.split('+'));
        let boots = match roles.any(|role| role == PXE_CLIENT) {
            true => BootOpeners::PxeClients,
            false if peers.is_empty() => BootOpeners::AsDocumented,
            false => BootOpeners::Clients,
        };
        if self.links.len() >= REMEMBERED {
            self.links.clear();
        }
        let known = self.links.entry((question.target, boots));
        let links =
            known.or_insert_with_key(|(target, boots)| links(site, &self.roles, target, *boots));
        Advice {
            would_allow: links.clone(),
            hints: Vec::new(),
        }
    }
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
