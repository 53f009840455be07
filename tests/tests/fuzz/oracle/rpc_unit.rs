//! The units of RPC in a segment (DCE 1.1: RPC, 12.6.3; MS-RPCE, 2.2.2).

/// Units of a segment that are read, and bytes.
const UNITS: usize = 3;
const BYTES: usize = 2_048;

/// A whole unit of little endian.
pub struct Unit<'a> {
    pub kind: u8,
    pub flags: u8,
    pub call: u32,
    /// All of it but the security trailer.
    pub bytes: &'a [u8],
    pub is_private: bool,
    /// Where it begins in its segment.
    pub at: usize,
}

/// The first whole units of a segment.
pub fn units(segment: &[u8]) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut at = 0;
    while units.len() < UNITS {
        let Some(header) = segment.get(at..at + 16) else {
            break;
        };
        let is_little = header[4] >> 4 == 1;
        let size = usize::from(word(header, 8));
        let end = at + size;
        if header[0] != 5 || header[1] > 1 || !is_little || size < 16 {
            break;
        }
        if end > segment.len().min(BYTES) {
            break;
        }
        let (mut bytes, mut is_private) = (&segment[at..end], false);
        let credentials = usize::from(word(header, 10));
        if credentials != 0 {
            // Type, level, padding, a reserved byte, a context.
            let Some(trailer) = size.checked_sub(credentials + 8) else {
                break;
            };
            is_private = bytes[trailer + 1] == 6;
            let padding = usize::from(bytes[trailer + 2]);
            let Some(left) = trailer.checked_sub(padding) else {
                break;
            };
            bytes = &bytes[..left];
        }
        units.push(Unit {
            kind: header[2],
            flags: header[3],
            call: long(header, 12),
            bytes,
            is_private,
            at,
        });
        at = end;
    }
    units
}

/// An integer of two bytes, little endian.
pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// An integer of four bytes.
pub fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

/// Three integers and eight bytes.
pub fn uuid(bytes: &[u8]) -> u128 {
    let rest = bytes[8..16].iter();
    let first = u128::from(long(bytes, 0)) << 32
        | u128::from(word(bytes, 4)) << 16
        | u128::from(word(bytes, 6));
    rest.fold(first, |number, byte| number << 8 | u128::from(*byte))
}
