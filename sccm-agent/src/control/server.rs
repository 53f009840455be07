//! The agent's end of the control socket.
//!
//! Connections are bounded in number, requests in size, and both ways in time, so
//! that a member of the group can at worst be slow to answer.

use super::{Answer, GROUP, LONGEST_REQUEST, Request};
use crate::policies::Policies;
use crate::units::{self, LONGEST_WAIT};
use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, chown};
use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections that are served at once, and that wait to be.
const AT_ONCE: usize = 8;
const WAITING: u32 = 16;

/// How long a client may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Owner and group may connect, which takes the right to write (unix(7)).
const MODE: u32 = 0o660;

/// A socket that commands come in by; removed when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    has_group: bool,
}

impl ControlSocket {
    /// Makes the socket, in the place of one whose agent has died.
    ///
    /// # Errors
    /// Somebody listens there, it is no socket, or the directory does not allow it.
    pub fn bind(path: &Path) -> Result<Self> {
        let making = || format!("making the control socket {}", path.display());
        make_directory(path).with_context(making)?;
        remove_stale(path)?;
        let socket = UnixSocket::new_stream().with_context(making)?;
        socket
            .bind(path)
            .with_context(|| format!("{}: choose another path with --control-socket", making()))?;
        // Nobody can connect before it listens.
        let group = match Group::from_name(GROUP) {
            // A small system without any list of groups.
            Err(Errno::ENOENT) => None,
            found => found.context("looking up groups")?,
        };
        match &group {
            Some(group) => chown(path, None::<Uid>, Some(group.gid)).with_context(making)?,
            None => tracing::info!("there is no group {GROUP}: only root may give commands"),
        }
        fs::set_permissions(path, Permissions::from_mode(MODE)).with_context(making)?;
        let inode = fs::symlink_metadata(path).with_context(making)?.ino();
        Ok(Self {
            listener: socket.listen(WAITING).with_context(making)?,
            path: path.to_owned(),
            inode,
            has_group: group.is_some(),
        })
    }

    /// Carries out commands until the process ends. What goes wrong with one client concerns no
    /// other.
    pub async fn serve(&self, policies: Arc<Policies>) -> Infallible {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            // Never an error: nobody closes it.
            let permit = Arc::clone(&permits).acquire_owned().await;
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    // Out of descriptors, most likely: not at once again.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (policies, has_group) = (Arc::clone(&policies), self.has_group);
            tokio::spawn(async move {
                if let Err(error) = converse(stream, has_group, &policies).await {
                    tracing::warn!("control socket: {error:#}");
                }
                drop(permit);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("removing {}: {error}", self.path.display());
        }
    }
}

/// The directory of the socket, if it is not there yet. Others must be able to
/// pass through it: the socket itself says who may come in.
fn make_directory(path: &Path) -> Result<()> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes the socket of an agent that was killed.
fn remove_stale(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("looking at {}", path.display()))?,
    };
    ensure!(
        found.file_type().is_socket(),
        "{} is there and is no socket: give another --control-socket",
        path.display()
    );
    match StdStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
        }
        _ => bail!(
            "another program listens on {}: stop it, or give this agent another \
             --control-socket",
            path.display()
        ),
    }
}

async fn converse(mut stream: UnixStream, has_group: bool, policies: &Policies) -> Result<()> {
    let client = stream.peer_cred().context("asking who the client is")?;
    // Asked first, because an answer to a question that was not read gets lost.
    let asked = timeout(PATIENCE, read(&mut stream)).await;
    let answer = match (authorize(&client, has_group), asked) {
        (Err(error), _) | (_, Ok(Err(error))) => refused(format!("{error:#}")),
        (_, Err(_)) => refused(format!("no request within {}", units::brief(PATIENCE))),
        (Ok(()), Ok(Ok(request))) => obey(&client, request, policies).await,
    };
    if let Answer::Refused { error } = &answer {
        tracing::warn!(uid = client.uid(), pid = client.pid(), "refused: {error}");
    }
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line))
        .await
        .context("the client did not read the answer in time")?
        .context("answering")
}

/// The file's mode has kept others out already, unless somebody changed it. Which
/// groups a client is in the kernel does not tell, so where there is the group, the mode
/// alone decides.
fn authorize(client: &UCred, has_group: bool) -> Result<()> {
    let uid = Uid::from_raw(client.uid());
    ensure!(
        uid.is_root() || uid == Uid::effective() || has_group,
        "only root may give commands: uid {uid}, gid {}, is not",
        Gid::from_raw(client.gid())
    );
    Ok(())
}

async fn read(stream: &mut UnixStream) -> Result<Request> {
    let mut line = String::new();
    let mut limited = BufReader::new(stream.take(LONGEST_REQUEST));
    limited
        .read_line(&mut line)
        .await
        .context("no line of text")?;
    ensure!(
        line.ends_with('\n'),
        "no request of one line and at most {LONGEST_REQUEST} bytes"
    );
    let request: Request = serde_json::from_str(&line).context("no request that is known")?;
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

async fn obey(client: &UCred, request: Request, policies: &Policies) -> Answer {
    tracing::info!(
        uid = client.uid(),
        gid = client.gid(),
        pid = client.pid(),
        "command: {request}"
    );
    let result = match request {
        Request::Reload(order) => policies.reload(order).await,
        Request::Shadow => policies.shadow().await,
        Request::EndShadow => policies.end_shadow().await,
        Request::Promote(order) => policies.promote(order).await,
        Request::Confirm => policies.confirm().await,
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

fn refused(error: String) -> Answer {
    Answer::Refused { error }
}
