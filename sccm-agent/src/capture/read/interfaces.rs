//! The interfaces of a file, each under one number, whichever section describes it.

use anyhow::{Result, ensure};
use std::collections::HashMap;

/// More than any machine has; more names are not kept.
const MOST: usize = 4096;

/// More letters than Linux, and most others, give a name.
const LONGEST: usize = 128;

#[derive(Default)]
pub(super) struct Interfaces {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    /// Of those that only packets name, by the number that the kernel had given them.
    indices: HashMap<u32, usize>,
}

impl Interfaces {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or("", String::as_str)
    }

    /// The number of the one with this name.
    pub(super) fn named(&mut self, name: &str) -> Result<usize> {
        let name: String = name.chars().take(LONGEST).collect();
        if let Some(known) = self.numbers.get(&name) {
            return Ok(*known);
        }
        ensure!(
            self.names.len() < MOST,
            "of more than {MOST} interfaces: no capture has so many"
        );
        let number = self.names.len();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Ok(number)
    }

    /// The number of the one that packets call by this number.
    pub(super) fn indexed(&mut self, index: u32) -> Result<usize> {
        if let Some(known) = self.indices.get(&index) {
            return Ok(*known);
        }
        let number = self.named(&format!("interface index {index}"))?;
        self.indices.insert(index, number);
        Ok(number)
    }
}
