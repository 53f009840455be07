//! Permits for connections: a fixed number, of which no idle client can hold one for long.
//!
//! When all are taken, a new connection gets the permit of the connection that has gone longest
//! without a request. So clients that say nothing, send slowly or do not read their answers
//! keep nobody out, however many they are: a request counts only while its client reads what
//! it is sent. No connection is closed before it has been idle for [`MANNERS`], so a client that
//! connects and asks does not lose its permit to the crowd behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How long a connection may be without a request and not be sent away: time enough
/// to ask, and short enough for more than a thousand newcomers a second.
const MANNERS: Duration = Duration::from_millis(100);

/// How soon to look again for somebody to send away, when there was nobody.
const AGAIN: Duration = Duration::from_millis(20);

/// All permits, those that are free and those that are taken.
#[derive(Debug)]
pub(super) struct Permits {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

/// Who is without a request under way, in the order of since when.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A permit that a connection holds until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    leave: Arc<Notify>,
    standing: Mutex<Standing>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of the connection that holds a permit.
#[derive(Debug, Default)]
struct Standing {
    /// A request is under way.
    works: bool,
    /// The client does not read what it is sent.
    deaf: bool,
    /// Under which number it is in `waiting`, if it is.
    ticket: Option<u64>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            idle: Mutex::default(),
        })
    }

    /// Takes a permit. If none is free, an idle connection is closed first.
    pub(super) async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            let free = Arc::clone(&self.free);
            let permit = match Arc::clone(&free).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    self.send_one_away();
                    let freed = timeout(AGAIN, free.acquire_owned()).await;
                    freed.ok().and_then(Result::ok)
                }
            };
            if let Some(permit) = permit {
                let permit = Permit {
                    permits: Arc::clone(self),
                    leave: Arc::default(),
                    standing: Mutex::default(),
                    _permit: permit,
                };
                permit.wait();
                return permit;
            }
        }
    }

    fn send_one_away(&self) {
        let mut idle = lock(&self.idle);
        if let Some(first) = idle.waiting.first_entry()
            && first.get().0.elapsed() >= MANNERS
        {
            first.remove().1.notify_one();
        }
    }
}

impl Permit {
    /// A request is under way: whoever asks for something is not sent away.
    pub(super) fn work(&self) {
        self.note(|standing| standing.works = true);
    }

    /// It has its answer, or is new.
    pub(super) fn wait(&self) {
        self.note(|standing| standing.works = false);
    }

    /// Notes whether the client has stopped reading: then its request does not count.
    pub(super) fn is_deaf(&self, deaf: bool) {
        self.note(|standing| standing.deaf = deaf);
    }

    fn note(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = lock(&self.standing);
        change(&mut standing);
        let idles = standing.deaf || !standing.works;
        match (standing.ticket, idles) {
            (None, true) => {
                let mut idle = lock(&self.permits.idle);
                let ticket = idle.next;
                idle.next += 1;
                let since = (Instant::now(), Arc::clone(&self.leave));
                idle.waiting.insert(ticket, since);
                standing.ticket = Some(ticket);
            }
            (Some(ticket), false) => {
                lock(&self.permits.idle).waiting.remove(&ticket);
                standing.ticket = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Returns when somebody else needs the permit.
    pub(super) async fn wanted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = lock(&self.standing).ticket {
            lock(&self.permits.idle).waiting.remove(&ticket);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn is_wanted(permit: &Permit) -> bool {
        permit.wanted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_makes_room() {
        let permits = Permits::new(3);
        let (busy, asked, silent) = (
            permits.enter().await,
            permits.enter().await,
            permits.enter().await,
        );
        busy.work();
        asked.work();
        asked.wait();
        let newcomer = tokio::spawn({
            let permits = Arc::clone(&permits);
            async move { permits.enter().await }
        });
        silent.wanted().await;
        drop(silent);
        let newcomer = newcomer.await.unwrap();
        for (name, permit) in [("busy", &busy), ("asked", &asked), ("new", &newcomer)] {
            assert!(!is_wanted(permit), "{name}");
        }
        assert_eq!(permits.free.available_permits(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn busy_places_are_waited_for() {
        let permits = Permits::new(1);
        let busy = permits.enter().await;
        busy.work();
        let mut newcomer = Box::pin(permits.enter());
        assert!(timeout(AGAIN * 3, &mut newcomer).await.is_err());
        assert!(!is_wanted(&busy));
        busy.wait();
        assert!(timeout(AGAIN * 3, &mut newcomer).await.is_err());
        assert!(!is_wanted(&busy), "it has time to ask again");
        assert!(timeout(MANNERS, &mut newcomer).await.is_err());
        assert!(is_wanted(&busy), "it is sent away once it has been idle");
        drop(busy);
        let _place = newcomer.await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_does_not_listen_makes_room() {
        let permits = Permits::new(1);
        let deaf = permits.enter().await;
        deaf.is_deaf(true);
        deaf.work();
        let newcomer = Box::pin(permits.enter());
        assert!(timeout(MANNERS * 2, newcomer).await.is_err());
        assert!(is_wanted(&deaf), "its request is none");
        deaf.is_deaf(false);
        let newcomer = Box::pin(permits.enter());
        assert!(timeout(MANNERS * 2, newcomer).await.is_err());
        assert!(!is_wanted(&deaf), "it listens again");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_those_who_have_gone() {
        let permits = Permits::new(2);
        for _ in 0..100 {
            let permit = permits.enter().await;
            permit.work();
            permit.is_deaf(true);
            permit.wait();
        }
        assert_eq!(permits.free.available_permits(), 2);
        assert!(lock(&permits.idle).waiting.is_empty());
    }
}
