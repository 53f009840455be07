//! Which ports an answer may open.

use super::{MAPPER, Refusal};

/// Never opened, whatever range is configured: the mapper itself, NetBIOS sessions, SMB, RPC over
/// HTTP, SQL Server, remote desktops, WinRM.
const NEVER: &[u16] = &[0, MAPPER, 139, 445, 593, 1433, 3389, 5985, 5986];

/// The bounds for ports of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The dynamic ranges, both ends included.
    pub ranges: &'a [(u16, u16)],
    /// Ports that the policy knows as services of their own.
    pub known: &'a [u16],
}

impl Limits<'_> {
    /// Whether the port may be opened.
    ///
    /// # Errors
    /// [`Refusal::ForbiddenPort`] or [`Refusal::OutsideRange`].
    pub fn judge(&self, port: u16) -> Result<(), Refusal> {
        if NEVER.contains(&port) || self.known.contains(&port) {
            return Err(Refusal::ForbiddenPort);
        }
        let mut ranges = self.ranges.iter();
        match ranges.any(|&(low, high)| (low..=high).contains(&port)) {
            true => Ok(()),
            false => Err(Refusal::OutsideRange),
        }
    }
}
