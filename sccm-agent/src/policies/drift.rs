//! Whether the policy's file still says what is enforced.

use super::{Policies, Written};
use crate::config;
use crate::files;
use crate::policy::{hash_of, hash_text};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

/// How long the file is left unlooked at.
const LOOK: Duration = Duration::from_secs(15);

impl Policies {
    /// Looks at the file again and again, and notes what it says. It takes no turn among the changes,
    /// so that none waits for a slow disk.
    pub async fn look_at_file(&self) -> Infallible {
        let Written::File(path) = &self.settings.written else {
            return std::future::pending().await;
        };
        loop {
            let path = path.clone();
            let changes = self.changes();
            let seen = files::in_time(move || config::load(&path)).await;
            let seen = seen.ok().as_ref().map(hash_of);
            // A reload knows it better.
            if changes == self.changes() {
                self.record.drift.note(seen.map(|hash| hash_text(&hash)));
            }
            sleep(LOOK).await;
        }
    }

    /// Whether the file was last seen to hold anything else than the policy with this hash, in
    /// hexadecimal.
    #[must_use]
    pub fn file_differs_from(&self, active: &str) -> bool {
        self.record.drift.differs_from(active)
    }
}
