//! The answer of an activation: where the new object's exporter listens (MS-DCOM, 2.2.22).

use super::super::bind::Syntax;
use super::super::bytes::{Bytes, Order};
use super::super::{Refusal, Uuid, interface};
use super::Named;
use super::bindings;

/// Begins each OBJREF.
const SIGNATURE: [u8; 4] = *b"MEOW";

/// An OBJREF of a custom layout.
const CUSTOM: u32 = 4;

/// IActivationPropertiesOut.
const PROPERTIES_OUT: Uuid = Uuid(0x000001a3_0000_0000_c000_000000000046);

/// ScmReplyInfoData, the property that has the bindings with ports (MS-DCOM, 2.2.22.2.8). Those of
/// PropsOutInfo have none.
const REPLY: Uuid = Uuid(0x000001b6_0000_0000_c000_000000000046);

/// Properties of an answer; there are two.
const MOST_PROPERTIES: u32 = 16;

/// Bytes of the two headers in front of what is serialized by itself (MS-RPCE, 2.2.6).
const HEADERS: usize = 16;

/// The answer of RemoteGetClassObject and RemoteCreateInstance.
pub(super) fn read(stub: &[u8], order: Order) -> Result<Named, Refusal> {
    let status = bindings::last(Bytes::new(stub, order)).ok_or(Refusal::MalformedAnswer)?;
    // The upper bit of an HRESULT says that it failed.
    if status >> 31 != 0 {
        return Err(Refusal::CallFailed);
    }
    let blob = blob(stub).ok_or(Refusal::MalformedAnswer)?;
    let property = property(blob).ok_or(Refusal::MalformedAnswer)?;
    let mut reply = property.ok_or(Refusal::NoTcp)?;
    let port = scm_reply(&mut reply).ok_or(Refusal::MalformedAnswer)?;
    Ok(Named::one(port??, interface::ACTIVATOR))
}

/// The properties of the answer: what its OBJREF contains. Extensions may come before it, so it is
/// searched for, where words begin.
fn blob(stub: &[u8]) -> Option<&[u8]> {
    (0..stub.len()).step_by(4).find_map(|at| {
        let mut from = Bytes::new(stub.get(at..)?, Order::Little);
        if from.array()? != SIGNATURE || from.u32()? != CUSTOM {
            return None;
        }
        if Uuid::read(&mut from)? != PROPERTIES_OUT {
            return None;
        }
        // The class of what is custom, its extensions, and the size with the two words that follow.
        from.skip(16 + 4 + 4)?;
        let size = usize::try_from(from.u32()?).ok()?;
        from.skip(4)?;
        from.take(size)
    })
}

/// The body of the property with the bindings; `Some(None)`: there is none.
fn property(blob: &[u8]) -> Option<Option<Bytes<'_>>> {
    let mut from = serialized(blob)?;
    from.skip(4)?;
    let header = usize::try_from(from.u32()?).ok()?;
    // A reserved word, and the context that is meant.
    from.skip(8)?;
    let count = from.u32()?;
    // The class, and three pointers.
    from.skip(16 + 12)?;
    if count > MOST_PROPERTIES || from.u32()? != count {
        return None;
    }
    let mut names = from;
    from.skip(16 * usize::try_from(count).ok()?)?;
    if from.u32()? != count {
        return None;
    }
    let mut at = header;
    for _ in 0..count {
        let name = Uuid::read(&mut names)?;
        let size = usize::try_from(from.u32()?).ok()?;
        if name == REPLY {
            return Some(Some(serialized(blob.get(at..)?.get(..size)?)?));
        }
        at = at.checked_add(size)?;
    }
    Some(None)
}

/// What follows the headers of something that is serialized by itself, in the order that they say.
fn serialized(bytes: &[u8]) -> Option<Bytes<'_>> {
    let mut header = Bytes::new(bytes, Order::Little);
    let (version, order) = (header.u8()?, header.u8()?);
    let order = match order {
        0x10 => Order::Little,
        0 => Order::Big,
        _ => return None,
    };
    let mut from = Bytes::new(bytes, order);
    from.skip(HEADERS)?;
    (version == 1).then_some(from)
}

fn scm_reply(from: &mut Bytes<'_>) -> Option<Result<Result<u16, Refusal>, Refusal>> {
    // A null, and the pointer to what follows.
    from.skip(4)?;
    if from.u32()? == 0 {
        return Some(Err(Refusal::NoTcp));
    }
    // The exporter's number.
    from.skip(8)?;
    if from.u32()? == 0 {
        return Some(Err(Refusal::NoTcp));
    }
    // An identifier, the hint for authentication, a version.
    from.skip(16 + 4 + 4)?;
    Some(bindings::read(from, Syntax::Ndr32))
}

/// The answer of RemoteActivation. Only answers without extensions are read.
pub(super) fn read_legacy(mut from: Bytes<'_>) -> Result<Named, Refusal> {
    let port = legacy(&mut from).ok_or(Refusal::MalformedAnswer)?;
    Ok(Named::one(port??, interface::LEGACY_ACTIVATION))
}

fn legacy(from: &mut Bytes<'_>) -> Option<Result<Result<u16, Refusal>, Refusal>> {
    from.skip(4)?;
    if from.u32()? != 0 {
        return None;
    }
    // The exporter's number.
    from.skip(8)?;
    if from.u32()? == 0 {
        return Some(Err(Refusal::CallFailed));
    }
    Some(bindings::read(from, Syntax::Ndr32))
}
