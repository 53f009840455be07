//! Which room of this crate may use which: the table, and the test that holds the sources to it.
//!
//! A room is a module of `lib.rs` with all that is below it. The table begins at the bottom of
//! the house, and a room may only use rooms that stand before it, so that nothing uses anything
//! above itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it uses.
const ROOMS: &[(&str, &[&str])] = &[
    // Tools.
    ("changed", &[]),
    ("heap", &[]),
    ("privileges", &[]),
    ("supervisor", &[]),
    ("units", &[]),
    ("visible", &[]),
    ("log", &["visible"]),
    ("output", &["visible"]),
    ("files", &["privileges", "units"]),
    // The machine's interfaces, and what the vendor and the operator wrote.
    ("interface", &[]),
    ("catalog", &[]),
    ("site", &["catalog"]),
    ("policy", &["catalog", "site"]),
    (
        "config",
        &["catalog", "files", "policy", "site", "units", "visible"],
    ),
    ("coverage", &["catalog", "output", "policy", "site"]),
    ("expect", &["policy"]),
    ("diff", &["catalog", "config", "output", "policy"]),
    (
        "check",
        &["catalog", "diff", "output", "policy", "site", "units"],
    ),
    ("export", &["diff"]),
    (
        "import",
        &[
            "catalog", "check", "files", "policy", "site", "units", "visible",
        ],
    ),
    // Which cards carry the programs.
    ("plan", &["catalog", "interface"]),
    // The kernel, and what is read back from it.
    ("kernel", &["policy", "visible"]),
    ("connections", &["interface", "kernel"]),
    // What the RPC endpoint mapper handed out.
    ("openings", &["kernel", "policy"]),
    ("blocked", &["coverage", "kernel", "policy"]),
    (
        "flows",
        &["blocked", "kernel", "openings", "policy", "units"],
    ),
    ("unused", &["kernel", "output", "policy", "units"]),
    // What is enforced where.
    (
        "hooks",
        &[
            "changed",
            "heap",
            "interface",
            "kernel",
            "plan",
            "policy",
            "units",
        ],
    ),
    (
        "state",
        &[
            "blocked",
            "hooks",
            "interface",
            "kernel",
            "openings",
            "plan",
            "policy",
        ],
    ),
    (
        "capture",
        &["blocked", "changed", "files", "kernel", "state"],
    ),
    (
        "replay",
        &[
            "blocked", "capture", "changed", "kernel", "output", "policy",
        ],
    ),
    (
        "learn",
        &["blocked", "catalog", "kernel", "policy", "replay"],
    ),
    (
        "watch",
        &[
            "blocked",
            "interface",
            "kernel",
            "openings",
            "policy",
            "state",
            "units",
        ],
    ),
    // The one owner of the running policy.
    ("record", &["policy"]),
    ("lockout", &["interface", "kernel", "policy"]),
    ("decisions", &["kernel", "policy"]),
    (
        "policies",
        &[
            "config",
            "connections",
            "decisions",
            "expect",
            "files",
            "hooks",
            "interface",
            "kernel",
            "lockout",
            "plan",
            "policy",
            "record",
            "supervisor",
            "units",
        ],
    ),
    // Those who serve others.
    (
        "metrics",
        &[
            "blocked",
            "interface",
            "kernel",
            "openings",
            "policy",
            "record",
            "state",
        ],
    ),
    ("control", &["kernel", "policies", "units"]),
    (
        "http",
        &[
            "blocked", "catalog", "check", "coverage", "files", "metrics", "policies", "policy",
            "record", "state", "units",
        ],
    ),
    (
        "watcher",
        &[
            "hooks",
            "interface",
            "kernel",
            "plan",
            "policies",
            "policy",
            "record",
            "state",
            "units",
        ],
    ),
    // The agent's life, and the commands.
    (
        "agent",
        &[
            "blocked",
            "changed",
            "connections",
            "control",
            "decisions",
            "files",
            "hooks",
            "http",
            "interface",
            "kernel",
            "metrics",
            "openings",
            "plan",
            "policies",
            "policy",
            "record",
            "state",
            "supervisor",
            "units",
            "watcher",
        ],
    ),
    (
        "doctor",
        &[
            "agent",
            "check",
            "hooks",
            "interface",
            "kernel",
            "plan",
            "policies",
            "policy",
            "state",
        ],
    ),
    (
        "bundle",
        &[
            "capture",
            "changed",
            "config",
            "decisions",
            "files",
            "kernel",
            "state",
        ],
    ),
    (
        "cli",
        &[
            "agent",
            "blocked",
            "bundle",
            "capture",
            "catalog",
            "changed",
            "check",
            "config",
            "control",
            "coverage",
            "decisions",
            "diff",
            "doctor",
            "expect",
            "export",
            "files",
            "flows",
            "heap",
            "hooks",
            "http",
            "import",
            "interface",
            "kernel",
            "learn",
            "log",
            "openings",
            "output",
            "plan",
            "policies",
            "policy",
            "privileges",
            "replay",
            "site",
            "state",
            "units",
            "unused",
            "visible",
            "watch",
        ],
    ),
];

/// What is used from each room, with one file that does so.
type Uses = BTreeMap<(String, String), PathBuf>;

#[test]
fn rooms_use_only_what_is_below_them() {
    let mut above = BTreeSet::new();
    for (room, uses) in ROOMS.iter().rev() {
        above.insert(*room);
        for used in *uses {
            assert!(
                !above.contains(used),
                "{room} uses {used}, which does not stand before it in the table of {}: move \
                 what both need to a room below, or hand it over from above",
                file!()
            );
        }
    }
}

#[test]
fn the_table_says_what_each_room_uses() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = uses(&sources);
    let allowed = ROOMS.iter().flat_map(|(room, uses)| {
        let uses = uses.iter().map(|used| (*used).to_owned());
        uses.map(|used| ((*room).to_owned(), used))
    });
    let allowed: BTreeSet<(String, String)> = allowed.collect();
    for ((room, used), file) in &found {
        assert!(
            allowed.contains(&(room.clone(), used.clone())),
            "{} uses `crate::{used}`, and the table of {} does not let {room} do that: if \
             {used} stands below {room}, add it there; otherwise move what you need to a lower \
             room, or have the agent hand it over",
            file.display(),
            file!()
        );
    }
    for (room, used) in allowed {
        assert!(
            found.contains_key(&(room.clone(), used.clone())),
            "{room} does not use {used} any more: take it out of the table of {}",
            file!()
        );
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = "use crate::{\n    alpha::{One, Two},\n    beta,\n};\nuse super::super::gamma::Three;\n\
                fn f() { crate::delta::call() }\n#[cfg(test)]\nmod tests { use crate::omega; }\n";
    let found = paths(without_tests(text), 2);
    assert_eq!(found, ["alpha", "beta", "delta", "gamma"]);
    assert!(
        paths("super::gamma", 2).is_empty(),
        "that is the room itself"
    );
}

/// What all sources use of other rooms.
fn uses(sources: &Path) -> Uses {
    let mut found = Uses::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(sources).unwrap().with_extension("");
            let names: Vec<&str> = inside.iter().map(|name| name.to_str().unwrap()).collect();
            let is_rust = path.extension().is_some_and(|extension| extension == "rs");
            let is_of_no_room = ["lib", "main", "rooms"].contains(&names[0]);
            // What is compiled for tests only may use everything.
            let is_test = names.iter().any(|name| ["tests", "fixture"].contains(name));
            if !is_rust || is_of_no_room || is_test {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for used in paths(without_tests(&text), names.len()) {
                if used != names[0] {
                    found.insert((names[0].to_owned(), used), inside.with_extension("rs"));
                }
            }
        }
    }
    found
}

/// A file as far as its tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    let end = text.find("#[cfg(test)]\nmod tests");
    text.get(..end.unwrap_or(text.len())).unwrap()
}

/// The modules of the crate's root that a module at this depth names.
fn paths(text: &str, depth: usize) -> Vec<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in text.match_indices(&root) {
            let rest = text.get(at + root.len()..).unwrap();
            match rest.strip_prefix('{') {
                Some(group) => found.extend(first_names(group)),
                None => found.extend(name(rest)),
            }
        }
    }
    found.into_iter().collect()
}

/// The names that stand first in a group of paths, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut names, mut open, mut begins) = (Vec::new(), 1, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => begins = true,
            _ if begins && letter.is_alphanumeric() => {
                names.extend(name(group.get(at..).unwrap()));
                begins = false;
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    names
}

/// The module's name that the text begins with; types and functions of the root have none.
fn name(text: &str) -> Option<String> {
    let is_of_a_name = |letter: char| letter.is_ascii_lowercase() || "_0123456789".contains(letter);
    let end = text
        .find(|letter| !is_of_a_name(letter))
        .unwrap_or(text.len());
    let name = text.get(..end)?;
    (!name.is_empty()).then(|| name.to_owned())
}
