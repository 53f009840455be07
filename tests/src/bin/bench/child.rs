//! Programs that the benchmark starts: Debian's packages, and what has to run beside them.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How long something may take to start; firewalld is written in Python.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command to its end, and returns what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| line.clone())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{line} failed: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs until it is dropped, and says nothing.
pub struct Background(Child);

impl Background {
    /// Starts it. Its input stays open.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped());
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let line = format!("{quiet:?}");
        Ok(Self(quiet.spawn().context(line)?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is there.
pub fn wait_until(is_there: impl Fn() -> bool, what: &str) -> Result<()> {
    let start = Instant::now();
    while !is_there() {
        ensure!(
            start.elapsed() < LIMIT,
            "{what} is not there after {LIMIT:?}"
        );
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
