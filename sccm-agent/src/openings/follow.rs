//! What the kernel program leaves unread: answers in several segments or fragments, or laid out in
//! another way than usual. The program hands over each segment to and from a mapper that counts, and
//! the agent opens what is named there, by the rules of the active policy.

use super::{Bounds, Learner};
use crate::kernel::{Clock, Heard, Opener, Said};
use anyhow::{Error, Result};
use sccm_common::verdict::Outcome;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

/// Segments that are taken at once.
const BATCH: usize = 64;

/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads what is heard.
pub struct Listener {
    learner: Learner,
    opener: Opener,
    /// How many segments were heard.
    number: u64,
}

/// Reads until the process ends; `failed` is told of every error.
pub async fn follow(
    mut heard: Heard,
    mut listener: Listener,
    failed: impl Fn(&Error),
) -> Infallible {
    loop {
        let learned = match heard.take(BATCH).await {
            Ok(said) => listener.hear(&said),
            Err(error) => {
                sleep(PAUSE).await;
                Err(error)
            }
        };
        if let Err(error) = learned {
            failed(&error);
        }
    }
}

impl Listener {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(opener: Opener) -> Self {
        Self {
            learner: Learner::new(Bounds::default()),
            opener,
            number: 0,
        }
    }

    /// Hears what was said, and opens what the kernel program has not.
    ///
    /// # Errors
    /// The kernel refuses something.
    pub fn hear(&mut self, said: &[Said]) -> Result<()> {
        let renewed = self.opener.renew();
        if let Ok(true) = renewed {
            let (ranges, known) = self.opener.ports();
            self.learner.set_bounds(Bounds { ranges, known });
        }
        let now = Clock::read()?.program();
        let mut result = renewed.map(drop);
        for one in said {
            self.number += 1;
            let learned = self.learner.hear(self.number, one);
            if one.header.is_settled() {
                continue;
            }
            for refused in &learned.refused {
                result = result.and(self.opener.count(Outcome::refused(refused.reason)));
            }
            for opening in &learned.openings {
                let ends = (opening.client, opening.server);
                let port = (opening.port, opening.asked, opening.interface);
                result = result.and(self.opener.open_port(ends, port, one.header.at, now));
            }
        }
        result
    }
}
