//! With which codes commands end: `docs/exit-codes.md` is written from these tables.

use super::{BAD_INPUT, definition, doctor, status};
use sccm_tests::document::assert_current;
use std::fmt::Write as _;

/// What a code means.
type Meaning = (u8, &'static str);

/// For every command.
const EVERY: [Meaning; 3] = [
    (0, "done"),
    (
        1,
        "something failed after the command had begun, and something may have changed",
    ),
    (
        BAD_INPUT,
        "wrong input, or a machine or an agent that cannot do it: nothing was changed",
    ),
];

/// What else they mean for single commands.
const OWN: [(&str, &[Meaning]); 19] = [
    (
        "enforce",
        &[
            (0, "the agent was told to end"),
            (
                1,
                "nobody confirmed the first policy; or a policy that nobody had confirmed was \
                 rolled back, and then the start failed; or something broke in the agent itself while it ran: then \
                 enforcement goes on",
            ),
        ],
    ),
    (
        "import",
        &[(
            1,
            "`--diff`, and the policy differs from the inventory; or the policy's file cannot be written \
             whole",
        )],
    ),
    (
        "replay",
        &[(
            1,
            "a file could not be read to its end; or `--write-dropped` could not be written whole",
        )],
    ),
    (
        "learn",
        &[(
            1,
            "a file could not be read to its end: what it had before counts",
        )],
    ),
    (
        "check",
        &[
            (0, "the policy is valid, with or without warnings"),
            (1, "`--strict`, and there are warnings"),
        ],
    ),
    (
        "diff",
        &[
            (0, "B lets nothing pass that A does not"),
            (1, "B lets something pass that A does not"),
        ],
    ),
    (
        "unused",
        &[
            (
                0,
                "nothing was unused for all of the time; also where it is not counted for so long",
            ),
            (1, "something was not used for all of the time"),
        ],
    ),
    ("test", &[(1, "one of the expectations is broken")]),
    (
        "coverage",
        &[(
            1,
            "`--require`, and one of the techniques is not stopped fully",
        )],
    ),
    (
        "reload",
        &[
            (0, "the policy is enforced, or was already"),
            (1, "the agent went away without an answer"),
        ],
    ),
    ("promote", &[(1, "the agent went away without an answer")]),
    ("confirm", &[(1, "the agent went away without an answer")]),
    ("rollback", &[(1, "the agent went away without an answer")]),
    (
        "status",
        &[
            (0, "every interface is enforcing"),
            (status::NOTHING_ATTACHED, "nothing is attached"),
            (
                status::NOT_ALL_ENFORCING,
                "an interface is in another state than `enforcing` ([states.md](states.md))",
            ),
            (
                status::OTHER_LAYOUT,
                "the pinned maps are of another version of the agent",
            ),
        ],
    ),
    (
        "doctor",
        &[
            (0, "all is fine"),
            (doctor::WARNINGS, "there are warnings, and no blockers"),
            (
                doctor::BLOCKERS,
                "something keeps the agent from enforcing; with `--live`, or what should be enforced is not",
            ),
        ],
    ),
    (
        "support-bundle",
        &[
            (
                0,
                "the archive is written, with all that could be read; `errors.txt` in it names the rest",
            ),
            (1, "the archive could not be written to its end"),
        ],
    ),
    ("explain", &[(0, "the packet passes"), (1, "it is dropped")]),
    ("detach", &[(1, "not everything could be removed")]),
    (
        "capture",
        &[(1, "the file could not be written to its end")],
    ),
];

/// The whole of `docs/exit-codes.md`.
fn document() -> String {
    let mut text = String::from(include_str!("exit.md"));
    let table = |text: &mut String, meanings: &[Meaning]| {
        *text += "\n| code | meaning |\n|---|---|\n";
        for (code, meaning) in meanings {
            writeln!(text, "| {code} | {meaning} |").unwrap();
        }
    };
    table(&mut text, &EVERY);
    for command in definition().get_subcommands() {
        let name = command.get_name();
        write!(text, "\n## `{name}`\n").unwrap();
        match OWN.iter().find(|(own, _)| *own == name) {
            Some((_, meanings)) => table(&mut text, meanings),
            None => text += "\nThose of every command.\n",
        }
    }
    text
}

#[test]
fn the_document_is_written_from_the_table() {
    assert_current("exit-codes.md", &document());
}

#[test]
fn every_row_is_of_a_command() {
    for (name, _) in OWN {
        assert!(definition().find_subcommand(name).is_some(), "{name}");
    }
}
