//! Whose sockets are whose, also of other users' processes.
//!
//! `/proc/PID/fd` tells it to who may trace the process (`CAP_SYS_PTRACE`). An iterator of the kernel's,
//! which calls a program for each open file of each process, takes only what the agent has anyway.

use super::bpf::{instruction, iterate};
use super::types::Types;
use anyhow::{Context as _, Result};
use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_AND, BPF_CALL, BPF_DW, BPF_EXIT, BPF_H, BPF_JEQ, BPF_JMP, BPF_JMP32,
    BPF_JNE, BPF_K, BPF_LDX, BPF_MEM, BPF_MOV, BPF_STX, BPF_W, BPF_X, bpf_func_id, bpf_insn,
};
use std::collections::HashSet;
use std::io::{self, ErrorKind, Read as _};

/// Where the members of the kernel's structures are, in bytes.
struct Offsets {
    /// The name in `task_struct`.
    name: i16,
    /// The inode in `file`.
    inode: i16,
    /// The kind of file in `inode`.
    mode: i16,
    /// Its number in `inode`.
    number: i16,
}

/// The inodes of the sockets of all processes of this PID namespace whose names begin so.
///
/// # Errors
/// The kernel has no such iterator, or refuses it.
pub fn sockets_of(name: [u8; 4]) -> Result<HashSet<u64>> {
    let types = Types::of_this_kernel()?;
    let offsets = Offsets {
        name: types.member("task_struct", "comm")?,
        inode: types.member("file", "f_inode")?,
        mode: types.member("inode", "i_mode")?,
        number: types.member("inode", "i_ino")?,
    };
    let target = types.function("bpf_iter_task_file")?;
    let walked = walk(target, &program(&offsets, name));
    walked.context("walking over the files of all processes")
}

/// Everything that the program writes.
fn walk(target: u32, program: &[bpf_insn]) -> io::Result<HashSet<u64>> {
    let mut written = iterate(target, program)?;
    let mut bytes = Vec::new();
    // The kernel returns after a million files of which nothing was written.
    while let Err(error) = written.read_to_end(&mut bytes) {
        if error.kind() != ErrorKind::WouldBlock {
            return Err(error);
        }
    }
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers.iter().copied().map(u64::from_ne_bytes).collect())
}

/// Writes the number of the inode, if the file is a socket and the process is called so.
fn program(offsets: &Offsets, name: [u8; 4]) -> Vec<bpf_insn> {
    // `struct bpf_iter__task_file`: what it writes to, the process, a descriptor, the file.
    const META: i16 = 0;
    const TASK: i16 = 8;
    const FILE: i16 = 24;
    /// The first member of `struct bpf_iter_meta`.
    const SEQ: i16 = 0;
    const SOCKET: i32 = libc::S_IFSOCK as i32;
    const TYPE: i32 = libc::S_IFMT as i32;
    let load = |size, to, from, at| instruction(BPF_LDX | BPF_MEM | size, (to, from), at, 0);
    let copy = |to, from| instruction(BPF_ALU64 | BPF_MOV | BPF_X, (to, from), 0, 0);
    let set = |to, value| instruction(BPF_ALU64 | BPF_MOV | BPF_K, (to, 0), 0, value);
    let end = |class, is, register, value, further| {
        instruction(class | is | BPF_K, (register, 0), further, value)
    };
    let write = bpf_func_id::BPF_FUNC_seq_write as i32;
    vec![
        copy(6, 1),
        load(BPF_DW, 7, 6, TASK),
        end(BPF_JMP, BPF_JEQ, 7, 0, 16),
        load(BPF_DW, 8, 6, FILE),
        end(BPF_JMP, BPF_JEQ, 8, 0, 14),
        load(BPF_W, 1, 7, offsets.name),
        end(BPF_JMP32, BPF_JNE, 1, i32::from_ne_bytes(name), 12),
        load(BPF_DW, 8, 8, offsets.inode),
        load(BPF_H, 1, 8, offsets.mode),
        instruction(BPF_ALU64 | BPF_AND | BPF_K, (1, 0), 0, TYPE),
        end(BPF_JMP, BPF_JNE, 1, SOCKET, 8),
        load(BPF_DW, 1, 8, offsets.number),
        instruction(BPF_STX | BPF_MEM | BPF_DW, (10, 1), -8, 0),
        load(BPF_DW, 1, 6, META),
        load(BPF_DW, 1, 1, SEQ),
        copy(2, 10),
        instruction(BPF_ALU64 | BPF_ADD | BPF_K, (2, 0), 0, -8),
        set(3, 8),
        instruction(BPF_JMP | BPF_CALL, (0, 0), 0, write),
        set(0, 0),
        instruction(BPF_JMP | BPF_EXIT, (0, 0), 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever skips a socket goes to where the result is set, whatever was inserted before.
    #[test]
    fn all_ways_out_lead_to_the_end() {
        let offsets = Offsets {
            name: 0,
            inode: 0,
            mode: 0,
            number: 0,
        };
        let program = program(&offsets, *b"sshd");
        let end = program.len() - 2;
        for (at, one) in program.iter().enumerate() {
            let class = u32::from(one.code) & 7;
            let calls = [BPF_CALL, BPF_EXIT].contains(&(u32::from(one.code) & 0xf0));
            if [BPF_JMP, BPF_JMP32].contains(&class) && !calls {
                assert_eq!(at as i16 + 1 + one.off, end as i16, "instruction {at}");
            }
        }
    }
}
