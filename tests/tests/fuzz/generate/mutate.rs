//! What spoils a frame: bits and bytes anywhere, fields that decide, lengths, both ends.

use fastrand::Rng;

/// Bytes that lengths, versions, offsets and numbers of protocols like to have.
const TELLING: [u8; 20] = [
    0, 1, 2, 4, 5, 6, 15, 17, 0x40, 0x45, 0x46, 0x4f, 0x60, 43, 44, 47, 58, 60, 0x80, 0xff,
];

/// Once or more.
pub fn spoil(random: &mut Rng, frame: &mut Vec<u8>) {
    loop {
        once(random, frame);
        if random.u8(..3) != 0 {
            break;
        }
    }
}

fn once(random: &mut Rng, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    // Headers decide, so most of it happens there.
    let reach = frame
        .len()
        .min(if random.u8(..4) == 0 { usize::MAX } else { 74 });
    let at = random.usize(..reach);
    match random.u8(..10) {
        0 | 1 => frame[at] ^= 1 << random.u8(..8),
        2 => frame[at] = random.u8(..),
        3 | 4 => frame[at] = TELLING[random.usize(..TELLING.len())],
        5 => frame.truncate(at),
        6 => frame.extend(std::iter::repeat_n(0, random.usize(1..40))),
        7 => {
            // A field of two bytes, a little more or less.
            let at = at & !1;
            if let Some([high, low]) = frame.get_mut(at..at + 2) {
                let value = u16::from_be_bytes([*high, *low]);
                let other = value.wrapping_add(random.u16(..17)).wrapping_sub(8);
                [*high, *low] = other.to_be_bytes();
            }
        }
        8 => {
            let from = random.usize(..frame.len());
            frame[at] = frame[from];
        }
        _ => {
            frame.remove(at);
        }
    }
}
