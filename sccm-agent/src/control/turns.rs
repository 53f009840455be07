//! Who is served when: root before the group, the group before others.
//!
//! Each user has so many seats, so that nobody's commands fill them all. One command at a time is
//! carried out in each row, and there is a row for each kind, so that no flood of other commands is
//! between the operator and `confirm`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who asks; who comes first here goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Root,
    Member,
    Other,
}

impl Rank {
    /// How many commands of one user, and of all users of the rank, are looked at at once.
    const fn seats(self) -> (usize, usize) {
        match self {
            Self::Root => (32, 32),
            Self::Member => (4, 32),
            Self::Other => (1, 4),
        }
    }
}

/// How many commands each user gives now.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<BTreeMap<(Rank, u32), usize>>);

/// A command's right to be looked at; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    taker: (Rank, u32),
}

impl Seats {
    /// A seat for a command of this user; nothing if there are too many already.
    pub(super) fn take(self: &Arc<Self>, rank: Rank, user: u32) -> Option<Seat> {
        let mut taken = lock(&self.0);
        let (of_user, of_rank) = rank.seats();
        let all: usize = taken
            .range((rank, 0)..=(rank, u32::MAX))
            .map(|(_, n)| n)
            .sum();
        let own = taken.get(&(rank, user)).copied().unwrap_or(0);
        if own >= of_user || all >= of_rank {
            return None;
        }
        taken.insert((rank, user), own + 1);
        drop(taken);
        Some(Seat {
            seats: Arc::clone(self),
            taker: (rank, user),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.0);
        if let Some(own) = taken.get_mut(&self.taker) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.taker);
            }
        }
    }
}

/// A row in which one at a time has its turn.
#[derive(Debug, Default)]
pub(super) struct Row(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_taken: bool,
    next: u64,
    /// By rank, and then in the order of their coming.
    all: BTreeMap<(Rank, u64), oneshot::Sender<Turn>>,
}

/// It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Row>);

impl Row {
    /// Waits for a turn: for whoever has it, and for those of a higher rank.
    pub(super) async fn turn(self: &Arc<Self>, rank: Rank) -> Turn {
        loop {
            let told = {
                let mut waiting = lock(&self.0);
                if !waiting.is_taken {
                    waiting.is_taken = true;
                    return Turn(Arc::clone(self));
                }
                let (tell, told) = oneshot::channel();
                let number = waiting.next;
                waiting.next += 1;
                waiting.all.insert((rank, number), tell);
                told
            };
            // Never an error: whoever has the turn hands it on.
            if let Ok(turn) = told.await {
                return turn;
            }
        }
    }

    fn first_waiting(&self) -> Option<oneshot::Sender<Turn>> {
        let mut waiting = lock(&self.0);
        let first = waiting.all.pop_first();
        waiting.is_taken = first.is_some();
        first.map(|(_, tell)| tell)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(tell) = self.0.first_waiting() {
            // Should nobody wait there any more, the turn that was sent is dropped, and handed on.
            let _ = tell.send(Self(Arc::clone(&self.0)));
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

    #[test]
    fn nobodys_commands_take_all_seats() {
        let seats = Arc::<Seats>::default();
        let of = |rank, user| std::iter::from_fn(|| seats.take(rank, user)).collect::<Vec<_>>();
        let mut taken = of(Rank::Member, 1000);
        assert_eq!(taken.len(), 4);
        for user in 1001..1100 {
            taken.extend(of(Rank::Member, user));
        }
        assert_eq!(taken.len(), 32);
        assert_eq!(of(Rank::Root, 0).len(), 32, "theirs alone");
        assert_eq!(of(Rank::Other, 1000).len(), 1);
        drop(taken);
        assert!(lock(&seats.0).is_empty());
    }

    #[tokio::test]
    async fn root_goes_before_the_group_and_the_group_before_others() {
        let row = Arc::<Row>::default();
        let first = row.turn(Rank::Other).await;
        let order = [Rank::Other, Rank::Member, Rank::Root, Rank::Member];
        let mut waiting = order.map(|rank| Box::pin(row.turn(rank)));
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let [other, member, root, later] = waiting;
        drop(first);
        let mut turn = root.now_or_never().unwrap();
        for mut next in [member, later, other] {
            assert!(next.as_mut().now_or_never().is_none());
            drop(turn);
            turn = next.now_or_never().unwrap();
        }
    }

    #[tokio::test]
    async fn who_goes_away_holds_nobody_up() {
        let row = Arc::<Row>::default();
        let first = row.turn(Rank::Root).await;
        let mut waiting = Box::pin(row.turn(Rank::Root));
        let mut gone = Box::pin(row.turn(Rank::Root));
        let mut last = Box::pin(row.turn(Rank::Root));
        for one in [&mut waiting, &mut gone, &mut last] {
            assert!(one.now_or_never().is_none());
        }
        drop(gone);
        drop(first);
        // It has been sent its turn, and never looks.
        drop(waiting);
        last.now_or_never().unwrap();
        assert!(row.turn(Rank::Other).now_or_never().is_some());
    }
}
