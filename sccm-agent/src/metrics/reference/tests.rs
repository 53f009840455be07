//! The table against the naming rules, and `docs/metrics.md` against the table.

use super::*;
use sccm_tests::document::assert_current;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The whole of `docs/metrics.md`.
fn document() -> String {
    let mut text = String::from(include_str!("head.md"));
    text += "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{}`", label.name))
            .collect();
        let (name, labels, help) = (family.name, labels.join(", "), family.help);
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    text += "\n## Labels\n\n| label | values |\n|---|---|\n";
    for Label { name, values } in LABELS {
        writeln!(text, "| `{name}` | {values} |").unwrap();
    }
    text + "\n" + include_str!("tail.md")
}

#[test]
fn the_document_is_written_from_the_table() {
    assert_current("metrics.md", &document());
}

#[test]
fn names_follow_the_rules() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len(), "a name is given twice");
    for Family {
        name, kind, help, ..
    } in FAMILIES
    {
        let is_counter = *kind == Kind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        for unit in ["milli", "micro", "nano", "minutes", "hours", "kilo", "kib"] {
            assert!(!name.contains(unit), "{name} is not in base units");
        }
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
}
