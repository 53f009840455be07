//! Writes decisions to their file, on a thread of its own: whoever decides holds a lock, and a disk may
//! hang.

use super::StateFile;
use anyhow::{Context as _, Result};
use std::mem::take;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long an answer waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread's end is that of this.
pub(super) struct Keeper {
    handed: Arc<Mutex<Handed>>,
    wake: SyncSender<()>,
}

/// What the thread has not yet taken.
#[derive(Default)]
struct Handed {
    /// Replaces what was handed over before it.
    text: Option<Vec<u8>>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// To be waited for, with no lock held, before anybody is told of the decision.
#[must_use]
pub struct Saving(Option<oneshot::Receiver<()>>);

impl Keeper {
    pub(super) fn begin(mut file: StateFile) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let handed = Arc::new(Mutex::<Handed>::default());
        let theirs = Arc::clone(&handed);
        let run = move || {
            while woken.recv().is_ok() {
                let Handed { text, waiting } = take(&mut *lock(&theirs));
                if let Some(text) = text
                    && let Err(error) = file.save(&text)
                {
                    tracing::error!(
                        "the decision was not saved: {error:#}; correct this, then run \
                         `sccm-agent reload`. Until then, an agent that starts without pinned maps \
                         enforces the policy file"
                    );
                }
                for waits in waiting {
                    // Perhaps nobody waits any more.
                    let _ = waits.send(());
                }
            }
        };
        let thread = thread::Builder::new().name("decisions".to_owned());
        thread
            .spawn(run)
            .context("starting a thread to keep decisions")?;
        Ok(Self { handed, wake })
    }

    /// Has the text written, if there is one, after all that was handed over before.
    pub(super) fn keep(&self, text: Option<Vec<u8>>) -> Saving {
        let (done, saving) = oneshot::channel();
        {
            let mut handed = lock(&self.handed);
            handed.text = text.or(handed.text.take());
            handed.waiting.push(done);
        }
        match self.wake.try_send(()) {
            // It will look after what it does now.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => {
                tracing::error!("the decision was not saved: the thread that writes it has ended");
                return Saving::NOTHING;
            }
        }
        Saving(Some(saving))
    }
}

impl Saving {
    /// Nothing is kept.
    pub(super) const NOTHING: Self = Self(None);

    /// Waits until it is written, or has failed, which is logged then.
    pub async fn wait(self) {
        let Some(saving) = self.0 else {
            return;
        };
        if timeout(PATIENCE, saving).await.is_err() {
            tracing::error!(
                "the decision is not saved yet: does the file system of --state-dir hang?"
            );
        }
    }
}

fn lock(handed: &Mutex<Handed>) -> MutexGuard<'_, Handed> {
    handed.lock().unwrap_or_else(PoisonError::into_inner)
}
