//! Which tests run on other kernels. They were chosen for what differs between
//! kernels (the verifier, hooks, helpers, test runs, pins), and by what they take:
//! emulated, everything is ten to twenty times slower.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, command, output, step};

/// The binary that the tests start.
const AGENT: &str = "sccm-agent";

/// A test program, and what it is told.
pub struct Selected {
    /// Its name: the file's or folder's in `tests/tests`.
    pub name: &'static str,
    /// Filters and flags, as for `cargo test -- ..`.
    pub arguments: &'static [&'static str],
}

/// What runs, in this order: first what says most when it fails.
pub const SELECTION: &[Selected] = &[
    // The verifier's opinion of every program.
    select("budget", &["--nocapture"]),
    // Helpers that copy as many bytes as the program reckons.
    select("capture", &["full_ring"]),
    // An agent that is killed; links that are updated in place.
    select("takeover", &["kill_9", "made_anew"]),
    // The hook of kernels without TCX.
    select(
        "clsact",
        &[
            "replaced_in_place",
            "takes_a_filter_over",
            "cut_short",
            "ingress_qdisc",
        ],
    ),
    select(
        "enforce",
        &["exactly_the_ports", "only_the_named_interfaces"],
    ),
    select("network", &["path_mtu", "own_connections"]),
    select("faults", &["generic_mode", "signals_detach"]),
    // Not what only repeats: every length of a frame, floods, every kind of flow.
    select("fixtures", &["check", "buffers", "connection"]),
];

const fn select(name: &'static str, arguments: &'static [&'static str]) -> Selected {
    Selected { name, arguments }
}

/// A program that has been built.
pub struct Program {
    /// What it is called: the agent, or one of the selection.
    pub name: String,
    /// Where cargo put it.
    pub path: PathBuf,
}

/// Builds the agent and the selected tests, as `cargo xtask test` does.
///
/// # Errors
/// The build fails, cargo says something unheard of, or the selection fits no tests.
pub fn build() -> Result<Vec<Program>> {
    step("building the agent and the tests (the first time takes a few minutes)");
    let mut agent = cargo();
    agent.args(["build", "--package", "sccm-agent"]);
    let mut tests = cargo();
    tests.args(["test", "--package", "sccm-tests", "--no-run"]);
    for selected in SELECTION {
        tests.args(["--test", selected.name]);
    }
    let wanted =
        |name: &str| name == AGENT || SELECTION.iter().any(|selected| selected.name == name);
    let mut programs = Vec::new();
    for mut build in [agent, tests] {
        let messages = output(build.args(["--message-format", "json-render-diagnostics"]))?;
        programs.extend(executables(&messages)?);
    }
    programs.retain(|program| wanted(&program.name));
    for selected in SELECTION {
        let program = programs
            .iter()
            .find(|program| program.name == selected.name);
        let program = program.with_context(|| format!("cargo built no {}", selected.name))?;
        check(selected, program)?;
    }
    Ok(programs)
}

/// Checks that every filter still selects a test: with a filter that fits none, a
/// test program does nothing, and succeeds.
fn check(selected: &Selected, program: &Program) -> Result<()> {
    let filters = selected.arguments.iter();
    for filter in filters.filter(|argument| !argument.starts_with('-')) {
        let found = output(command(&program.path).args(["--list", filter]))?;
        ensure!(
            found.contains(": test"),
            "no test of {} is called {filter}: see {}",
            selected.name,
            file!()
        );
    }
    Ok(())
}

/// The programs in cargo's messages: one JSON object a line.
fn executables(messages: &str) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("reading cargo's messages")?;
        let (name, path) = (&message["target"]["name"], &message["executable"]);
        if let (Some(name), Some(path)) = (name.as_str(), path.as_str()) {
            programs.push(Program {
                name: name.to_owned(),
                path: path.into(),
            });
        }
    }
    Ok(programs)
}
