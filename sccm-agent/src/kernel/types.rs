//! What the running kernel says of its own types: BTF (Documentation/bpf/btf.rst).
//!
//! aya reads it too, and does not tell where the members of a structure are.

use anyhow::{Context as _, Result};
use std::fs;

/// How a type begins: the offset of its name, kind and number of parts, and a size or another type.
const HEAD: usize = 12;

/// `BTF_KIND_*` of include/uapi/linux/btf.h.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// The types of a kernel.
pub(super) struct Types {
    /// One behind the other. The first has the number 1.
    types: Vec<u8>,
    /// Names, each with a zero behind it.
    strings: Vec<u8>,
}

/// One of them.
struct Type<'a> {
    number: u32,
    name: u32,
    kind: u32,
    /// Its members, parameters and the like.
    parts: &'a [u8],
}

impl Types {
    /// Reads those of the running kernel.
    pub(super) fn of_this_kernel() -> Result<Self> {
        let path = "/sys/kernel/btf/vmlinux";
        let bytes = fs::read(path).with_context(|| format!("reading {path}"))?;
        Self::of(&bytes).with_context(|| format!("{path} is not as long as it says"))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        // Behind magic number, version and flags.
        let [header, types, types_length, strings, strings_length] =
            [4, 8, 12, 16, 20].map(|at| word(bytes, at));
        let body = bytes.get(header? as usize..)?;
        let part = |from: u32, length: u32| {
            let part = body.get(from as usize..)?.get(..length as usize)?;
            Some(part.to_vec())
        };
        Some(Self {
            types: part(types?, types_length?)?,
            strings: part(strings?, strings_length?)?,
        })
    }

    /// The number of a function's type.
    pub(super) fn function(&self, name: &str) -> Result<u32> {
        let mut functions = self.all().filter(|one| one.kind == kind::FUNC);
        let found = functions.find(|one| self.is_called(one.name, name));
        let found = found.with_context(|| format!("the kernel has no function {name}"))?;
        Ok(found.number)
    }

    /// Where a member is in a structure, in bytes.
    pub(super) fn member(&self, structure: &str, member: &str) -> Result<i16> {
        let structures = self.all().filter(|one| one.kind == kind::STRUCT);
        let mut members = structures
            .filter(|one| self.is_called(one.name, structure))
            .flat_map(|one| one.parts.chunks_exact(HEAD));
        let found = members.find_map(|part| {
            // Name, type, and in the lower three bytes the offset in bits.
            let is_it = self.is_called(word(part, 0)?, member);
            is_it.then_some((word(part, 8)? & 0x00ff_ffff) / 8)
        });
        let bytes = found.with_context(|| format!("the kernel has no {structure}.{member}"))?;
        i16::try_from(bytes).with_context(|| format!("{structure}.{member} is far away"))
    }

    fn all(&self) -> impl Iterator<Item = Type<'_>> {
        let mut rest = self.types.as_slice();
        (1..).map_while(move |number| {
            let (name, info) = (word(rest, 0)?, word(rest, 4)?);
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let length = match kind {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => count * 12,
                kind::ENUM | kind::FUNC_PROTO => count * 8,
                _ => 0,
            };
            let parts = rest.get(HEAD..HEAD + length)?;
            rest = &rest[HEAD + length..];
            Some(Type {
                number,
                name,
                kind,
                parts,
            })
        })
    }

    fn is_called(&self, at: u32, name: &str) -> bool {
        let found = self.strings.get(at as usize..);
        let rest = found.and_then(|found| found.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: &[u8] = b"\0task\0comm\0pid\0walk\0";
    const TASK: u32 = 1;
    const COMM: u32 = 6;
    const PID: u32 = 11;
    const WALK: u32 = 15;

    /// An integer, a structure of two, and a function.
    fn some() -> Vec<u8> {
        let types = [
            [0, kind::INT << 24, 4].as_slice(),
            &[32],
            // Its second member is a field of eight bits.
            &[TASK, 1 << 31 | kind::STRUCT << 24 | 2, 8],
            &[PID, 1, 0, COMM, 1, 8 << 24 | 32],
            &[WALK, kind::FUNC << 24, 1],
        ]
        .concat();
        let length = (types.len() * 4) as u32;
        let header = [0x0001_eb9f, 24, 0, length, length, STRINGS.len() as u32];
        let words = header.into_iter().chain(types);
        let mut bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
        bytes.extend(STRINGS);
        bytes
    }

    #[test]
    fn members_and_functions_are_found_by_their_names() {
        let types = Types::of(&some()).unwrap();
        assert_eq!(types.member("task", "pid").unwrap(), 0);
        assert_eq!(types.member("task", "comm").unwrap(), 4);
        assert_eq!(types.function("walk").unwrap(), 3);
        // Neither the beginning of a name, nor a name of something else.
        assert!(types.member("task", "com").is_err());
        assert!(types.member("walk", "pid").is_err());
        assert!(types.function("task").is_err());
    }

    #[test]
    fn what_was_cut_short_is_no_description_of_types() {
        let whole = some();
        for length in 0..whole.len() {
            assert!(Types::of(&whole[..length]).is_none(), "{length}");
        }
    }
}
