//! All connections to mappers that are followed at once.

use super::Teller;
use super::connection::Connection;
use super::segment::Segment;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Connections that are followed, and bytes that are kept of all of them. Of more, the half that was
/// quiet for longer is forgotten.
const MOST: usize = 8192;
pub(super) const MOST_HELD: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Connections {
    /// By client and server, with the frame that was seen last.
    all: HashMap<(SocketAddr, SocketAddr), (u64, Connection)>,
    held: usize,
}

impl Connections {
    pub(super) fn see(&mut self, frame: u64, segment: &Segment<'_>, teller: &mut Teller<'_>) {
        let ends = (segment.client, segment.server);
        if let Some((seen, connection)) = self.all.get_mut(&ends)
            && !connection.is_replaced_by(segment)
        {
            *seen = frame;
            let before = connection.held();
            connection.see(segment, teller);
            self.held = self.held + connection.held() - before;
        } else if let Some(mut connection) = Connection::begin(segment, teller) {
            connection.see(segment, teller);
            self.held += connection.held();
            if let Some((_, before)) = self.all.insert(ends, (frame, connection)) {
                self.held -= before.held();
            }
        }
        while self.all.len() > MOST || self.held > MOST_HELD {
            self.forget();
        }
    }

    /// Bytes that are kept of all connections.
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Forgets half of them, at least one.
    fn forget(&mut self) {
        let mut seen: Vec<u64> = self.all.values().map(|(seen, _)| *seen).collect();
        let half = seen.len() / 2;
        let (_, middle, _) = seen.select_nth_unstable(half);
        let middle = *middle;
        self.all.retain(|_, (seen, _)| *seen > middle);
        self.held = self.all.values().map(|(_, one)| one.held()).sum();
    }
}
