//! The units of RPC in a segment (DCE 1.1: RPC, 12.6.3; MS-RPCE, 2.2.2).

/// Units of a segment that are read, and bytes.
const UNITS: usize = 3;
const BYTES: usize = 2_048;

/// Bytes of the header of a call and of an answer.
const HEADER: usize = 24;

/// The beginning of a unit.
pub struct Unit<'a> {
    pub kind: u8,
    pub flags: u8,
    pub call: u32,
    /// From its first byte to the end of what is read of its segment: a header at least.
    pub bytes: &'a [u8],
    /// Where it begins in its segment.
    pub at: usize,
    /// By its own account.
    size: usize,
    is_big: bool,
}

/// The first units of a segment. The last one may go on in the next segment.
pub fn units(segment: &[u8]) -> Vec<Unit<'_>> {
    let segment = &segment[..segment.len().min(BYTES)];
    let mut units = Vec::new();
    let mut at = 0;
    while units.len() < UNITS {
        let bytes = segment.get(at..).unwrap_or_default();
        if bytes.len() < HEADER || bytes[0] != 5 || bytes[1] > 1 || bytes[4] >> 4 > 1 {
            break;
        }
        let mut unit = Unit {
            kind: bytes[2],
            flags: bytes[3],
            call: 0,
            bytes,
            at,
            size: 0,
            is_big: bytes[4] >> 4 == 0,
        };
        unit.call = unit.long(bytes, 12);
        unit.size = usize::from(unit.word(bytes, 8));
        if unit.size < 16 {
            break;
        }
        at += unit.size;
        units.push(unit);
    }
    units
}

impl<'a> Unit<'a> {
    /// The parameters of an answer that is whole, little endian and not encrypted.
    pub fn stub(&self) -> Option<&'a [u8]> {
        let whole = self.bytes.get(..self.size)?;
        let credentials = usize::from(self.word(self.bytes, 10));
        let mut end = self.size;
        let mut is_private = false;
        if credentials != 0 {
            // Type, level, padding, a reserved byte, a context.
            let trailer = self.size.checked_sub(credentials + 8)?;
            is_private = whole[trailer + 1] == 6;
            end = trailer.checked_sub(whole[trailer + 2].into())?;
        }
        let is_read = !self.is_big && self.flags & 3 == 3 && !is_private;
        whole
            .get(HEADER..end)
            .filter(|stub| is_read && !stub.is_empty())
    }

    /// An integer of two bytes.
    pub fn word(&self, bytes: &[u8], at: usize) -> u16 {
        let bytes = [bytes[at], bytes[at + 1]];
        match self.is_big {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        }
    }

    /// An integer of four bytes.
    pub fn long(&self, bytes: &[u8], at: usize) -> u32 {
        let (first, second) = (self.word(bytes, at), self.word(bytes, at + 2));
        match self.is_big {
            true => u32::from(first) << 16 | u32::from(second),
            false => u32::from(second) << 16 | u32::from(first),
        }
    }

    /// Three integers and eight bytes.
    pub fn uuid(&self, bytes: &[u8]) -> u128 {
        let first = u128::from(self.long(bytes, 0)) << 32
            | u128::from(self.word(bytes, 4)) << 16
            | u128::from(self.word(bytes, 6));
        let rest = bytes[8..16].iter();
        rest.fold(first, |number, byte| number << 8 | u128::from(*byte))
    }
}
