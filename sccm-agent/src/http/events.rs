//! `/events`: what is true, told once a second to every page that is open.
//!
//! Server-sent events (WHATWG HTML, 9.2). One [`Reader`] reads the kernel for all, and
//! only while somebody listens. Nobody is sent what is old by then: who is slow misses
//! snapshots, and a client that stops reading is disconnected ([`super::patience`]). There are
//! so few subscribers that they never take all permits from those who scrape.
//!
//! | event | data |
//! |---|---|
//! | `past` | [`Past`](super::past::Past): at first |
//! | `rights` | [`Rights`](super::reader::Rights): at first, and when the policy changes |
//! | `snapshot` | [`Snapshot`](crate::state::Snapshot): each second |
//! | `trouble` | `{}`: the kernel could not be read; the agent's log says why |

use super::connection::Ends;
use super::past;
use super::permits::Permit;
use super::reader::{News, Reader};
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{Stream, unfold};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, sleep_until, timeout};

/// Pages that are open at once: an eighth of all permits.
const MAX_SUBSCRIBERS: usize = 16;

/// The time between two snapshots, which are also the signs of life.
const PERIOD: Duration = Duration::from_secs(1);

/// How soon a page comes back whose stream has ended, in milliseconds.
const BEGINNING: &[u8] = b"retry: 1000\n\n";

/// What all subscribers share.
pub(super) struct Feed {
    news: watch::Sender<News>,
    /// Somebody listens.
    wanted: Notify,
    seats: Arc<Semaphore>,
}

impl Feed {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            news: watch::Sender::new(News::default()),
            wanted: Notify::new(),
            seats: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
        })
    }

    /// Reads once a second while there are subscribers, and else the counters alone every ten,
    /// until the process ends.
    pub(super) async fn run(&self, mut reader: Reader) -> Infallible {
        loop {
            if self.news.receiver_count() == 0 {
                reader.look();
                let wanted = self.wanted.notified();
                if timeout(Duration::from_millis(past::PERIOD), wanted)
                    .await
                    .is_err()
                {
                    continue;
                }
            }
            self.news.send_replace(reader.read().await);
            sleep(PERIOD).await;
        }
    }

    /// Everything from the next reading on; nothing if all seats are taken.
    fn subscribe(&self, permit: Arc<Permit>) -> Option<Subscriber> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        let news = self.news.subscribe();
        self.wanted.notify_one();
        Some(Subscriber {
            news,
            permit,
            seated: None,
            told: 0,
            next: Some(Bytes::from_static(BEGINNING)),
            _seat: seat,
        })
    }
}

struct Subscriber {
    news: watch::Receiver<News>,
    permit: Arc<Permit>,
    seated: Option<Seated>,
    /// Number of the rights that it has.
    told: u64,
    /// What it gets before it waits again.
    next: Option<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl Subscriber {
    async fn next(&mut self) -> Option<Bytes> {
        self.seated
            .get_or_insert_with(|| Seated::new(Arc::clone(&self.permit)));
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        self.news.changed().await.ok()?;
        let news = self.news.borrow_and_update();
        if news.number == self.told {
            return Some(news.snapshot.clone());
        }
        let is_first = self.told == 0;
        self.told = news.number;
        self.next = Some(news.snapshot.clone());
        Some(match is_first {
            true => [&news.past[..], &news.rights].concat().into(),
            false => news.rights.clone(),
        })
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        unfold(self, |mut subscriber| async {
            let next = subscriber.next().await?;
            Some((Ok(next), subscriber))
        })
    }
}

/// A page for as long as its answer lasts: it makes room for nobody.
struct Seated(Arc<Permit>);

impl Seated {
    fn new(permit: Arc<Permit>) -> Self {
        permit.stays(true);
        Self(permit)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.stays(false);
    }
}

/// `GET /events`.
pub(super) async fn events(
    State(feed): State<Arc<Feed>>,
    Extension(Ends(end)): Extension<Ends>,
    Extension(permit): Extension<Arc<Permit>>,
) -> Response {
    let Some(subscriber) = feed.subscribe(permit) else {
        let refusal = "too many status pages are open\n";
        return (StatusCode::SERVICE_UNAVAILABLE, refusal).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // A proxy that collected the answer would show nothing (nginx).
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    // In time for a page to see an end and not a fault.
    let stream = subscriber.stream().take_until(Box::pin(sleep_until(end)));
    (headers, Body::from_stream(stream)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(number: u64, snapshot: &'static str) -> News {
        News {
            number,
            rights: Bytes::from_static(b"rights"),
            past: Bytes::from_static(b"past "),
            snapshot: Bytes::from_static(snapshot.as_bytes()),
        }
    }

    async fn subscriber(feed: &Feed) -> Option<Subscriber> {
        feed.subscribe(Permit::alone().await)
    }

    #[tokio::test]
    async fn slow_subscribers_miss_news_and_rights_come_when_they_change() {
        let feed = Feed::new();
        feed.news.send_replace(news(1, "before"));
        let mut slow = subscriber(&feed).await.unwrap();
        assert_eq!(slow.next().await.unwrap(), BEGINNING);
        let told = |number, snapshot| drop(feed.news.send_replace(news(number, snapshot)));
        told(1, "missed");
        told(1, "first");
        assert_eq!(slow.next().await.unwrap(), "past rights");
        assert_eq!(slow.next().await.unwrap(), "first");
        told(1, "second");
        assert_eq!(slow.next().await.unwrap(), "second");
        told(2, "third");
        assert_eq!(slow.next().await.unwrap(), "rights");
        assert_eq!(slow.next().await.unwrap(), "third");
    }

    #[tokio::test]
    async fn there_are_so_many_seats_and_they_are_given_back() {
        let feed = Feed::new();
        let mut seated = Vec::new();
        while let Some(one) = subscriber(&feed).await {
            seated.push(one);
        }
        assert_eq!(seated.len(), MAX_SUBSCRIBERS);
        seated.pop();
        assert!(subscriber(&feed).await.is_some());
        drop(seated);
        assert_eq!(feed.seats.available_permits(), MAX_SUBSCRIBERS);
        assert_eq!(feed.news.receiver_count(), 0, "nothing is read any more");
    }
}
