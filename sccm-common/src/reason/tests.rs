//! The table against itself, and `docs/reasons.md` against the table.

use super::*;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::string::String;

#[test]
fn numbers_and_labels_are_unique_and_ordered() {
    assert!(Reason::ALL.is_sorted_by_key(|reason| *reason as u8));
    let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels.len(), Reason::ALL.len());
}

#[test]
fn every_number_leads_back_to_its_reason() {
    let known = (0..=u8::MAX).filter_map(Reason::from_number);
    assert!(known.eq(Reason::ALL.iter().copied()));
    for reason in Reason::ALL {
        assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
    }
}

#[test]
fn service_rows_are_the_first_numbers() {
    for reason in Reason::ALL {
        let expected =
            ((*reason as usize) < crate::counter::SERVICE_ROWS).then_some(*reason as usize);
        assert_eq!(reason.service_row(), expected, "{reason:?}");
    }
}

#[test]
fn every_text_is_a_sentence_that_fits_into_a_table() {
    for reason in Reason::ALL {
        for text in [reason.explanation(), reason.advice()] {
            assert!(text.ends_with('.') && !text.contains('|'), "{text}");
        }
    }
}

/// The whole of `docs/reasons.md`.
fn document() -> String {
    let mut text = String::from(include_str!("head.md"));
    for (title, drops) in [
        ("Why a packet is dropped", true),
        ("Why a packet passes", false),
    ] {
        write!(
            text,
            "\n## {title}\n\n| reason | meaning | what to do |\n|---|---|---|\n"
        )
        .unwrap();
        for reason in Reason::ALL.iter().filter(|reason| reason.passes() != drops) {
            let (label, meaning, advice) = (reason.label(), reason.explanation(), reason.advice());
            writeln!(text, "| `{label}` | {meaning} | {advice} |").unwrap();
        }
    }
    text
}

#[test]
#[cfg_attr(miri, ignore = "reads a file")]
fn the_document_is_written_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/reasons.md is stale: run `UPDATE_DOCS=1 cargo test -p sccm-common --lib reason`"
    );
}
