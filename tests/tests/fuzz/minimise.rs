//! Finds few steps that still show a difference (Zeller and Hildebrandt, "Simplifying and
//! isolating failure-inducing input", 2002: ddmin, complements only).

use crate::case::Step;

/// The fewest steps found of which `fails` still holds.
pub fn minimise(steps: &[Step], mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut left = steps.to_vec();
    let mut size = left.len().div_ceil(2);
    while size > 0 && !left.is_empty() {
        let mut at = 0;
        let mut shorter = false;
        while at < left.len() {
            let end = (at + size).min(left.len());
            let rest = [&left[..at], &left[end..]].concat();
            if fails(&rest) {
                left = rest;
                shorter = true;
            } else {
                at = end;
            }
        }
        if !(shorter && size == 1) {
            size /= 2;
        }
    }
    left
}
