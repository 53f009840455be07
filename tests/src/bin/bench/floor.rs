//! Programs that do nothing, to subtract; and one that shows another program ever new peers.
//!
//! A test run gives a program the same frame again and again, so it opens a flow once and hits it
//! from then on. A [`Walk`] counts up an address in the frame before it calls the program, so that
//! every repetition is a packet of another peer, in a loop as tight as the plain one. Its floor is
//! the same walk to the empty program.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::Result;
use sccm_common::Hook;

use crate::sys::{self, Instruction};

/// Operations (`Documentation/bpf/standardization/instruction-set.rst`).
mod code {
    pub const ADD_CONSTANT: u8 = 0x07;
    pub const LOAD_MAP: u8 = 0x18;
    pub const JUMP_IF_GREATER: u8 = 0x2d;
    pub const LOAD_WORD: u8 = 0x61;
    pub const STORE_WORD: u8 = 0x63;
    pub const CALL: u8 = 0x85;
    pub const EXIT: u8 = 0x95;
    pub const MOVE_CONSTANT: u8 = 0xb7;
    pub const MOVE: u8 = 0xbf;
}

/// The number of `bpf_tail_call`.
const TAIL_CALL: i32 = 12;

/// A map's descriptor follows as the constant (`BPF_PSEUDO_MAP_FD`).
const MAP_DESCRIPTOR: u8 = 1;

/// What a program returns for a frame that goes on, and for one that is dropped: at XDP, or at TC, as
/// at egress.
pub const fn returned(hook: Hook, passes: bool) -> u32 {
    match (hook, passes) {
        (Hook::Ingress, true) => 2,
        (Hook::Ingress, false) => 1,
        // TC_ACT_UNSPEC is -1.
        (Hook::Egress, true) => u32::MAX,
        (Hook::Egress, false) => 2,
    }
}

/// Where the context holds the bounds of the frame (`struct xdp_md`, `struct __sk_buff`).
const fn bounds(hook: Hook) -> (i16, i16) {
    match hook {
        Hook::Ingress => (0, 4),
        Hook::Egress => (76, 80),
    }
}

/// A program of two instructions: let it pass.
pub fn empty(hook: Hook) -> Result<OwnedFd> {
    returning(hook, returned(hook, true))
}

/// A program of two instructions: drop it as it arrives.
pub fn drop_all() -> Result<OwnedFd> {
    returning(Hook::Ingress, returned(Hook::Ingress, false))
}

fn returning(hook: Hook, verdict: u32) -> Result<OwnedFd> {
    sys::load(
        hook,
        &[
            Instruction::new(code::MOVE_CONSTANT, (0, 0), 0, verdict as i32),
            Instruction::new(code::EXIT, (0, 0), 0, 0),
        ],
    )
}

/// A program that changes the frame, and goes on with another program.
pub struct Walk {
    program: OwnedFd,
    /// Emptied by the kernel when nobody holds it, whoever uses it (`bpf_fd_array_map_clear`).
    _target: OwnedFd,
}

impl Walk {
    /// Counts up the four bytes `at` this offset of the frame before each run of `target`.
    pub fn new(hook: Hook, at: i16, target: BorrowedFd<'_>) -> Result<Self> {
        let array = sys::program_array(target)?;
        let (data, end) = bounds(hook);
        let program = sys::load(
            hook,
            &[
                Instruction::new(code::MOVE, (6, 1), 0, 0),
                Instruction::new(code::LOAD_WORD, (2, 1), data, 0),
                Instruction::new(code::LOAD_WORD, (3, 1), end, 0),
                // To the exit, when the frame has no such bytes.
                Instruction::new(code::MOVE, (4, 2), 0, 0),
                Instruction::new(code::ADD_CONSTANT, (4, 0), 0, i32::from(at) + 4),
                Instruction::new(code::JUMP_IF_GREATER, (4, 3), 8, 0),
                Instruction::new(code::LOAD_WORD, (5, 2), at, 0),
                Instruction::new(code::ADD_CONSTANT, (5, 0), 0, 1),
                Instruction::new(code::STORE_WORD, (2, 5), at, 0),
                Instruction::new(code::MOVE, (1, 6), 0, 0),
                Instruction::new(code::LOAD_MAP, (2, MAP_DESCRIPTOR), 0, array.as_raw_fd()),
                Instruction::new(0, (0, 0), 0, 0),
                Instruction::new(code::MOVE_CONSTANT, (3, 0), 0, 0),
                Instruction::new(code::CALL, (0, 0), 0, TAIL_CALL),
                // Nothing that any of our programs returns.
                Instruction::new(code::MOVE_CONSTANT, (0, 0), 0, 0),
                Instruction::new(code::EXIT, (0, 0), 0, 0),
            ],
        )?;
        Ok(Self {
            program,
            _target: array,
        })
    }

    /// The program to run.
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}
