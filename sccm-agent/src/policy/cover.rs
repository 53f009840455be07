//! Whether addresses are among others, quickly.

use ipnet::IpNet;

/// A set of addresses, made of prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover(Vec<IpNet>);

impl Cover {
    /// All addresses of these prefixes.
    #[must_use]
    pub fn of(prefixes: &[IpNet]) -> Self {
        // Disjoint, so that only the last one that begins before can matter.
        let mut disjoint = IpNet::aggregate(&prefixes.to_vec());
        disjoint.sort_by_key(IpNet::network);
        Self(disjoint)
    }

    /// Whether it has every address of a family, such as 0.0.0.0/1 and 128.0.0.0/1 have.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.0.iter().any(|prefix| prefix.prefix_len() == 0)
    }

    /// Whether it has every address of `prefix`.
    #[must_use]
    pub fn has(&self, prefix: &IpNet) -> bool {
        let after = self
            .0
            .partition_point(|net| net.network() <= prefix.network());
        after > 0 && self.0[after - 1].contains(prefix)
    }

    /// Whether it has every address of all `prefixes`.
    #[must_use]
    pub fn has_all(&self, prefixes: &[IpNet]) -> bool {
        prefixes.iter().all(|prefix| self.has(prefix))
    }

    /// Whether it has any address of `prefix`.
    #[must_use]
    pub fn touches(&self, prefix: &IpNet) -> bool {
        let after = self
            .0
            .partition_point(|net| net.network() <= prefix.broadcast());
        after > 0 && {
            let last = &self.0[after - 1];
            last.contains(prefix) || prefix.contains(last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn all_of_a_family_is_everybody_however_it_is_written() {
        for (list, expected) in [
            (&["0.0.0.0/0"][..], true),
            (&["0.0.0.0/1", "128.0.0.0/1"], true),
            (&["::/1", "8000::/2", "c000::/2"], true),
            (&["0.0.0.0/1", "8000::/1"], false),
            (&["128.0.0.0/1"], false),
            (&[], false),
        ] {
            assert_eq!(Cover::of(&nets(list)).is_everybody(), expected, "{list:?}");
        }
    }

    #[test]
    fn two_halves_make_a_whole() {
        let cover = Cover::of(&nets(&[
            "10.0.1.0/24",
            "10.0.0.0/24",
            "2001:db8::/32",
            "10.9.0.7/32",
        ]));
        for (prefix, has, touches) in [
            ("10.0.0.0/23", true, true),
            ("10.0.1.255/32", true, true),
            ("10.0.2.0/32", false, false),
            ("10.0.0.0/22", false, true),
            ("10.9.0.0/24", false, true),
            ("10.9.0.8/32", false, false),
            ("0.0.0.0/0", false, true),
            ("2001:db8:1::/48", true, true),
            ("2001:db9::/32", false, false),
            ("::/0", false, true),
        ] {
            let prefix: IpNet = prefix.parse().unwrap();
            assert_eq!(
                (cover.has(&prefix), cover.touches(&prefix)),
                (has, touches),
                "{prefix}"
            );
        }
    }
}
