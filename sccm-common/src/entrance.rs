//! Which interfaces judge all frames that come in: the egress programs ask that of each frame that the
//! machine forwards.
//!
//! A table of words, of which an interface has one of the few from the place that its number
//! says. Whoever looks reads all of these until it is found, so that words may come and go one by one.
//! The kernel's own hash table took twice as long as all else that the egress program does for such a frame.

/// Words of the table, a power of two.
pub const WORDS: usize = 4096;

/// Words that may be an interface's.
const NEIGHBOURS: u32 = 8;

/// The table. A word is 32 bits of the number of an interface, and 32 of what is said of it; 0 is free.
pub type Entrances = [u64; WORDS];

/// The word that says something of an interface. No interface has the number 0.
#[must_use]
pub const fn word(interface: u32, said: u32) -> u64 {
    (interface as u64) << 32 | said as u64
}

/// The interface of a word, and what is said of it; `None`: it is free.
#[inline(always)]
#[must_use]
pub const fn of_word(word: u64) -> Option<(u32, u32)> {
    match (word >> 32) as u32 {
        0 => None,
        interface => Some((interface, word as u32)),
    }
}

/// Where the word of an interface may be.
#[inline(always)]
pub fn places(interface: u32) -> impl Iterator<Item = usize> {
    (0..NEIGHBOURS).map(move |next| interface.wrapping_add(next) as usize & (WORDS - 1))
}

/// Where to write the word of an interface: where it has one, or else the first of its places that is
/// free. `None`: others have them all.
#[must_use]
pub fn place(table: &[u64], interface: u32) -> Option<usize> {
    let holder = |at: &usize| table.get(*at).map(|word| (word >> 32) as u32);
    places(interface)
        .find(|at| holder(at) == Some(interface))
        .or_else(|| places(interface).find(|at| holder(at) == Some(0)))
}

/// What is said of an interface.
#[inline(always)]
pub fn find(interface: u32, word_at: impl Fn(usize) -> u64) -> Option<u32> {
    for place in places(interface) {
        let word = word_at(place);
        if (word >> 32) as u32 == interface {
            return Some(word as u32);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_wherever_among_its_places_it_is() {
        for interface in [1, 7, 4095, 4096, 70_000, u32::MAX] {
            for place in places(interface) {
                let mut table = [0; WORDS];
                table[place] = word(interface, 3);
                assert_eq!(find(interface, |at| table[at]), Some(3), "{place}");
                // Nor is another one with the same place taken for it.
                let other = interface.wrapping_add(WORDS as u32);
                assert_eq!(find(other, |at| table[at]), None);
            }
            let nowhere = [0; WORDS];
            assert_eq!(find(interface, |at| nowhere[at]), None);
        }
        assert_eq!(of_word(word(9, 0)), Some((9, 0)));
        assert_eq!(of_word(0), None);
    }

    #[test]
    fn interfaces_with_the_same_places_are_told_apart_until_these_are_full() {
        let mut table = [0; WORDS];
        let interfaces: [u32; NEIGHBOURS as usize] =
            core::array::from_fn(|number| 5 + number as u32 * WORDS as u32);
        for _ in 0..2 {
            for (said, interface) in (0..).zip(interfaces) {
                let place = place(&table, interface).unwrap();
                table[place] = word(interface, said);
            }
        }
        for (said, interface) in (0..).zip(interfaces) {
            assert_eq!(find(interface, |at| table[at]), Some(said));
        }
        let another = 5 + NEIGHBOURS * WORDS as u32;
        assert_eq!(place(&table, another), None);
        // One that goes leaves room, and hides none behind it.
        table[place(&table, interfaces[0]).unwrap()] = 0;
        assert_eq!(find(interfaces[7], |at| table[at]), Some(7));
        assert!(place(&table, another).is_some());
    }
}
