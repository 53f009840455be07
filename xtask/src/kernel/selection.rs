//! Which tests run on other kernels. They were chosen for what differs between
//! kernels (the verifier, hooks, helpers, test runs, pins), and by what they take:
//! emulated, everything is ten to twenty times slower. `devices` needs cards, and modules that not every
//! kernel has, so it runs only here.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, command, output, step};

/// A test program, and what it is told.
pub struct Selected {
    /// Its name: the folder's in `sccm-agent/tests`.
    pub name: &'static str,
    /// Filters and flags, as for `cargo test -- ..`.
    pub arguments: &'static [&'static str],
}

/// What runs, in this order: first what says most when it fails.
pub const SELECTION: &[Selected] = &[
    // The verifier's opinion of every program.
    select("datapath", &["budget::", "--nocapture"]),
    select(
        "namespaces",
        &[
            // Helpers that copy as many bytes as the program reckons.
            "capture::ring::a_full_ring",
            // An agent that is killed; links that are updated in place.
            "takeover::enforcement_survives_kill_9",
            "takeover::a_card_that_was_made_anew",
            // The hook of kernels without TCX.
            "clsact::a_filter_outlives_its_maker",
            "clsact::an_agent_takes_a_filter_over",
            "clsact::a_replacement_that_was_cut_short",
            "clsact::an_ingress_qdisc",
            // Who stands before it.
            "egress_order::a_program_that_was_there_first",
            "egress_order::the_next_agent",
            "egress_order::a_filter_that_stays_first",
            "enforce::exactly_the_ports",
            "network::path_mtu",
            "faults::generic_mode",
            // An iterator over all open files, by what the kernel says of its structures.
            "lockout::sshd_is_recognized",
        ],
    ),
    // Cards and devices that this machine may not have: run here and nowhere else. One after the other,
    // because a bond waited too long for its card beside another test's verifier.
    select("devices", &["--test-threads=1"]),
    // Not what only repeats: every length of a frame, floods, every kind of flow. Nor what loads the
    // programs for every table: what is noted of each frame, and how it leaves.
    select(
        "fixtures",
        &[
            "check::every_fixture",
            "check::without",
            "buffers",
            "connection",
        ],
    ),
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

/// Builds the selected tests, and with them the agent, as `cargo xtask test` does.
///
/// # Errors
/// The build fails, cargo says something unheard of, or the selection fits no tests.
pub fn build() -> Result<Vec<Program>> {
    step("building the agent and the tests (the first time takes a few minutes)");
    let mut build = cargo();
    // Without `--package`: cargo would build all again, with other features of the dependencies.
    build.args(["test", "--no-run"]);
    for selected in SELECTION {
        build.args(["--test", selected.name]);
    }
    build.args(["--message-format", "json-render-diagnostics"]);
    let programs = executables(&output(&mut build)?)?;
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
