//! Describes a program that is attached where ours should be.

use crate::visible::one_line;
use aya::programs::loaded_programs;
use std::fs;
use std::path::Path;

/// The name of a program, and the processes that hold it, for messages.
#[must_use]
pub fn describe(id: u32) -> String {
    let mut text = name(id);
    let holders = holders(id);
    if !holders.is_empty() {
        text.push_str(&format!(", held by {}", holders.join(", ")));
    }
    text
}

/// The name of a program, and its id. Only with CAP_SYS_ADMIN does the kernel tell the name.
#[must_use]
pub(super) fn name(id: u32) -> String {
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    match name {
        Some(name) if !name.is_empty() => format!("program `{name}` (id {id})"),
        _ => format!("program id {id}"),
    }
}

/// Processes that have the program, or a link of it, open.
fn holders(id: u32) -> Vec<String> {
    let wanted = format!("prog_id:\t{id}");
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(Result::ok)
        .map(|process| process.path())
        .filter(|process| holds(process, &wanted))
        .map(|process| {
            let pid = process
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            format!("{} (pid {pid})", one_line(name.trim()))
        })
        .collect()
}

fn holds(process: &Path, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fdinfo")) else {
        return false;
    };
    descriptors.filter_map(Result::ok).any(|descriptor| {
        fs::read_to_string(descriptor.path())
            .is_ok_and(|info| info.lines().any(|line| line == wanted))
    })
}
