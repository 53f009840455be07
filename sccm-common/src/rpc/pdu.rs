//! One protocol data unit of a connection (DCE 1.1: RPC, 12.6; MS-RPCE, 2.2.2).

use super::Refusal;
use super::bytes::{Bytes, Order};

/// Bytes of the header that all of them share.
pub const HEADER: usize = 16;

/// Bytes of the security trailer in front of the credentials (MS-RPCE, 2.2.2.11).
const TRAILER: usize = 8;

/// The level at which the stub is encrypted (`RPC_C_AUTHN_LEVEL_PKT_PRIVACY`).
const PRIVACY: u8 = 6;

/// Where the stub of a request or a response begins.
const STUB: usize = 24;

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A question.
    Request,
    /// Its answer.
    Response,
    /// The answer that it failed.
    Fault,
    /// The first proposal of contexts.
    Bind,
    /// What became of it.
    BindAck,
    /// It was refused.
    BindNak,
    /// A further proposal.
    AlterContext,
    /// What became of it.
    AlterContextResponse,
    /// Of no interest: authentication, cancelling, shutting down.
    Other,
}

/// A unit that was read.
#[derive(Debug, Clone, Copy)]
pub struct Pdu<'a> {
    /// What it is.
    pub kind: Kind,
    /// The first fragment of its call.
    pub is_first: bool,
    /// The last fragment.
    pub is_last: bool,
    /// The order of its integers.
    pub order: Order,
    /// Which call it belongs to.
    pub call: u32,
    /// Of a request and a response: the presentation context.
    pub context: u16,
    /// Of a request: which operation.
    pub operation: u16,
    /// Whether the stub is encrypted.
    pub is_private: bool,
    /// What follows the header that all units share, without the security trailer.
    pub body: &'a [u8],
    /// Of a response: the parameters, without padding.
    pub stub: &'a [u8],
}

/// How many bytes the unit has that begins here; `None` while too few are there to tell.
///
/// # Errors
/// No unit begins here.
pub fn length(start: &[u8]) -> Result<Option<usize>, Refusal> {
    // Each byte is judged as soon as it is there, so nobody waits for the rest of what is no unit.
    if start.first().is_some_and(|&version| version != 5)
        || start.get(1).is_some_and(|&minor| minor > 1)
    {
        return Err(Refusal::MalformedPdu);
    }
    let Some(order) = start.get(4) else {
        return Ok(None);
    };
    let order = order_of(*order)?;
    let Some(field) = start.get(8..10) else {
        return Ok(None);
    };
    match Bytes::new(field, order).u16().map(usize::from) {
        Some(length) if length >= HEADER => Ok(Some(length)),
        _ => Err(Refusal::MalformedPdu),
    }
}

fn order_of(representation: u8) -> Result<Order, Refusal> {
    match representation >> 4 {
        0 => Ok(Order::Big),
        1 => Ok(Order::Little),
        _ => Err(Refusal::MalformedPdu),
    }
}

impl<'a> Pdu<'a> {
    /// Reads a whole unit, of the [`length`] that it says.
    ///
    /// # Errors
    /// Its lengths contradict each other.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        Self::parts(bytes).ok_or(Refusal::MalformedPdu)
    }

    fn parts(bytes: &'a [u8]) -> Option<Self> {
        let order = order_of(*bytes.get(4)?).ok()?;
        let mut header = Bytes::new(bytes, order);
        header.skip(2)?;
        let (kind, flags) = (header.u8()?, header.u8()?);
        header.skip(4)?;
        let length = usize::from(header.u16()?);
        let credentials = usize::from(header.u16()?);
        let call = header.u32()?;
        if length != bytes.len() {
            return None;
        }
        let kind = match kind {
            0 => Kind::Request,
            2 => Kind::Response,
            3 => Kind::Fault,
            11 => Kind::Bind,
            12 => Kind::BindAck,
            13 => Kind::BindNak,
            14 => Kind::AlterContext,
            15 => Kind::AlterContextResponse,
            _ => Kind::Other,
        };
        let (end, padding, level) = match credentials {
            0 => (length, 0, 0),
            some => {
                let end = length.checked_sub(some + TRAILER)?;
                let trailer = bytes.get(end..)?;
                (end, usize::from(*trailer.get(2)?), *trailer.get(1)?)
            }
        };
        let body = bytes.get(HEADER..end)?;
        let (mut context, mut operation, mut stub): (u16, u16, &[u8]) = (0, 0, &[]);
        if matches!(kind, Kind::Request | Kind::Response) {
            let mut rest = Bytes::new(body, order);
            rest.skip(4)?;
            context = rest.u16()?;
            let next = rest.u16()?;
            match kind {
                // What follows the number of the operation, an object's UUID perhaps, is not read.
                Kind::Request => operation = next,
                _ => stub = bytes.get(STUB..end.checked_sub(padding)?)?,
            }
        }
        Some(Self {
            kind,
            is_first: flags & 1 != 0,
            is_last: flags & 2 != 0,
            order,
            call,
            context,
            operation,
            is_private: level == PRIVACY,
            body,
            stub,
        })
    }
}
