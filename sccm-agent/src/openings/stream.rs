//! One direction of a connection, put together from its segments.
//!
//! Bytes count from 0, whatever number the first had. The first copy of a byte counts; a segment that
//! says otherwise is ignored as a whole.

use sccm_common::rpc::Refusal;
use std::collections::BTreeMap;

/// Bytes that may wait for others before them, and those in how many pieces.
const MOST_WAITING: u64 = 64 * 1024;
const MOST_PIECES: usize = 4096;

/// Bytes that a piece takes beside its own, about.
const PIECE: usize = 96;

/// Bytes that were read and are kept, to tell whether a repetition is one.
const KEPT: usize = 32 * 1024;

/// How old an acknowledgement may be (RFC 5961, 5.2: the largest window that was ever there).
const OLDEST_ACKNOWLEDGEMENT: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Stream {
    /// The number of byte 0.
    first: u32,
    /// Which byte the buffer begins with.
    begins: u64,
    /// Bytes that follow each other without a hole.
    buffer: Vec<u8>,
    /// How many of them were read.
    read: usize,
    /// Those that wait, by the place of their first; no two overlap.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// The receiver has all before.
    acknowledged: u64,
    /// The receiver has room for all before; `None`: it has not said so.
    edge: Option<u64>,
    /// Behind the last byte, if the sender has said so.
    end: Option<u64>,
}

impl Stream {
    /// One whose next byte has this number.
    pub(super) fn new(first: u32) -> Self {
        Self {
            first,
            begins: 0,
            buffer: Vec::new(),
            read: 0,
            waiting: BTreeMap::new(),
            acknowledged: 0,
            edge: None,
            end: None,
        }
    }

    /// The byte that comes next.
    pub(super) fn next(&self) -> u64 {
        self.begins + self.buffer.len() as u64
    }

    /// Which byte this number means: the nearest to the next. `None`: one before the first.
    pub(super) fn place(&self, number: u32) -> Option<u64> {
        let next = self.next();
        let distance = number.wrapping_sub(self.first.wrapping_add(next as u32)) as i32;
        next.checked_add_signed(distance.into())
    }

    /// Behind all that the sender has sent, as far as it was seen.
    fn sent(&self) -> u64 {
        let waiting = self.waiting.last_key_value();
        let waiting = waiting.map_or(0, |(place, bytes)| place + bytes.len() as u64);
        // The end of a stream has a number, too.
        let end = self.end.map_or(0, |end| end + 1);
        self.next().max(waiting).max(end)
    }

    /// Bytes of memory, about, and rather more.
    pub(super) fn held(&self) -> usize {
        let waiting = self.waiting.last_key_value();
        let waiting = waiting.map_or(0, |(place, bytes)| {
            (place - self.next()) as usize + bytes.len()
        });
        self.buffer.capacity() + waiting + self.waiting.len() * PIECE
    }

    /// Whether bytes may be at this place.
    pub(super) fn has_room(&self, place: u64, count: usize) -> bool {
        let after = place + count as u64;
        // One more: the probe of a window that is closed.
        self.edge.is_none_or(|edge| after <= edge + 1)
            && after <= self.next() + MOST_WAITING
            && self.end.is_none_or(|end| after <= end)
    }

    /// The receiver waits for the byte of this number, and has room for `window` from there on.
    ///
    /// # Errors
    /// It cannot wait for that byte; or it has bytes that were not seen.
    pub(super) fn acknowledge(&mut self, number: u32, window: u64) -> Result<(), Refusal> {
        let place = self.place(number).ok_or(Refusal::OutOfWindow)?;
        if place + OLDEST_ACKNOWLEDGEMENT < self.acknowledged {
            return Err(Refusal::OutOfWindow);
        }
        if place > self.sent() {
            let edge = self.edge.unwrap_or(self.next() + MOST_WAITING);
            return Err(match place <= edge + 1 {
                true => Refusal::Gap,
                false => Refusal::OutOfWindow,
            });
        }
        // Behind the last byte there is only the end.
        let has_all = self.end == Some(self.next());
        if place > self.next() + u64::from(has_all) {
            return Err(Refusal::Gap);
        }
        self.acknowledged = self.acknowledged.max(place);
        self.edge = Some(self.edge.unwrap_or(0).max(place + window));
        Ok(())
    }

    /// The sender says that nothing follows.
    pub(super) fn end(&mut self, place: u64) {
        self.end = self.end.or(Some(place));
    }

    /// Takes bytes that have room.
    ///
    /// # Errors
    /// They contradict those that are there, or too many wait: the stream goes on without them.
    pub(super) fn add(&mut self, place: u64, bytes: &[u8]) -> Result<(), Refusal> {
        // What proves that the other end lives: a byte that was acknowledged long ago, of any content.
        let is_proof = bytes.len() == 1 && place + 1 == self.next();
        if bytes.is_empty() || is_proof {
            return Ok(());
        }
        if self.contradicts(place, bytes) {
            return Err(Refusal::RetransmissionDiffers);
        }
        let skip = usize::try_from(self.next().saturating_sub(place)).unwrap_or(usize::MAX);
        let mut rest = bytes.get(skip..).unwrap_or(&[]);
        let mut at = place + skip as u64;
        while !rest.is_empty() {
            // As far as the next piece that waits, and then on behind it.
            let following = self.waiting.range(..=at).next_back();
            let behind = following.map_or(0, |(place, bytes)| place + bytes.len() as u64);
            let free = match self.waiting.range(at..).next() {
                _ if behind > at => 0,
                Some((next, _)) => next - at,
                None => u64::MAX,
            };
            let (taken, left) = match free {
                0 => {
                    let known = behind.max(at + 1) - at;
                    let known = usize::try_from(known).unwrap_or(usize::MAX);
                    (&[][..], rest.get(known..).unwrap_or(&[]))
                }
                free => {
                    let free = usize::try_from(free).unwrap_or(usize::MAX);
                    rest.split_at(free.min(rest.len()))
                }
            };
            let from = at;
            at += (rest.len() - left.len()) as u64;
            rest = left;
            if !taken.is_empty() {
                self.waiting.insert(from, taken.to_vec());
            }
        }
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() != self.begins + self.buffer.len() as u64 {
                break;
            }
            self.buffer.extend(first.remove());
        }
        match self.waiting.len() > MOST_PIECES {
            true => Err(Refusal::Gap),
            false => Ok(()),
        }
    }

    /// Whether a byte that is known is another here.
    fn contradicts(&self, place: u64, bytes: &[u8]) -> bool {
        let differs = |known_at: u64, known: &[u8]| {
            let from = place.max(known_at);
            let until = (place + bytes.len() as u64).min(known_at + known.len() as u64);
            from < until && part(bytes, place, from, until) != part(known, known_at, from, until)
        };
        differs(self.begins, &self.buffer)
            || self.waiting.iter().any(|(at, known)| differs(*at, known))
    }

    /// The bytes that were not read yet.
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.read..).unwrap_or(&[])
    }

    /// The first `count` of them were read.
    pub(super) fn advance(&mut self, count: usize) {
        self.read = (self.read + count).min(self.buffer.len());
        if self.read > 2 * KEPT {
            let forgotten = self.read - KEPT;
            self.buffer.drain(..forgotten);
            self.begins += forgotten as u64;
            self.read = KEPT;
        }
    }
}

/// Of bytes that begin at `at`, those from one place to another.
fn part(bytes: &[u8], at: u64, from: u64, until: u64) -> Option<&[u8]> {
    let (begin, end) = (from.checked_sub(at)?, until.checked_sub(at)?);
    bytes.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
}
