//! What a case cost in each round, beside its floor in the same round.
//!
//! A machine is never quiet, and its clock speeds drift. So the floor is run right before every
//! run of a case, and two figures are told: the difference of the best runs, which says what the
//! code costs when nothing disturbs, and the median of the differences, which says what is usual.

use serde_json::{Value, json};

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    /// Under which heading.
    pub group: &'static str,
    /// What is measured.
    pub name: &'static str,
    /// Nanoseconds over the floor that the project aims at, at most.
    pub at_most: Option<u32>,
}

/// Its measurements, in nanoseconds per packet.
#[derive(Clone, Debug)]
pub struct Series {
    /// What was measured.
    pub title: Title,
    /// Floor and case of each round.
    rounds: Vec<(u32, u32)>,
}

impl Series {
    /// Without a round yet.
    pub const fn new(title: Title) -> Self {
        Self {
            title,
            rounds: Vec::new(),
        }
    }

    /// Adds a round.
    pub fn add(&mut self, floor: u32, case: u32) {
        self.rounds.push((floor, case));
    }

    /// The floor in its best round.
    pub fn best_floor(&self) -> i64 {
        least(self.rounds.iter().map(|(floor, _)| *floor))
    }

    /// The floor in most rounds.
    pub fn median_floor(&self) -> i64 {
        median(self.rounds.iter().map(|(floor, _)| i64::from(*floor)))
    }

    /// The best round over the best floor.
    pub fn best_over_floor(&self) -> i64 {
        least(self.rounds.iter().map(|(_, case)| *case)) - self.best_floor()
    }

    /// For tools.
    pub fn json(&self) -> Value {
        json!({
            "group": self.title.group,
            "name": self.title.name,
            "floor_best_ns": self.best_floor(),
            "floor_median_ns": self.median_floor(),
            "over_floor_best_ns": self.best_over_floor(),
            "over_floor_median_ns": self.median_over_floor(),
            "over_floor_at_most_ns": self.title.at_most,
        })
    }

    /// What most rounds are over their floor.
    pub fn median_over_floor(&self) -> i64 {
        let over = |(floor, case): &(u32, u32)| i64::from(*case) - i64::from(*floor);
        median(self.rounds.iter().map(over))
    }
}

fn least(values: impl Iterator<Item = u32>) -> i64 {
    values.min().unwrap_or_default().into()
}

/// The middle one; of an even number the lower of both.
fn median(values: impl Iterator<Item = i64>) -> i64 {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_round_moves_neither_figure() {
        let mut series = Series::new(Title {
            group: "",
            name: "",
            at_most: None,
        });
        for (floor, case) in [(30, 50), (31, 52), (90, 51), (30, 400), (29, 50)] {
            series.add(floor, case);
        }
        assert_eq!((series.best_floor(), series.median_floor()), (29, 30));
        assert_eq!(
            (series.best_over_floor(), series.median_over_floor()),
            (21, 21)
        );
    }
}
