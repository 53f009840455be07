//! The matrix, for people.

use super::{Coverage, Covered, Decision, Leg, Verdict};
use crate::output;

impl Coverage {
    /// As a table, with what would stop more below it.
    #[must_use]
    pub fn text(&self) -> String {
        let count = |verdict| {
            let all = self.techniques.iter();
            all.filter(|one| one.verdict == verdict).count()
        };
        let mut text = format!(
            "{} techniques: {} stopped fully, {} partly, {} not (Configuration Manager {})",
            self.techniques.len(),
            count(Verdict::Full),
            count(Verdict::Partly),
            count(Verdict::None),
            self.edition
        );
        if self.observed {
            text += "\nNothing is dropped now, so nothing is stopped.";
        }
        let mut table = output::table(["Technique", "Stopped", "What decides"]);
        for one in &self.techniques {
            table.add_row([
                format!("{} {}", one.id, one.title),
                one.verdict.name().to_owned(),
                output::joined(&one.decides()),
            ]);
        }
        text += &format!("\n\n{}", output::lines(&table));
        let open = self.techniques.iter();
        let open = open.filter(|one| one.verdict != Verdict::Full && !one.change.is_empty());
        let changes: Vec<String> = open
            .map(|one| format!("{}: any of\n  {}", one.id, one.change.join("\n  ")))
            .collect();
        if !changes.is_empty() {
            text += &format!("\n\nWhat would stop more\n{}", changes.join("\n"));
        }
        text + &format!(
            "\n\nWhat no port filter stops\n  {}",
            self.limits.join("\n  ")
        )
    }
}

impl Covered {
    /// The legs that decide, in words.
    #[must_use]
    pub fn decides(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.legs.is_empty() {
            lines.push("it sends nothing".to_owned());
        }
        for variant in &self.variants {
            let by = variant.by.iter().map(|leg| self.legs[*leg].brief());
            let by: Vec<String> = by.collect();
            lines.push(match variant.cut {
                true => format!("{}: cut, {}", variant.name, by.join("; ")),
                false => format!("{}: open", variant.name),
            });
        }
        lines.extend(self.fixed_in.map(|version| format!("fixed in {version}")));
        lines
    }
}

impl Leg {
    fn brief(&self) -> String {
        let what = format!("{}/{}", self.protocol, self.ports.join(","));
        match self.decision {
            Decision::NoSystem => format!("no {}", self.to),
            _ => format!("{what} {} to {}", self.from, self.to),
        }
    }
}
