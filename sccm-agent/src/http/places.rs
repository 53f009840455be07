//! A fixed number of places for connections, of which nobody can hold one for long.
//!
//! When all are taken, the connection that has gone longest without a request
//! makes room for the new one. So whoever connects and says nothing, speaks
//! slowly, or does not read its answer, is in nobody's way, however many they are:
//! a request counts only while its client takes what it is sent.
//! Everybody has [`MANNERS`] to begin with, so that a client that connects and asks
//! is not sent away by the crowd behind it.

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

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

/// Who is without a request under way, in the order of since when.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A place that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    leave: Arc<Notify>,
    standing: Mutex<Standing>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a place's connection.
#[derive(Debug, Default)]
struct Standing {
    /// A request is under way.
    works: bool,
    /// Its client takes nothing of what it is sent.
    deaf: bool,
    /// Under which number it is in `waiting`, if it is.
    ticket: Option<u64>,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            idle: Mutex::default(),
        })
    }

    /// Takes a place; where none is free, after somebody has been sent away.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
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
                let place = Place {
                    places: Arc::clone(self),
                    leave: Arc::default(),
                    standing: Mutex::default(),
                    _permit: permit,
                };
                place.wait();
                return place;
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

impl Place {
    /// A request is under way: whoever asks for something is not sent away.
    pub(super) fn work(&self) {
        self.note(|standing| standing.works = true);
    }

    /// It has its answer, or is new.
    pub(super) fn wait(&self) {
        self.note(|standing| standing.works = false);
    }

    /// Whether the client takes nothing: a request of such a one is none.
    pub(super) fn is_deaf(&self, deaf: bool) {
        self.note(|standing| standing.deaf = deaf);
    }

    fn note(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = lock(&self.standing);
        change(&mut standing);
        let idles = standing.deaf || !standing.works;
        match (standing.ticket, idles) {
            (None, true) => {
                let mut idle = lock(&self.places.idle);
                let ticket = idle.next;
                idle.next += 1;
                let since = (Instant::now(), Arc::clone(&self.leave));
                idle.waiting.insert(ticket, since);
                standing.ticket = Some(ticket);
            }
            (Some(ticket), false) => {
                lock(&self.places.idle).waiting.remove(&ticket);
                standing.ticket = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Returns when somebody else needs the place.
    pub(super) async fn wanted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = lock(&self.standing).ticket {
            lock(&self.places.idle).waiting.remove(&ticket);
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

    fn is_wanted(place: &Place) -> bool {
        place.wanted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_makes_room() {
        let places = Places::new(3);
        let (busy, asked, silent) = (
            places.enter().await,
            places.enter().await,
            places.enter().await,
        );
        busy.work();
        asked.work();
        asked.wait();
        let newcomer = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.enter().await }
        });
        silent.wanted().await;
        drop(silent);
        let newcomer = newcomer.await.unwrap();
        for (name, place) in [("busy", &busy), ("asked", &asked), ("new", &newcomer)] {
            assert!(!is_wanted(place), "{name}");
        }
        assert_eq!(places.free.available_permits(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn busy_places_are_waited_for() {
        let places = Places::new(1);
        let busy = places.enter().await;
        busy.work();
        let mut newcomer = Box::pin(places.enter());
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
        let places = Places::new(1);
        let deaf = places.enter().await;
        deaf.is_deaf(true);
        deaf.work();
        let newcomer = Box::pin(places.enter());
        assert!(timeout(MANNERS * 2, newcomer).await.is_err());
        assert!(is_wanted(&deaf), "its request is none");
        deaf.is_deaf(false);
        let newcomer = Box::pin(places.enter());
        assert!(timeout(MANNERS * 2, newcomer).await.is_err());
        assert!(!is_wanted(&deaf), "it listens again");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_those_who_have_gone() {
        let places = Places::new(2);
        for _ in 0..100 {
            let place = places.enter().await;
            place.work();
            place.is_deaf(true);
            place.wait();
        }
        assert_eq!(places.free.available_permits(), 2);
        assert!(lock(&places.idle).waiting.is_empty());
    }
}
