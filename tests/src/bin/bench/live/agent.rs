//! `sccm-agent enforce`, the real program with a policy file.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use sccm_tests::agent::{Agent, command};
use sccm_tests::bpffs::BpfMount;
use tempfile::TempDir;

use super::Line;
use super::filter::{Installed, client};

/// Enforcing, until it is dropped.
pub struct AtWork<'l> {
    agent: Agent<'l>,
    _pins: BpfMount,
    _policy: TempDir,
}

impl<'l> AtWork<'l> {
    /// Starts it with a policy, at a hook.
    pub fn new(line: &'l Line, hook: &str, text: &str) -> Result<Self> {
        let policy = tempfile::tempdir()?;
        let path = policy.path().join("policy.toml");
        fs::write(&path, text)?;
        let pins = BpfMount::new()?;
        let arguments = format!(
            "enforce --config {} --interface eth0 --hook {hook}",
            path.display()
        );
        let enforce = command(&line.receiver, &arguments, &pins.path().join("agent"))?;
        Ok(Self {
            agent: Agent::start(&line.receiver, enforce)?,
            _pins: pins,
            _policy: policy,
        })
    }
}

impl Installed for AtWork<'_> {
    fn dropped(&self) -> Result<Option<u64>> {
        let labels = [("direction", "inbound"), ("reason", "not-allowed")];
        Ok(Some(self.agent.metrics()?.dropped(&labels)))
    }
}

/// A distribution point, and who may use it.
pub fn text(prefixes: Option<u32>) -> String {
    let mut text = String::new();
    if let Some(count) = prefixes {
        text.push_str("[peers]\nclient = [\n");
        for number in 0..count {
            // Writing into a string never fails.
            let _ = writeln!(text, "  \"{}\",", client(number));
        }
        text.push_str("]\n");
    }
    text + "[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n"
}
