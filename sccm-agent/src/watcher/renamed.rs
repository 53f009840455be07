//! Interfaces that get other names: the number stays, so the name is looked up by it.

use crate::interface::Interface;
use std::collections::BTreeMap;

/// What each interface was called when it was last looked at.
pub(crate) struct InterfaceNames(BTreeMap<u32, String>);

/// Old and new names, of interfaces that have changed theirs since the last look.
pub(crate) struct Renames(BTreeMap<String, String>);

impl InterfaceNames {
    /// The names as they are.
    pub(crate) fn of(present: &[Interface]) -> Self {
        let names = present.iter().map(|one| (one.index, one.name.clone()));
        Self(names.collect())
    }

    /// Those that have changed since.
    pub(crate) fn changed(&self, present: &[Interface]) -> Renames {
        let now = Self::of(present);
        let renamed = |(index, new): (&u32, &String)| {
            let old = self.0.get(index).filter(|old| *old != new)?;
            Some((old.clone(), new.clone()))
        };
        Renames(now.0.iter().filter_map(renamed).collect())
    }
}

impl Renames {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives `names`, all that are known of one kind, the new names, at once: two interfaces may have
    /// swapped theirs. An interface that is gone, and whose name another one has taken, is from now on
    /// expected by the name that is free instead. Says which have changed.
    pub(crate) fn follow(&self, names: &mut [&mut String], present: &[Interface]) -> Vec<bool> {
        let known: Vec<String> = names.iter().map(|name| (**name).clone()).collect();
        let is_known = |name: &String| known.contains(name);
        let changed = names.iter_mut().map(|name| {
            let renamed = self.renamed(name, present).or_else(|| {
                let taken_by = |(old, new): &(&String, &String)| *new == *name && is_known(old);
                let (old, _) = self.0.iter().find(taken_by)?;
                Some(self.freed(old).clone())
            });
            let changed = renamed.is_some();
            if let Some(renamed) = renamed {
                **name = renamed;
            }
            changed
        });
        changed.collect()
    }

    /// What is called `name`, or is a VLAN without a device of what was: its name now.
    fn renamed(&self, name: &str, present: &[Interface]) -> Option<String> {
        if let Some(new) = self.0.get(name) {
            return Some(new.clone());
        }
        let (card, id) = name.rsplit_once('.')?;
        let new = self.0.get(card).filter(|_| id.parse::<u16>().is_ok())?;
        let has_device = present.iter().any(|one| one.name == name);
        (!has_device).then(|| format!("{new}.{id}"))
    }

    /// The name that nobody has when everybody in the row behind `name` has moved up.
    fn freed<'a>(&'a self, name: &'a String) -> &'a String {
        let mut free = name;
        // Names are unique, so that the row ends after so many at the latest.
        for _ in 0..self.0.len() {
            match self.0.iter().find(|(_, new)| *new == free) {
                Some((old, _)) => free = old,
                None => break,
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Kind;

    fn present(names: &[(u32, &str)]) -> Vec<Interface> {
        let interface = |(index, name): &(u32, &str)| Interface {
            name: (*name).to_owned(),
            index: *index,
            up: true,
            controller: None,
            kind: Kind::Card,
            xdp: None,
        };
        names.iter().map(interface).collect()
    }

    #[track_caller]
    fn assert_followed(before: &[(u32, &str)], after: &[(u32, &str)], names: &[(&str, &str)]) {
        let after = present(after);
        let renames = InterfaceNames::of(&present(before)).changed(&after);
        let mut found: Vec<String> = names.iter().map(|(old, _)| (*old).to_owned()).collect();
        let mut all: Vec<&mut String> = found.iter_mut().collect();
        let changed = renames.follow(&mut all, &after);
        let expected: Vec<&str> = names.iter().map(|(_, new)| *new).collect();
        assert_eq!(found, expected);
        let differ: Vec<bool> = names.iter().map(|(old, new)| old != new).collect();
        assert_eq!(changed, differ);
    }

    #[test]
    fn names_that_are_swapped_or_go_round_stay_different() {
        let (ra, rb, rc) = ((1, "ra"), (2, "rb"), (3, "rc"));
        assert_followed(&[ra], &[(1, "wan")], &[("ra", "wan"), ("rb", "rb")]);
        let swapped = [(1, "rb"), (2, "ra")];
        assert_followed(&[ra, rb], &swapped, &[("ra", "rb"), ("rb", "ra")]);
        assert_followed(
            &[ra, rb, rc],
            &[(1, "rb"), (2, "rc"), (3, "ra")],
            &[("ra", "rb"), ("rb", "rc"), ("rc", "ra"), ("rd", "rd")],
        );
    }

    #[test]
    fn whose_name_was_taken_is_expected_by_the_one_that_is_free() {
        let gone = [(2, "ra")];
        assert_followed(
            &[(1, "ra"), (2, "rb")],
            &gone,
            &[("ra", "rb"), ("rb", "ra")],
        );
        // In a row.
        assert_followed(
            &[(1, "ra"), (2, "rb"), (3, "rc")],
            &[(2, "ra"), (3, "rb")],
            &[("ra", "rc"), ("rb", "ra"), ("rc", "rb")],
        );
        // What udev renames had no name that anybody knows.
        assert_followed(&[(4, "eth0")], &[(4, "enp3s0")], &[("enp3s0", "enp3s0")]);
    }

    #[test]
    fn vlans_without_a_device_follow_their_card() {
        let vlans = [("ra.20", "rb.20"), ("rb.20", "ra.20"), ("ra.x", "ra.x")];
        assert_followed(&[(1, "ra"), (2, "rb")], &[(1, "rb"), (2, "ra")], &vlans);
        let with_device = [(1, "wan"), (5, "ra.20")];
        assert_followed(
            &[(1, "ra"), (5, "ra.20")],
            &with_device,
            &[("ra.20", "ra.20")],
        );
    }
}
