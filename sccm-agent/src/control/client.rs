//! The other end of the control socket: a command that asks a running agent.

use super::{Answer, GROUP, Request};
use anyhow::{Context as _, Result, anyhow};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an agent may take. A policy at all its limits takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The most bytes of an answer.
const LONGEST_ANSWER: u64 = 1 << 20;

/// The agent took the request, and nobody knows what came of it.
#[derive(Debug)]
pub struct NoAnswer(anyhow::Error);

/// A connection to an agent.
pub struct Connection(UnixStream);

impl Connection {
    /// Connects to the agent that listens at `socket`.
    ///
    /// # Errors
    /// There is none, or it is not for this user.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(
                "no sccm-agent listens on {}: start one, or give the --pin-dir or \
                 --control-socket of the one that runs",
                socket.display()
            ),
            ErrorKind::PermissionDenied => anyhow!(
                "{} is for root and the group {GROUP}: run this as root, for example with sudo",
                socket.display()
            ),
            _ => anyhow!(error).context(format!("connecting to {}", socket.display())),
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The agent went away, or did not answer in time.
    pub fn ask(mut self, request: &Request) -> Result<Answer, NoAnswer> {
        self.exchange(request).map_err(NoAnswer)
    }

    fn exchange(&mut self, request: &Request) -> Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.0.write_all(&line).context("asking the agent")?;
        let mut answer = String::new();
        // Who is refused at once sees no end of the connection, but a reset.
        let mut limited = BufReader::new((&self.0).take(LONGEST_ANSWER));
        limited
            .read_line(&mut answer)
            .context("waiting for the agent's answer")?;
        serde_json::from_str(&answer).context("the agent went away without an answer")
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:#}; `sccm-agent status` says what is enforced now",
            self.0
        )
    }
}
