//! The real `sccm-agent` program as a process inside a throw-away host.
//!
//! Every wait has a limit, and a process that is dropped is killed and reaped, so a failing test
//! leaves nothing behind.

mod binary;
mod hosts;
mod policy;
mod probe;
mod process;
mod witness;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};

pub use hosts::{Hosts, Status};
pub use policy::PolicyFile;
pub use probe::{ALLOWED, FORBIDDEN, LONG};
pub use process::{Finished, Process, run};
pub use witness::{Seen, Witness};

pub use crate::ingress::mode;

use crate::bpffs::state_dir;
use crate::ingress;
use crate::netns::Namespace;
use crate::scrape::{self, Metrics};

/// Where an agent serves metrics unless told otherwise.
pub const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 19470);

/// What most agents here are told: `enforce` with this.
pub const POINT: &str = "--role distribution-point --interface eth0";

/// How long an agent may take to attach, or to end. It takes a tenth of a second; an emulated
/// machine on a busy one takes several hundred times as long.
const LIMIT: Duration = Duration::from_secs(180);

/// `sccm-agent ARGUMENTS --pin-dir PINS` inside the namespace; arguments are separated by spaces. The
/// decisions of an agent are kept beside its pins.
pub fn command(inside: &Namespace, arguments: &str, pins: &Path) -> Result<Command> {
    let mut command = inside.command(binary::find()?);
    command
        .args(arguments.split_whitespace())
        .arg("--pin-dir")
        .arg(pins)
        .env_remove("RUST_LOG");
    if arguments.starts_with("enforce") {
        command.arg("--state-dir").arg(state_dir(pins));
        if !arguments.contains("--hook") {
            command.arg("--hook").arg(ingress::flag());
        }
    }
    Ok(command)
}

/// `sccm-agent` alone, for commands that touch nothing.
pub fn program() -> Result<Command> {
    let mut command = Command::new(binary::find()?);
    command.env_remove("RUST_LOG");
    Ok(command)
}

/// An agent that is enforcing, with its metrics at [`METRICS`]; dropping it kills it.
#[derive(Debug)]
pub struct Agent<'n> {
    inside: &'n Namespace,
    process: Process,
}

impl<'n> Agent<'n> {
    /// Starts `command` (an `enforce` made by [`command`]) and waits until it says that it is
    /// ready.
    ///
    /// # Errors
    /// When it ends instead, with what it said, or is not ready in time.
    pub fn start(inside: &'n Namespace, command: Command) -> Result<Self> {
        Self::start_until(inside, command, |agent| {
            matches!(agent.get("/-/ready"), Ok((200, _)))
        })
    }

    /// The same for an agent that does not answer everybody: waits until it logs that it has
    /// attached.
    pub fn start_guarded(inside: &'n Namespace, command: Command) -> Result<Self> {
        Self::start_until(inside, command, |agent| {
            agent.log().is_ok_and(|log| log.contains("enforcing"))
        })
    }

    fn start_until(
        inside: &'n Namespace,
        command: Command,
        is_ready: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        let mut agent = Self::spawn(inside, command)?;
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(code) = agent.process.has_ended()? {
                bail!("the agent ended with {code}: {}", agent.log()?);
            }
            if is_ready(&agent) {
                return Ok(agent);
            }
            sleep(Duration::from_millis(10));
        }
        bail!("the agent is not ready after {LIMIT:?}: {}", agent.log()?)
    }

    /// [`Agent::start`] without the wait.
    pub fn spawn(inside: &'n Namespace, command: Command) -> Result<Self> {
        Ok(Self {
            inside,
            process: Process::spawn(command)?,
        })
    }

    /// Its directory below `/proc`.
    pub fn proc(&self) -> Result<PathBuf> {
        Ok(Path::new("/proc").join(self.process.id()?.to_string()))
    }

    /// What it has logged so far.
    pub fn log(&self) -> Result<String> {
        self.process.stderr()
    }

    /// The HTTP status and body that it answers for a path.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        scrape::get(self.inside, METRICS, path)
    }

    /// The HTTP status and body that it answers for a POST to a path.
    pub fn post(&self, path: &str) -> Result<(u16, String)> {
        scrape::post(self.inside, METRICS, path)
    }

    /// Sends the signal, which is not one to end.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.process.id()?, signal).context("signalling the agent")
    }

    /// Waits until the agent has ended by itself.
    pub fn wait(self) -> Result<Finished> {
        self.process.finish()
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Result<Metrics> {
        let (status, body) = self.get("/metrics")?;
        ensure!(status == 200, "/metrics answered {status}: {body}");
        Metrics::parse(&body)
    }

    /// The first metrics that `enough` accepts. Packets are counted a moment after they are sent.
    ///
    /// # Errors
    /// When none are in time, with the last ones.
    pub fn metrics_when(&self, enough: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let end = Instant::now() + LIMIT;
        loop {
            let metrics = self.metrics()?;
            if enough(&metrics) {
                return Ok(metrics);
            }
            if Instant::now() > end {
                bail!("the counters do not get there: {metrics:#?}");
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Sends the signal and waits until the agent has ended.
    pub fn end(self, signal: Signal) -> Result<Finished> {
        kill(self.process.id()?, signal).context("signalling the agent")?;
        self.process.finish()
    }
}
