//! `sccm-agent replay`: what a policy would have done with packets that were captured.
//!
//! Each packet meets the verdict of the kernel's programs ([`judge`]), with all that was remembered of
//! those before it, at the time that the capture says. Nothing of this machine is asked or changed.

pub mod conversations;
mod dropped;
mod judge;
mod look;
mod summary;
mod tally;

pub use dropped::DroppedFile;
pub use summary::Summary;

use crate::capture::read::{Frame, Reader};
use crate::policy::{Compiled, Labels, Request, ServiceNames, SitePolicy, Surroundings, compile};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use conversations::{Conversations, Spotted};
use ipnet::IpNet;
use judge::Judge;
use look::Looker;
use sccm_common::Verdict;
use sccm_common::counter::Direction;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tally::Tally;

/// How many packets are read between two reports of progress.
const REPORTED: u64 = 16_384;

/// Where the captured packets were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Spot {
    /// At the protected host itself, or at its port of a switch
    #[default]
    Host,
    /// At a gateway's uplink, beyond which the peers are
    Uplink,
    /// At a gateway's segment, where the protected systems are
    Segment,
}

/// What is replayed, and how.
pub struct Wish {
    pub policy: SitePolicy,
    /// Another policy, to compare.
    pub against: Option<SitePolicy>,
    pub spot: Spot,
    /// Addresses of the protected systems; if none, those that the policy lists.
    pub protected: Vec<IpNet>,
    /// A gateway's own addresses.
    pub own: Vec<IpAddr>,
    /// Interfaces of the files; none: all.
    pub interfaces: Vec<String>,
    /// Packets after which it ends.
    pub count: u64,
}

/// How far it has come: bytes read of this file, and in all of it if that is known; packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub file: usize,
    pub bytes: (u64, u64),
    pub packets: u64,
}

/// What became of one file.
#[derive(Debug, Clone, Default)]
pub struct FileEnd {
    pub name: String,
    pub packets: u64,
    pub ended_early: bool,
    pub error: Option<String>,
}

/// Both policies, compiled.
pub struct Stage {
    wish: Wish,
    compiled: Compiled,
    against: Option<Compiled>,
    protected: Vec<IpNet>,
}

/// What all files came to.
pub struct Replayed {
    tally: Tally,
    conversations: Conversations,
    files: Vec<FileEnd>,
}

impl Stage {
    /// Compiles the policies.
    ///
    /// # Errors
    /// One cannot be compiled, or nobody says which systems are protected.
    pub fn new(wish: Wish) -> Result<Self> {
        let machine = match wish.spot {
            Spot::Host => Surroundings::default(),
            Spot::Uplink | Spot::Segment => Surroundings::gateway(&wish.own),
        };
        let compiled = |policy: &SitePolicy| {
            let request = Request {
                policy,
                machine: &machine,
                observe: false,
            };
            compile(&request, ServiceNames::default())
        };
        let protected = match wish.protected.as_slice() {
            [] => listed(&wish.policy),
            given => given.to_vec(),
        };
        ensure!(
            !protected.is_empty(),
            "the policy lists no addresses, so nobody knows which way a packet went: say which systems \
             are protected, with --protected"
        );
        let against = wish.against.as_ref().map(compiled).transpose();
        Ok(Self {
            compiled: compiled(&wish.policy).context("compiling the policy")?,
            against: against.context("compiling the policy of --against")?,
            protected,
            wish,
        })
    }

    /// The names of service classes.
    #[must_use]
    pub fn services(&self) -> &ServiceNames {
        &self.compiled.services
    }

    /// Reads all files. One that is damaged ends there, with a word about it.
    ///
    /// # Errors
    /// A file that cannot be opened, before any packet is judged; or the dropped packets cannot be
    /// written.
    pub fn run(
        &self,
        paths: &[PathBuf],
        mut dropped: Option<&mut DroppedFile>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Replayed> {
        // All are looked at before the first is judged.
        let readers = paths.iter().map(|path| Reader::open(path));
        let readers: Vec<Reader> = readers.collect::<Result<_>>()?;
        let mut run = Run {
            stage: self,
            looker: Looker::new(self.protected.clone()),
            judge: Judge::new(&self.compiled, self.wish.spot, &self.wish.own),
            other: self
                .against
                .as_ref()
                .map(|other| Judge::new(other, self.wish.spot, &self.wish.own)),
            replayed: Replayed {
                tally: Tally::default(),
                conversations: Conversations::default(),
                files: Vec::new(),
            },
        };
        let mut packets = 0;
        for (file, (path, mut reader)) in paths.iter().zip(readers).enumerate() {
            let mut end = FileEnd {
                name: path.display().to_string(),
                ..FileEnd::default()
            };
            while packets < self.wish.count {
                let frame = match reader.next_frame() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => {
                        end.error = Some(format!("{error:#}"));
                        break;
                    }
                };
                if !self.wants(frame.interface_name) {
                    continue;
                }
                let judged = run.frame(file, &frame);
                if let (Some(dropped), Some((direction, verdict))) = (&mut dropped, judged)
                    && !verdict.reason.passes()
                {
                    dropped.add(&frame, direction, verdict)?;
                }
                end.packets += 1;
                packets += 1;
                if u64::is_multiple_of(packets, REPORTED) {
                    let bytes = reader.progress();
                    report(Progress {
                        file,
                        bytes,
                        packets,
                    });
                }
            }
            end.ended_early = reader.ended_early();
            run.replayed.files.push(end);
        }
        Ok(run.replayed)
    }

    fn wants(&self, interface: &str) -> bool {
        let wanted = &self.wish.interfaces;
        wanted.is_empty() || wanted.iter().any(|one| one == interface)
    }

    /// What it came to, for people and programs; of conversations so many.
    #[must_use]
    pub fn summary(&self, replayed: &Replayed, limit: usize) -> Summary {
        let labels = Labels::of(&self.wish.policy);
        let is_compared = self.against.is_some();
        Summary::new(
            replayed,
            &self.compiled.services,
            &labels,
            is_compared,
            limit,
        )
    }
}

impl Replayed {
    /// Who talked to whom.
    #[must_use]
    pub const fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// What became of each file.
    #[must_use]
    pub fn files(&self) -> &[FileEnd] {
        &self.files
    }
}

struct Run<'a> {
    stage: &'a Stage,
    looker: Looker,
    judge: Judge<'a>,
    other: Option<Judge<'a>>,
    replayed: Replayed,
}

impl Run<'_> {
    /// Judges one frame, and notes what became of it.
    fn frame(&mut self, file: usize, frame: &Frame<'_>) -> Option<(Direction, Verdict)> {
        let spotted = Spotted {
            file,
            number: frame.number,
            at: frame.at,
        };
        let Replayed {
            tally,
            conversations,
            ..
        } = &mut self.replayed;
        tally.seen(frame, spotted);
        let look = self.looker.look(frame);
        if !look.suffices {
            tally.cut_off += 1;
            return None;
        }
        let judged = self.judge.judge(&look, frame.at);
        let other = self
            .other
            .as_mut()
            .map(|other| other.judge(&look, frame.at));
        let Some((direction, verdict)) = judged else {
            tally.elsewhere += 1;
            return None;
        };
        tally.judged(direction, verdict, frame, spotted);
        let other = other.map(|other| other.is_some_and(|(_, verdict)| verdict.reason.passes()));
        let passes = verdict.reason.passes();
        let (opens, closes) = (
            !passes && other == Some(true),
            passes && other == Some(false),
        );
        tally.opens += u64::from(opens);
        tally.closes += u64::from(closes);
        if look.end.is_none() {
            let policy = &self.stage.compiled.policy;
            let talk = conversations.of(&look.packet, look.outward, policy, spotted);
            if let Some((talk, _)) = talk {
                talk.judged(verdict.reason, spotted);
                talk.opens += u64::from(opens);
                talk.closes += u64::from(closes);
            }
        }
        Some((direction, verdict))
    }
}

/// The addresses that a policy lists as protected here.
fn listed(policy: &SitePolicy) -> Vec<IpNet> {
    let here = policy.protect.iter().filter(|entry| !entry.elsewhere);
    here.flat_map(|entry| entry.addresses.clone()).collect()
}

/// A time since 1970, in seconds.
fn seconds(at: Duration) -> f64 {
    at.as_secs_f64()
}

#[cfg(test)]
mod tests;
