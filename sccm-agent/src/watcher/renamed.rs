//! Interfaces that get other names: the number stays, so the name is looked up by it.

use crate::interface::Interface;
use std::collections::BTreeMap;

/// What each interface was called when it was last looked at.
pub(crate) struct InterfaceNames(BTreeMap<u32, String>);

impl InterfaceNames {
    /// The names as they are.
    pub(crate) fn of(present: &[Interface]) -> Self {
        let names = present.iter().map(|one| (one.index, one.name.clone()));
        Self(names.collect())
    }

    /// Those that have changed, old and new, and from now on are the new ones.
    pub(crate) fn changed(&mut self, present: &[Interface]) -> Vec<(String, String)> {
        let now = Self::of(present);
        let renamed = |(index, new): (&u32, &String)| {
            let old = self.0.get(index).filter(|old| *old != new)?;
            Some((old.clone(), new.clone()))
        };
        let changed = now.0.iter().filter_map(renamed).collect();
        *self = now;
        changed
    }
}

/// Whether `name` was `old`, or a VLAN of it that has no device, and follows it.
pub(crate) fn replace(name: &mut String, old: &str, new: &str, present: &[Interface]) -> bool {
    if name == old {
        new.clone_into(name);
        return true;
    }
    let id = match name.rsplit_once('.') {
        Some((card, id)) if card == old && id.parse::<u16>().is_ok() => id,
        _ => return false,
    };
    if present.iter().any(|one| one.name == *name) {
        return false;
    }
    *name = format!("{new}.{id}");
    true
}
