//! All programs and maps that the kernel has, whoever loaded them.

use anyhow::{Context as _, Result};
use aya::maps::{MapInfo, loaded_maps};
use aya::programs::{ProgramInfo, loaded_programs};
use serde::Serialize;

/// A program, as bpf(2) tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoadedProgram {
    /// Its id.
    pub id: u32,
    /// Its name, at most 15 characters of it; empty if it has none.
    pub name: String,
    /// Its type, as bpf.h calls it.
    pub kind: String,
    /// A hash of its instructions.
    pub tag: String,
    /// Bytes of its instructions; null if the kernel does not tell.
    pub bytes: Option<u32>,
    /// Bytes of machine code; 0 if it is interpreted.
    pub machine_code_bytes: u32,
    /// Instructions that the verifier followed; null before Linux 5.16.
    pub verified_instructions: Option<u32>,
    /// Ids of its maps.
    pub maps: Vec<u32>,
}

/// A map, as bpf(2) tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoadedMap {
    /// Its id.
    pub id: u32,
    /// Its name, at most 15 characters of it; empty if it has none.
    pub name: String,
    /// Its type; null if this program does not know it.
    pub kind: Option<String>,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// How many it can hold.
    pub entries: u32,
}

/// The kernel's programs.
///
/// # Errors
/// The kernel does not tell this user.
pub fn programs() -> Result<Vec<LoadedProgram>> {
    let programs = loaded_programs().map(|program| program_of(&program?));
    let programs: Result<_> = programs.collect();
    programs.context("listing the kernel's programs")
}

fn program_of(info: &ProgramInfo) -> Result<LoadedProgram> {
    let kind = format!("{:?}", info.program_type());
    Ok(LoadedProgram {
        id: info.id(),
        name: String::from_utf8_lossy(info.name()).into_owned(),
        kind: kind.trim_start_matches("BPF_PROG_TYPE_").to_lowercase(),
        tag: format!("{:016x}", info.tag()),
        bytes: info.size_translated(),
        machine_code_bytes: info.size_jitted(),
        verified_instructions: info.verified_instruction_count(),
        maps: info.map_ids()?.unwrap_or_default(),
    })
}

/// The kernel's maps.
///
/// # Errors
/// The kernel does not tell this user.
pub fn maps() -> Result<Vec<LoadedMap>> {
    let maps = loaded_maps().map(|map| Ok(map_of(&map?)));
    let maps: Result<_> = maps.collect();
    maps.context("listing the kernel's maps")
}

fn map_of(info: &MapInfo) -> LoadedMap {
    LoadedMap {
        id: info.id(),
        name: String::from_utf8_lossy(info.name()).into_owned(),
        kind: info.map_type().ok().map(|kind| format!("{kind:?}")),
        key_bytes: info.key_size(),
        value_bytes: info.value_size(),
        entries: info.max_entries(),
    }
}
