//! The answer of `ept_map`: protocol towers (DCE 1.1: RPC, Appendices L and O).

use super::super::bind::Syntax;
use super::super::bytes::{Bytes, Order};
use super::super::{Refusal, Uuid};
use super::{Named, Port};

/// Towers that are read of one answer. Clients ask for four.
const MOST_TOWERS: u64 = 32;

/// The mapper has no such endpoint (`ept_s_not_registered`).
const NOT_REGISTERED: u32 = 0x16c9_a0d6;

/// Bytes of the handle with which a client would go on asking.
const HANDLE: usize = 20;

/// Identifiers of floors (DCE 1.1: RPC, Appendix I).
mod floor {
    pub(super) const TCP: u8 = 0x07;
    pub(super) const IP: u8 = 0x09;
    pub(super) const CONNECTION_ORIENTED: u8 = 0x0b;
    pub(super) const UUID: u8 = 0x0d;
}

/// Reads the whole answer: nothing may be left over, so that what was laid out otherwise is not
/// taken for one.
pub(super) fn read(mut from: Bytes<'_>, syntax: Syntax) -> Result<Named, Refusal> {
    let named = towers(&mut from, syntax)?;
    from.align(4).ok_or(Refusal::MalformedAnswer)?;
    let status = from.u32().ok_or(Refusal::MalformedAnswer)?;
    if from.left() != 0 {
        return Err(Refusal::MalformedAnswer);
    }
    match (status, named) {
        (0, Some(named)) if named.count > 0 => Ok(named),
        (0, Some(_)) => Err(Refusal::NoTcp),
        (NOT_REGISTERED, _) | (0, None) => Err(Refusal::NotRegistered),
        _ => Err(Refusal::CallFailed),
    }
}

/// `None`: there is no tower.
fn towers(from: &mut Bytes<'_>, syntax: Syntax) -> Result<Option<Named>, Refusal> {
    let (present, count) = head(from, syntax).ok_or(Refusal::MalformedAnswer)?;
    if count == 0 {
        return Ok(None);
    }
    let mut named = Named::NONE;
    for place in 0..count {
        if present >> place & 1 == 0 {
            continue;
        }
        let tower = tower(from, syntax).ok_or(Refusal::MalformedAnswer)?;
        if let Some(port) = port(tower).ok_or(Refusal::MalformedTower)? {
            named.add(port);
        }
    }
    Ok(Some(named))
}

/// What is in front of the towers: how many there are, and a bit for each whose pointer is not null.
fn head(from: &mut Bytes<'_>, syntax: Syntax) -> Option<(u64, u64)> {
    from.skip(HANDLE)?;
    let towers = u64::from(from.u32()?);
    let most = word(from, syntax)?;
    let offset = word(from, syntax)?;
    let count = word(from, syntax)?;
    if offset != 0 || count != towers || count > most || count > MOST_TOWERS {
        return None;
    }
    let mut present = 0;
    for place in 0..count {
        if word(from, syntax)? != 0 {
            present |= 1 << place;
        }
    }
    Some((present, count))
}

/// A size or a pointer.
fn word(from: &mut Bytes<'_>, syntax: Syntax) -> Option<u64> {
    match syntax {
        Syntax::Ndr32 => {
            from.align(4)?;
            from.u32().map(u64::from)
        }
        Syntax::Ndr64 => {
            from.align(8)?;
            from.u64()
        }
    }
}

fn tower<'a>(from: &mut Bytes<'a>, syntax: Syntax) -> Option<&'a [u8]> {
    let most = word(from, syntax)?;
    let length = from.u32()?;
    if most != u64::from(length) {
        return None;
    }
    from.take(usize::try_from(length).ok()?)
}

/// The port of a tower, which is little endian whatever the answer is. `Some(None)`: it is of
/// another protocol than TCP.
fn port(tower: &[u8]) -> Option<Option<Port>> {
    let mut from = Bytes::new(tower, Order::Little);
    let floors = from.u16()?;
    let (interface, _) = next_floor(&mut from)?;
    let (syntax, _) = next_floor(&mut from)?;
    let (protocol, _) = next_floor(&mut from)?;
    let (transport, number) = next_floor(&mut from)?;
    if transport.first() != Some(&floor::TCP) {
        return Some(None);
    }
    let (network, host) = next_floor(&mut from)?;
    let is_whole = floors == 5 && from.left() == 0;
    let is_of_tcp = transport.len() == 1
        && protocol == [floor::CONNECTION_ORIENTED]
        && network == [floor::IP]
        && uuid(syntax).is_some();
    let (number, host) = (<[u8; 2]>::try_from(number), <[u8; 4]>::try_from(host));
    let port = Port {
        number: u16::from_be_bytes(number.ok()?),
        interface: uuid(interface)?,
        host: Some(host.ok()?).filter(|host| *host != [0; 4]),
    };
    (is_whole && is_of_tcp).then_some(Some(port))
}

/// Both halves of a floor.
fn next_floor<'a>(from: &mut Bytes<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let length = from.u16()?;
    let left = from.take(usize::from(length))?;
    let length = from.u16()?;
    Some((left, from.take(usize::from(length))?))
}

/// The UUID of a floor that names an interface or a syntax: its identifier, the UUID, a version.
fn uuid(floor: &[u8]) -> Option<Uuid> {
    let (identifier, rest) = floor.split_first()?;
    let name = rest.first_chunk()?;
    (*identifier == floor::UUID && floor.len() == 19).then(|| Uuid::little_endian(name))
}
