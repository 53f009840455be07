//! Which ports an answer may open.

use super::{MAPPER, Refusal};

/// Never opened, whatever range is configured: the mapper itself, NetBIOS sessions, SMB, RPC over
/// HTTP, SQL Server, remote desktops, WinRM.
pub(crate) const NEVER: &[u16] = &[0, MAPPER, 139, 445, 593, 1433, 3389, 5985, 5986];

/// The bounds for ports of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The dynamic ranges, both ends included.
    pub ranges: &'a [(u16, u16)],
    /// Ports that the policy knows as services of their own, likewise.
    pub known: &'a [(u16, u16)],
}

impl Limits<'_> {
    /// Whether the port may be opened.
    ///
    /// # Errors
    /// [`Refusal::ForbiddenPort`] or [`Refusal::OutsideRange`].
    pub fn judge(&self, port: u16) -> Result<(), Refusal> {
        let lies_in = |ranges: &[(u16, u16)]| {
            let mut ranges = ranges.iter();
            ranges.any(|&(low, high)| (low..=high).contains(&port))
        };
        if NEVER.contains(&port) || lies_in(self.known) {
            return Err(Refusal::ForbiddenPort);
        }
        match lies_in(self.ranges) {
            true => Ok(()),
            false => Err(Refusal::OutsideRange),
        }
    }
}
