//! The agent's end of the control socket.
//!
//! Commands are bounded in number, requests in size, and both ways in time. Whoever floods the
//! socket is refused, or waits: others do not ([`super::turns`]).

use super::socket::ControlSocket;
use super::turns::{Rank, Row, Seats};
use super::{Answer, LONGEST_REQUEST, Request};
use crate::policies::Policies;
use crate::units::{self, LONGEST_WAIT};
use anyhow::{Context as _, Result, ensure};
use nix::unistd::Uid;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::time::{sleep, timeout};

/// How long a client may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all commands share.
struct Desk {
    policies: Arc<Policies>,
    seats: Arc<Seats>,
    /// Those that end a trial, or go back.
    decisions: Arc<Row>,
    /// Others that read no file.
    changes: Arc<Row>,
    /// Those that read files, which may hang.
    readings: Arc<Row>,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy)]
struct Client {
    credentials: UCred,
    rank: Rank,
}

impl ControlSocket {
    /// Carries out commands until the process ends. What goes wrong with one client concerns no
    /// other.
    pub async fn serve(&self, policies: Arc<Policies>) -> Infallible {
        let desk = Arc::new(Desk {
            policies,
            seats: Arc::default(),
            decisions: Arc::default(),
            changes: Arc::default(),
            readings: Arc::default(),
        });
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    // Out of descriptors, most likely: not at once again.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Err(error) = desk.receive(stream, self.has_group) {
                tracing::debug!("control socket: {error:#}");
            }
        }
    }
}

impl Desk {
    /// Waits for nobody: more clients wait behind this one.
    fn receive(self: &Arc<Self>, stream: UnixStream, has_group: bool) -> Result<()> {
        let client = Client::of(&stream, has_group)?;
        let Some(seat) = self.seats.take(client.rank, client.credentials.uid()) else {
            let error = "too many commands at once: wait until the others are done";
            let line = to_line(&refused(error.to_owned()))?;
            // The connection is new, so there is room for a line.
            stream.try_write(&line).context("refusing")?;
            return Ok(());
        };
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = desk.converse(stream, client).await {
                tracing::warn!("control socket: {error:#}");
            }
            drop(seat);
        });
        Ok(())
    }

    async fn converse(&self, mut stream: UnixStream, client: Client) -> Result<()> {
        // Asked first, because an answer to a question that was not read gets lost.
        let asked = timeout(PATIENCE, read(&mut stream)).await;
        let answer = match (client.authorize(), asked) {
            (Err(error), _) | (_, Ok(Err(error))) => refused(format!("{error:#}")),
            (_, Err(_)) => refused(format!("no request within {}", units::brief(PATIENCE))),
            (Ok(()), Ok(Ok(request))) => self.obey(client, request).await,
        };
        if let Answer::Refused { error } = &answer {
            let (uid, pid) = (client.credentials.uid(), client.credentials.pid());
            tracing::warn!(uid, pid, "refused: {error}");
        }
        timeout(PATIENCE, stream.write_all(&to_line(&answer)?))
            .await
            .context("the client did not read the answer in time")?
            .context("answering")
    }

    async fn obey(&self, client: Client, request: Request) -> Answer {
        let row = match request {
            Request::Confirm {} | Request::Rollback { .. } => &self.decisions,
            Request::Promote(_) | Request::EndShadow {} => &self.changes,
            Request::Reload(_) | Request::Shadow {} => &self.readings,
        };
        let _turn = row.turn(client.rank).await;
        tracing::info!(
            uid = client.credentials.uid(),
            gid = client.credentials.gid(),
            pid = client.credentials.pid(),
            "command: {request}"
        );
        let policies = &self.policies;
        let result = match request {
            Request::Reload(order) => policies.reload(order).await,
            Request::Shadow {} => policies.shadow().await,
            Request::EndShadow {} => policies.end_shadow().await,
            Request::Promote(order) => policies.promote(order).await,
            Request::Confirm {} => policies.confirm().await,
            Request::Rollback { accept_lockout } => policies.rollback(accept_lockout).await,
        };
        match result {
            Ok(outcome) => {
                tracing::info!("{outcome}");
                Answer::Done(outcome)
            }
            Err(error) => refused(format!("{error:#}")),
        }
    }
}

impl Client {
    /// Which groups a client is in the kernel does not tell, so where there is the group, the
    /// file's mode alone decides.
    fn of(stream: &UnixStream, has_group: bool) -> Result<Self> {
        let credentials = stream
            .peer_cred()
            .context("reading the client's user and group")?;
        let user = Uid::from_raw(credentials.uid());
        let rank = if user.is_root() || user == Uid::effective() {
            Rank::Root
        } else if has_group {
            Rank::Member
        } else {
            Rank::Other
        };
        Ok(Self { credentials, rank })
    }

    /// The file's mode has kept others out already, unless somebody changed it.
    fn authorize(&self) -> Result<()> {
        ensure!(
            self.rank != Rank::Other,
            "only root may give commands: uid {}, gid {}, is not",
            self.credentials.uid(),
            self.credentials.gid()
        );
        Ok(())
    }
}

fn to_line(answer: &Answer) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(line)
}

async fn read(stream: &mut UnixStream) -> Result<Request> {
    let mut line = String::new();
    let mut limited = BufReader::new(stream.take(LONGEST_REQUEST));
    limited
        .read_line(&mut line)
        .await
        .context("the request is no line of text")?;
    ensure!(
        line.ends_with('\n'),
        "a request is one line of at most {LONGEST_REQUEST} bytes"
    );
    let request: Request =
        serde_json::from_str(&line).context("this agent knows no such request")?;
    if let Request::Reload(order) | Request::Promote(order) = request {
        let in_bounds = |seconds| (1..=LONGEST_WAIT.as_secs()).contains(&seconds);
        ensure!(
            order.confirm_within.is_none_or(in_bounds),
            "confirm_within is from 1 to {} seconds",
            LONGEST_WAIT.as_secs()
        );
    }
    Ok(request)
}

fn refused(error: String) -> Answer {
    Answer::Refused { error }
}
