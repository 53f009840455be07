//! String bindings: where an object exporter listens (MS-DCOM, 2.2.19.3).

use super::super::bind::Syntax;
use super::super::bytes::Bytes;
use super::super::{Refusal, interface};
use super::Named;

/// The protocol of a binding: TCP (MS-DCOM, 2.2.19.3.1).
const TCP: u16 = 7;

/// Bytes of the identifier behind the bindings.
const IPID: usize = 16;

/// The answer of ResolveOxid, or of ResolveOxid2, which says also the version. Nothing may be left
/// over.
pub(super) fn read_resolved(
    mut from: Bytes<'_>,
    syntax: Syntax,
    says_version: bool,
) -> Result<Named, Refusal> {
    let pointer = word(&mut from, syntax).ok_or(Refusal::MalformedAnswer)?;
    let port = match pointer {
        0 => None,
        _ => Some(read(&mut from, syntax)?),
    };
    from.align(4).ok_or(Refusal::MalformedAnswer)?;
    // An identifier, the hint for authentication, perhaps the version; then whether it worked.
    let others = IPID + if says_version { 8 } else { 4 };
    from.skip(others).ok_or(Refusal::MalformedAnswer)?;
    let status = from.u32().ok_or(Refusal::MalformedAnswer)?;
    if from.left() != 0 {
        return Err(Refusal::MalformedAnswer);
    }
    match (status, port) {
        (0, Some(port)) => Ok(Named::one(port?, interface::RESOLVER)),
        (0, None) => Err(Refusal::MalformedAnswer),
        _ => Err(Refusal::CallFailed),
    }
}

/// The last word.
pub(super) fn last(mut from: Bytes<'_>) -> Option<u32> {
    from.skip(from.left().checked_sub(4)?)?;
    from.u32()
}

fn word(from: &mut Bytes<'_>, syntax: Syntax) -> Option<u64> {
    match syntax {
        Syntax::Ndr32 => from.u32().map(u64::from),
        Syntax::Ndr64 => from.u64(),
    }
}

/// Reads a DUALSTRINGARRAY, and moves behind it. Its bindings name one port, or are refused.
///
/// # Errors
/// Where it ends cannot be told.
pub(super) fn read(from: &mut Bytes<'_>, syntax: Syntax) -> Result<Result<u16, Refusal>, Refusal> {
    array(from, syntax).ok_or(Refusal::MalformedAnswer)
}

fn array(from: &mut Bytes<'_>, syntax: Syntax) -> Option<Result<u16, Refusal>> {
    let most = word(from, syntax)?;
    let entries = from.u16()?;
    let security = usize::from(from.u16()?);
    let words = from.take(2 * usize::from(entries))?;
    if most != u64::from(entries) {
        return None;
    }
    // Letters are numbers here: they have the order of all others.
    let bindings = words.get(..2 * security)?;
    Some(port(Bytes::new(bindings, from.order())))
}

/// The one port of all TCP bindings.
fn port(mut from: Bytes<'_>) -> Result<u16, Refusal> {
    let mut found = None;
    loop {
        // A null in place of the next binding ends them.
        let protocol = from.u16().ok_or(Refusal::MalformedAnswer)?;
        if protocol == 0 {
            break;
        }
        let port = endpoint(&mut from).ok_or(Refusal::MalformedAnswer)?;
        let Some(port) = port.filter(|_| protocol == TCP) else {
            continue;
        };
        if found.is_some_and(|known| known != port) {
            return Err(Refusal::BindingsDisagree);
        }
        found = Some(port);
    }
    found.ok_or(Refusal::NoTcp)
}

/// The port in the brackets at the end of `host[port]`; `Some(None)`: the text has none.
fn endpoint(from: &mut Bytes<'_>) -> Option<Option<u16>> {
    let mut port: Option<u32> = None;
    let mut is_closed = false;
    loop {
        let letter = from.u16()?;
        if letter == 0 {
            break;
        }
        let digit = letter.wrapping_sub(u16::from(b'0'));
        port = match port {
            _ if letter == u16::from(b'[') => Some(0),
            Some(port) if !is_closed && digit < 10 && port <= 0xffff => {
                Some(10 * port + u32::from(digit))
            }
            Some(port) if !is_closed && letter == u16::from(b']') => Some(port),
            _ => None,
        };
        is_closed = letter == u16::from(b']');
    }
    let port = port.filter(|_| is_closed);
    Some(port.and_then(|port| u16::try_from(port).ok()))
}
