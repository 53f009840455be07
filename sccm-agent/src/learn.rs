//! `sccm-agent learn`: the smallest addition to a policy that lets the conversations pass that were seen.
//!
//! What was refused comes from captures, or from what the kernel noted. Each conversation gets a rule for
//! its two ends and its port alone ([`rules`]); what looks like a scan gets none, and what looks like
//! coercion only a warning ([`suspect`]). Nobody's policy is changed.

mod fit;
mod input;
mod rules;
mod suspect;
mod text;

pub use fit::Likeness;
pub use input::{Seen, of_blocked, of_capture, of_flows};
pub use rules::Proposal;
pub use suspect::{Scan, Suspect};

use crate::policy::{
    Compiled, Labels, Opener, Outbound, Question, Request, ServiceNames, SitePolicy, Surroundings,
    compile,
};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::time::Duration;

/// What `learn -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lesson {
    /// Conversations that were looked at.
    conversations: usize,
    /// Those of them that the policy refuses.
    refused: usize,
    /// Rules for these, but for scans and what is suspect.
    rules: Vec<Proposal>,
    /// What systems look like, by the ports that others open.
    looks_like: Vec<Likeness>,
    /// Conversations that look like reconnaissance or coercion: they get no rule.
    suspects: Vec<Suspect>,
    /// Who has tried many ports or hosts: that gets no rule.
    scans: Vec<Scan>,
    /// Conversations that no rule would let pass.
    unhelped: Vec<String>,
    /// All of it for the end of the policy file, or for a file in `policy.d`.
    toml: String,
}

impl Lesson {
    /// Learns from what was seen, perhaps under another policy than this one.
    ///
    /// # Errors
    /// The policy cannot be compiled.
    pub fn new(policy: &SitePolicy, machine: &Surroundings, mut seen: Vec<Seen>) -> Result<Self> {
        let request = Request {
            policy,
            machine,
            observe: false,
        };
        let compiled =
            compile(&request, ServiceNames::default()).context("compiling the policy")?;
        for one in &mut seen {
            one.refused &= !allows(&compiled, policy.outbound, &one.question);
        }
        let labels = Labels::of(policy);
        let (scans, seen_true) = suspect::without_scans(&seen);
        let refused: Vec<&Seen> = seen_true
            .iter()
            .filter(|one| one.refused)
            .copied()
            .collect();
        let (suspects, wanted) = suspect::without_suspects(policy, &refused, &labels);
        let (rules, unhelped) = rules::of(policy, machine, &wanted, &labels);
        let looks_like = fit::of(policy, &seen_true, &labels);
        let mut lesson = Self {
            conversations: seen.len(),
            refused: seen.iter().filter(|one| one.refused).count(),
            rules,
            looks_like,
            suspects,
            scans,
            unhelped,
            toml: String::new(),
        };
        lesson.toml = text::toml(&lesson);
        Ok(lesson)
    }

    /// For the policy file.
    #[must_use]
    pub fn toml(&self) -> &str {
        &self.toml
    }
}

/// Whether a policy lets this be opened by right: rules would add nothing.
fn allows(compiled: &Compiled, outbound: Outbound, question: &Question) -> bool {
    let access = compiled.access(question.protected, question.peer);
    let class = compiled.class_of(&question.target);
    match question.opener {
        Opener::Peer => access.inbound.contains(class),
        Opener::Protected => outbound == Outbound::Enforce && access.outbound.contains(class),
    }
}

/// A time since 1970, for people: `2026-11-29 12:58:09`, in UTC.
fn date(at: Duration) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    match time::OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        Err(_) => format!("{seconds} seconds after 1970"),
    }
}

#[cfg(test)]
mod tests;
