//! The real agent, as a process on one of the hosts.

use std::env;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sccm_tests::bpffs::state_dir;
use sccm_tests::netns::Namespace;
use sccm_tests::signals::Interrupt;

use crate::counters::Counters;
use crate::web;

/// Where the agent serves metrics unless told otherwise.
pub const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 19470);

/// How long an answer from the host itself may take.
const LOCAL: Duration = Duration::from_secs(5);

/// How often, and how many times, to look whether the agent has come up or ended.
const STEP: Duration = Duration::from_millis(50);
const STEPS: u32 = 400;

/// A command line of `sccm-agent enforce`.
pub struct Enforce {
    /// The agent's program.
    pub program: PathBuf,
    /// The role.
    pub role: &'static str,
    /// The interface.
    pub interface: &'static str,
    /// A directory on a BPF file system.
    pub pin_dir: PathBuf,
}

impl Enforce {
    /// The program that was built with this one, into the same directory.
    pub fn find_program() -> Result<PathBuf> {
        let this = env::current_exe().context("cannot find this program's own file")?;
        let program = this.with_file_name("sccm-agent");
        ensure!(
            program.is_file(),
            "{} is missing: run `cargo xtask demo`, which builds it first",
            program.display()
        );
        Ok(program)
    }

    /// The command as a shell takes it.
    pub fn line(&self) -> String {
        let program = self.program.display().to_string();
        [program]
            .into_iter()
            .chain(self.arguments())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["enforce".to_owned()];
        let pin_dir = self.pin_dir.display().to_string();
        let state_dir = state_dir(&self.pin_dir).display().to_string();
        for (flag, value) in [
            ("--role", self.role),
            ("--interface", self.interface),
            ("--pin-dir", &pin_dir),
            ("--state-dir", &state_dir),
        ] {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
        arguments
    }
}

/// A running agent; dropping it kills it.
pub struct Agent {
    process: Child,
    /// Collects what it logs.
    log: Option<JoinHandle<String>>,
}

impl Agent {
    /// Starts it and waits until it says that it is ready.
    pub fn start(enforce: &Enforce, host: &Namespace, interrupt: &Interrupt) -> Result<Self> {
        let mut process = host
            .command(&enforce.program)
            .args(enforce.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", enforce.program.display()))?;
        let stderr = process.stderr.take();
        let log = thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stderr) = stderr {
                // What could be read is enough.
                let _ = stderr.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut agent = Self {
            process,
            log: Some(log),
        };
        for _ in 0..STEPS {
            let ready = host.enter(|| web::get(METRICS, "/-/ready", LOCAL));
            if ready.is_ok_and(|answer| answer.status == 200) {
                return Ok(agent);
            }
            if agent.process.try_wait()?.is_some() {
                bail!("sccm-agent ended at once:\n{}", agent.end());
            }
            interrupt.sleep(STEP)?;
        }
        bail!("sccm-agent does not get ready; it says:\n{}", agent.end())
    }

    /// Its counters as they are now.
    pub fn counters(&self, host: &Namespace) -> Result<Counters> {
        let answer = host
            .enter(|| web::get(METRICS, "/metrics", LOCAL))
            .context("reading the agent's metrics")?;
        ensure!(answer.status == 200, "/metrics: HTTP {}", answer.status);
        Counters::parse(&String::from_utf8(answer.body)?)
    }

    /// Ends it as an administrator would, and waits for that.
    pub fn stop(mut self, interrupt: &Interrupt) -> Result<()> {
        let id = i32::try_from(self.process.id())?;
        kill(Pid::from_raw(id), Signal::SIGTERM).context("telling the agent to end")?;
        for _ in 0..STEPS {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "sccm-agent: {status}\n{}", self.end());
                return Ok(());
            }
            interrupt.sleep(STEP)?;
        }
        bail!("sccm-agent does not end; it says:\n{}", self.end())
    }

    /// Makes sure that it has ended, and returns what it logged.
    fn end(&mut self) -> String {
        // Fails only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log.take().map(JoinHandle::join);
        log.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}
