//! Permits for connections: a fixed number, which nobody can hold against others.
//!
//! When all are taken, a new connection gets the permit of another one: the oldest of those that
//! the peer with the most connections has. Nothing that a client asks renews its permit, so it is
//! all the same how many clients are silent or slow, ask without reading, or ask without end. An idle
//! connection is closed, one that works ends after its answer. None is sent away before
//! [`MANNERS`], so that a client that connects and asks does not lose its permit to the crowd behind it.
//! A peer on another machine never has more than [`Limits::of_peer`]; so many as [`Limits::kept`] are
//! left to those who have shown who they are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long a connection is left its permit: time enough to ask, and short enough for more than a
/// thousand newcomers a second.
const MANNERS: Duration = Duration::from_millis(100);

/// How soon to look again for somebody to send away, when there was nobody.
const AGAIN: Duration = Duration::from_millis(20);

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) all: usize,
    /// Of one peer on another machine.
    pub(super) of_peer: usize,
    /// So many of those who have shown who they are stay, though they are idle.
    pub(super) kept: usize,
}

/// Whose connections are counted together: an address, what one IPv6 host may have as addresses
/// (RFC 4291, 2.5.1), or whoever is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Here,
    At(IpAddr),
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Here,
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self::At(Ipv6Addr::from(network).into())
            }
            address => Self::At(address),
        }
    }
}

/// All permits, those that are free and those that are taken.
#[derive(Debug)]
pub(super) struct Permits {
    limits: Limits,
    holders: Mutex<Holders>,
    freed: Notify,
}

/// Who has a permit, in the order of their coming.
#[derive(Debug, Default)]
struct Holders {
    next: u64,
    all: BTreeMap<u64, Holder>,
}

/// What is known of a connection that has a permit.
#[derive(Debug)]
struct Holder {
    peer: Peer,
    since: Instant,
    /// A request is under way.
    works: bool,
    /// It is a page, of which there are only so many: it never needs to make room.
    stays: bool,
    /// The client does not read what it is sent.
    deaf: bool,
    /// The client has shown who it is.
    known: bool,
    /// Somebody else needs its permit.
    leaves: bool,
    signs: Arc<Signs>,
}

#[derive(Debug, Default)]
struct Signs {
    leave: Notify,
    finish: Notify,
}

/// A permit that a connection holds until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    number: u64,
    signs: Arc<Signs>,
}

impl Permits {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            holders: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Takes a permit. If none is free, another connection is sent away first. Nothing for a peer that
    /// has as many as it may, none of which can be sent away: whoever comes behind it must not wait.
    pub(super) async fn enter(self: &Arc<Self>, peer: Peer) -> Option<Permit> {
        loop {
            {
                let mut holders = lock(&self.holders);
                let is_full = peer != Peer::Here && holders.of(peer) >= self.limits.of_peer;
                if is_full && !holders.send_one_away(self.limits, Some(peer)) {
                    return None;
                }
                if holders.all.len() < self.limits.all {
                    let (number, signs) = holders.add(peer);
                    return Some(Permit {
                        permits: Arc::clone(self),
                        number,
                        signs,
                    });
                }
                holders.send_one_away(self.limits, None);
            }
            // Whether somebody has gone or not, it is looked at again.
            let _ = timeout(AGAIN, self.freed.notified()).await;
        }
    }
}

impl Holders {
    fn add(&mut self, peer: Peer) -> (u64, Arc<Signs>) {
        let (number, signs) = (self.next, Arc::<Signs>::default());
        self.next += 1;
        let holder = Holder {
            peer,
            since: Instant::now(),
            works: false,
            stays: false,
            deaf: false,
            known: false,
            leaves: false,
            signs: Arc::clone(&signs),
        };
        self.all.insert(number, holder);
        (number, signs)
    }

    /// How many this peer has.
    fn of(&self, peer: Peer) -> usize {
        let stay = |one: &&Holder| one.peer == peer && !one.leaves;
        self.all.values().filter(stay).count()
    }

    /// Tells one of this peer, or of whomever, to make room; false if there is none.
    fn send_one_away(&mut self, limits: Limits, of: Option<Peer>) -> bool {
        let mut counts = BTreeMap::<Peer, usize>::new();
        for one in self.all.values().filter(|one| !one.leaves) {
            *counts.entry(one.peer).or_default() += 1;
        }
        let known = self.all.values().filter(|one| one.known && !one.leaves);
        let are_kept = known.count() <= limits.kept;
        let may_go = |one: &Holder| {
            let is_due = !one.leaves && one.since.elapsed() >= MANNERS;
            let is_kept = (one.stays || one.known && are_kept) && !one.deaf;
            is_due && !is_kept && of.is_none_or(|peer| peer == one.peer)
        };
        let candidates = self.all.iter_mut().filter(|(_, one)| may_go(one));
        let first = candidates.min_by_key(|(number, one)| {
            let most = Reverse(counts.get(&one.peer).copied());
            (one.known, most, one.is_busy(), **number)
        });
        let Some((_, one)) = first else {
            return false;
        };
        one.leaves = true;
        match one.is_busy() {
            true => one.signs.finish.notify_one(),
            false => one.signs.leave.notify_one(),
        }
        true
    }
}

impl Holder {
    /// A request counts only while its client reads what it is sent.
    const fn is_busy(&self) -> bool {
        self.works && !self.deaf
    }
}

impl Permit {
    /// A request is under way.
    pub(super) fn work(&self) {
        self.note(|holder| holder.works = true);
    }

    /// It has its answer.
    pub(super) fn wait(&self) {
        self.note(|holder| holder.works = false);
    }

    /// Notes whether this is a page, of which there are only so many.
    pub(super) fn stays(&self, stays: bool) {
        self.note(|holder| holder.stays = stays);
    }

    /// The client has shown who it is.
    pub(super) fn is_known(&self) {
        self.note(|holder| holder.known = true);
    }

    /// Notes whether the client has stopped reading.
    pub(super) fn is_deaf(&self, deaf: bool) {
        self.note(|holder| {
            holder.deaf = deaf;
            if deaf && holder.leaves {
                holder.signs.leave.notify_one();
            }
        });
    }

    fn note(&self, change: impl FnOnce(&mut Holder)) {
        if let Some(holder) = lock(&self.permits.holders).all.get_mut(&self.number) {
            change(holder);
        }
    }

    /// Returns when somebody else needs the permit at once.
    pub(super) async fn wanted(&self) {
        self.signs.leave.notified().await;
    }

    /// Returns when somebody else needs the permit after the answer that is under way.
    pub(super) async fn wanted_next(&self) {
        self.signs.finish.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.permits.holders).all.remove(&self.number);
        self.permits.freed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Permit {
    /// A permit of nobody else's.
    pub(super) async fn alone() -> Arc<Self> {
        let limits = Limits {
            all: 1,
            of_peer: 1,
            kept: 0,
        };
        Arc::new(Permits::new(limits).enter(Peer::Here).await.unwrap())
    }
}

#[cfg(test)]
mod tests;
