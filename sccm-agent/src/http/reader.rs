//! The one reader of the kernel for all pages.

use super::past::Past;
use crate::blocked::Explainer;
use crate::catalog::Edition;
use crate::check::Matrix;
use crate::coverage::{Coverage, Covered};
use crate::policies::Policies;
use crate::policy::{SitePolicy, Surroundings, hash_text};
use crate::record::{Part, Record};
use crate::state::{self, Count, Machine, Snapshot};
use anyhow::{Context as _, Result};
use axum::body::Bytes;
use sccm_common::policy::flag;
use serde::Serialize;
use std::sync::Arc;

/// What the policy lets in. As JSON it is the event `rights` of `/events`.
#[derive(Debug, Serialize)]
pub(super) struct Rights {
    /// The product edition of the policy; absent if another version of the agent published it
    /// and this one does not know the edition.
    edition: Option<Edition>,
    /// SHA-256 of the tables that the kernel had when this was made.
    hash: String,
    /// As `sccm-agent check` prints it; absent for a policy that another agent published:
    /// the kernel has tables, and not the words that they were made from.
    matrix: Option<Matrix>,
    /// Which attack techniques it stops; absent with the matrix.
    coverage: Option<Vec<Stopped>>,
}

/// An attack technique, and whether it is stopped.
#[derive(Debug, Serialize)]
struct Stopped {
    id: &'static str,
    title: &'static str,
    verdict: &'static str,
    /// What decides, a line for each variant.
    decides: Vec<String>,
}

impl From<&Covered> for Stopped {
    fn from(covered: &Covered) -> Self {
        Self {
            id: covered.id,
            title: covered.title,
            verdict: covered.verdict.name(),
            decides: covered.decides(),
        }
    }
}

/// What subscribers are sent.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    /// Number of the rights: another one, other rights. None have 0.
    pub(super) number: u64,
    /// An event with [`Rights`].
    pub(super) rights: Bytes,
    /// An event with [`Past`].
    pub(super) past: Bytes,
    /// An event with a [`Snapshot`], or the sign that there is none.
    pub(super) snapshot: Bytes,
}

/// Reads, and remembers what does not change.
pub(super) struct Reader {
    machine: Arc<Machine>,
    policies: Arc<Policies>,
    record: Arc<Record>,
    explainer: Explainer,
    /// The policy that the rights of `news` are of: changes and hash.
    known: Option<(u64, String)>,
    past: Past,
    news: News,
    is_troubled: bool,
}

impl Reader {
    pub(super) fn new(machine: Arc<Machine>, policies: Arc<Policies>, record: Arc<Record>) -> Self {
        Self {
            machine,
            policies,
            record,
            explainer: Explainer::default(),
            known: None,
            past: Past::default(),
            news: News::default(),
            is_troubled: false,
        }
    }

    /// What is true now.
    pub(super) async fn read(&mut self) -> News {
        let read = self.try_read().await;
        if let Err(error) = &read {
            self.record.errors.count(Part::Page);
            if !self.is_troubled {
                tracing::error!("reading the kernel for the status page: {error:#}");
            }
        }
        self.is_troubled = read.is_err();
        let trouble = Bytes::from_static(b"event: trouble\ndata: {}\n\n");
        self.news.snapshot = read.unwrap_or(trouble);
        self.news.clone()
    }

    async fn try_read(&mut self) -> Result<Bytes> {
        let present = self.machine.netlink.interfaces().await?;
        let number = self.policies.changes();
        if self.explainer.is_news(number) {
            let written = self.policies.written().await;
            self.explainer.set_written(number, written);
        }
        let mut snapshot = {
            let maps = self.machine.maps.lock();
            Snapshot::read(&self.machine.pins, &maps, &present, &mut self.explainer)?
        };
        let active = &snapshot.policy.hash;
        snapshot.file_differs = self.policies.file_differs_from(active);
        let policy = (self.policies.changes(), snapshot.policy.hash.clone());
        if self.known.as_ref() != Some(&policy) {
            self.read_rights().await?;
            self.known = Some(policy);
        }
        self.note(snapshot.taken, &snapshot.counts)?;
        event("snapshot", &snapshot)
    }

    /// Reads the counters for those who open a page later. Errors are told once somebody does.
    pub(super) fn look(&mut self) {
        let readings = self.machine.maps.lock().counters();
        if let Ok(readings) = readings {
            let _ = self.note(state::now(), &state::counts(&readings));
        }
    }

    fn note(&mut self, now: u64, counts: &[Count]) -> Result<()> {
        if self.past.is_due(now) {
            self.past.note(now, counts);
            self.news.past = event("past", &self.past)?;
        }
        Ok(())
    }

    async fn read_rights(&mut self) -> Result<()> {
        let (policy, info) = self.policies.running().await?;
        let coverage = match &policy {
            Some(policy) => Some(stopped(policy.clone(), info.flags & flag::OBSERVE != 0).await?),
            None => None,
        };
        let matrix = policy.map(|policy| Matrix::new(&policy));
        let rights = Rights {
            edition: Edition::numbered(info.edition),
            hash: hash_text(&info.hash),
            matrix: matrix.transpose()?,
            coverage,
        };
        self.news.rights = event("rights", &rights)?;
        self.news.number += 1;
        Ok(())
    }
}

/// Which attack techniques a policy stops. That takes a while: scrapes go on.
async fn stopped(policy: SitePolicy, observe: bool) -> Result<Vec<Stopped>> {
    let judge = move || Coverage::new(&policy, &Surroundings::default(), observe);
    let coverage = tokio::task::spawn_blocking(judge).await??;
    Ok(coverage.techniques.iter().map(Stopped::from).collect())
}

/// An event of one line: JSON has no line ends of its own.
fn event(name: &str, data: &impl Serialize) -> Result<Bytes> {
    let data = serde_json::to_string(data).context("writing JSON")?;
    Ok(Bytes::from(format!("event: {name}\ndata: {data}\n\n")))
}
