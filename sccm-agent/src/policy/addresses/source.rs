//! On which sides of this machine packets of a source may come in.

use sccm_common::address::AddressClass;

/// What a prefix says of its addresses as sources. All of it adds up, like the other tags, but for
/// [`Source::Behind`]: there, as among routes, the narrowest prefix decides alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The setting lets them in whatever else is said.
    Passes,
    /// Nobody else has them.
    Nobody,
    /// They are behind this machine, as the policy says.
    Inside,
    /// An entry of the policy lists them, and they are not elsewhere.
    Listed,
    /// An entry of the policy lists them, and they are elsewhere.
    Elsewhere,
    /// An entry of the policy stands for whatever no other entry lists.
    Rest,
    /// Whether this machine's routes lead them to the side of the protected systems.
    Behind(bool),
}

/// What all prefixes around an address say together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// A bit for each kind of [`Source`] that was said.
    said: u8,
    is_behind: bool,
}

impl Origin {
    /// Nothing was said.
    pub(super) const UNKNOWN: Self = Self {
        said: 0,
        is_behind: false,
    };

    /// What a narrower prefix adds.
    pub(super) fn with(self, sources: impl Iterator<Item = Source>) -> Self {
        let mut origin = self;
        let mut routed = None;
        for source in sources {
            match source {
                // Of several routes to the same prefix, any may be taken.
                Source::Behind(behind) => routed = Some(behind || routed.unwrap_or_default()),
                other => origin.said |= bit(other),
            }
        }
        origin.is_behind = routed.unwrap_or(origin.is_behind);
        origin
    }

    /// Marks of [`AddressClass::peer`].
    pub(super) const fn marks(self) -> u16 {
        if self.has(Source::Passes) {
            return 0;
        }
        if self.has(Source::Nobody) {
            return AddressClass::INSIDE | AddressClass::NOBODY;
        }
        let is_protected =
            self.has(Source::Listed) || (self.has(Source::Rest) && !self.has(Source::Elsewhere));
        if self.has(Source::Inside) || (self.is_behind && is_protected) {
            return AddressClass::INSIDE;
        }
        0
    }

    const fn has(self, source: Source) -> bool {
        self.said & bit(source) != 0
    }
}

const fn bit(source: Source) -> u8 {
    match source {
        Source::Passes => 1,
        Source::Nobody => 2,
        Source::Inside => 4,
        Source::Listed => 8,
        Source::Elsewhere => 16,
        Source::Rest => 32,
        Source::Behind(_) => 0,
    }
}
