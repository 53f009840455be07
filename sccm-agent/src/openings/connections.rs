//! All connections to mappers that are followed at once.

use super::Teller;
use super::connection::Connection;
use super::segment::Segment;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Connections that are followed. Of more, the half that was quiet for longer is forgotten.
const MOST: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Connections {
    /// By client and server, with the frame that was seen last.
    all: HashMap<(SocketAddr, SocketAddr), (u64, Connection)>,
}

impl Connections {
    pub(super) fn see(&mut self, frame: u64, segment: &Segment<'_>, teller: &mut Teller<'_>) {
        let ends = (segment.client, segment.server);
        if let Some((seen, connection)) = self.all.get_mut(&ends)
            && !connection.is_replaced_by(segment)
        {
            *seen = frame;
            connection.see(segment, teller);
            return;
        }
        if self.all.len() >= MOST {
            self.forget();
        }
        if let Some(mut connection) = Connection::begin(segment, teller) {
            connection.see(segment, teller);
            self.all.insert(ends, (frame, connection));
        }
    }

    fn forget(&mut self) {
        let mut seen: Vec<u64> = self.all.values().map(|(seen, _)| *seen).collect();
        let (_, middle, _) = seen.select_nth_unstable(MOST / 2);
        let middle = *middle;
        self.all.retain(|_, (seen, _)| *seen > middle);
    }
}
