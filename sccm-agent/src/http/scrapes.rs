//! One reading of the kernel for all who ask at the same time.
//!
//! Whoever asks while somebody else's reading is under way waits for it, and shares
//! the next. A reading counts only if it began after the question, so nobody gets
//! an old answer; and however many ask, at most one reading is under way and one
//! answer is in memory.

use anyhow::Result;
use std::time::Instant;
use tokio::sync::Mutex;

/// The last reading and when it began.
#[derive(Debug)]
pub(super) struct Scrapes<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Scrapes<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Scrapes<T> {
    /// What a reading returns that began after this call did.
    ///
    /// # Errors
    /// Those of the reading; the next in line then reads afresh.
    pub(super) async fn share(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, told)) = last.as_ref()
            && *began > asked
        {
            return Ok(told.clone());
        }
        let began = Instant::now();
        let told = read.await?;
        *last = Some((began, told.clone()));
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_reading_and_later_ones_do_not() {
        let (scrapes, readings) = (Scrapes::default(), AtomicU32::new(0));
        let read = async || {
            let number = readings.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
            Ok(number.to_string())
        };
        let answers = join_all((0..100).map(|_| scrapes.share(read()))).await;
        assert_eq!(
            readings.load(Relaxed),
            2,
            "one for the first, one for the rest"
        );
        assert_eq!(answers[0].as_ref().unwrap(), "0");
        assert!(answers[1..].iter().all(|one| one.as_ref().unwrap() == "1"));
        assert_eq!(scrapes.share(read()).await.unwrap(), "2");
    }

    #[tokio::test]
    async fn a_failed_reading_is_not_shared() {
        let scrapes = Scrapes::default();
        let failing = async { anyhow::bail!("no") };
        let (first, second) =
            tokio::join!(scrapes.share(failing), scrapes.share(async { Ok("yes") }));
        assert!(first.is_err());
        assert_eq!(second.unwrap(), "yes");
    }
}
