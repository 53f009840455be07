//! The file of the control socket: where it may be, and who may connect.
//!
//! It is made in a directory that only root may write, and everything is done by the handle of that
//! directory, so nobody can put a link in the place of what is changed. Modes are set outright: the
//! umask is the operator's.

use super::{DIRECTORY, GROUP};
use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Group, Uid, fchownat};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixSocket};

/// Commands that wait to be looked at.
const WAITING: u32 = 128;

/// Owner and group may connect, which takes the right to write (unix(7)).
const MODE: u32 = 0o660;

/// Others pass through the directory: the socket itself says who may come in.
const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);

/// What others may write.
const OTHERS_WRITE: u32 = 0o022;

/// In a directory with this bit, nobody moves what belongs to somebody else.
const STICKY: u32 = 0o1000;

/// A socket that commands come in by; removed when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    /// The group of [`GROUP`] may give commands besides root.
    pub(super) has_group: bool,
    directory: Directory,
    inode: u64,
}

impl ControlSocket {
    /// Makes the socket, in the place of one whose agent has died.
    ///
    /// # Errors
    /// Somebody listens there, it is no socket, or others may change its directory.
    pub fn bind(path: &Path) -> Result<Self> {
        let making = || {
            let path = path.display();
            format!("making the control socket {path}: choose another path with --control-socket")
        };
        let directory = Directory::of(path).with_context(making)?;
        remove_stale(&directory, path)?;
        let socket = UnixSocket::new_stream().with_context(making)?;
        socket.bind(directory.socket()).with_context(making)?;
        // Nobody can connect before it listens.
        let group = group()?;
        let inode = set_rights(&directory, group).with_context(making)?;
        Ok(Self {
            listener: socket.listen(WAITING).with_context(making)?,
            has_group: group.is_some(),
            directory,
            inode,
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let path = self.directory.socket();
        let is_ours = fs::symlink_metadata(&path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(path) {
            tracing::warn!("removing the control socket: {error}");
        }
    }
}

fn group() -> Result<Option<Gid>> {
    let group = match Group::from_name(GROUP) {
        // A small system without any list of groups.
        Err(Errno::ENOENT) => None,
        found => found.context("looking up groups")?,
    };
    if group.is_none() {
        tracing::info!("there is no group {GROUP}: only root may give commands");
    }
    Ok(group.map(|group| group.gid))
}

/// Gives the socket its group and mode, and returns its inode.
fn set_rights(directory: &Directory, group: Option<Gid>) -> Result<u64> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let socket = openat(
        &directory.handle,
        directory.name.as_os_str(),
        flags,
        Mode::empty(),
    )?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd()));
    let found = fs::metadata(&path)?;
    ensure!(
        found.file_type().is_socket() && found.uid() == Uid::effective().as_raw(),
        "somebody has put something else in its place"
    );
    if let Some(group) = group {
        fchownat(
            &socket,
            "",
            None::<Uid>,
            Some(group),
            AtFlags::AT_EMPTY_PATH,
        )?;
    }
    fs::set_permissions(&path, Permissions::from_mode(MODE))?;
    Ok(found.ino())
}

/// The directory that holds the socket, and the socket's name there.
#[derive(Debug)]
struct Directory {
    handle: OwnedFd,
    name: OsString,
}

impl Directory {
    /// Opens it, or makes it if it is not there yet.
    fn of(socket: &Path) -> Result<Self> {
        let name = socket.file_name().context("it needs a name")?.to_owned();
        let path = not_empty(socket.parent());
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = match open(path, flags, Mode::empty()) {
            Ok(handle) => {
                let found = fstat(&handle)?;
                ensure!(is_own(&found), "{}", not_own(path, &found));
                // An agent before may have made it under another umask.
                if path == Path::new(DIRECTORY) && found.st_mode & 0o011 != 0o011 {
                    fchmod(&handle, DIRECTORY_MODE)?;
                }
                handle
            }
            Err(Errno::ENOENT) => make(path)?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { handle, name })
    }

    /// The socket's path, whatever becomes of the directory's name.
    fn socket(&self) -> PathBuf {
        let directory = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        Path::new(&directory).join(&self.name)
    }
}

/// Makes a directory, where nobody can put another in its place.
fn make(path: &Path) -> Result<OwnedFd> {
    let name = path.file_name().context("its directory needs a name")?;
    let parent = not_empty(path.parent());
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let above = open(parent, flags, Mode::empty())?;
    let found = fstat(&above)?;
    ensure!(
        is_own(&found) || found.st_mode & STICKY != 0,
        "{}",
        not_own(parent, &found)
    );
    mkdirat(&above, name, DIRECTORY_MODE)?;
    let made = openat(&above, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    fchmod(&made, DIRECTORY_MODE)?;
    Ok(made)
}

/// A path without a directory is in this one.
fn not_empty(directory: Option<&Path>) -> &Path {
    let given = directory.filter(|path| !path.as_os_str().is_empty());
    given.unwrap_or(Path::new("."))
}

/// Only root, or this user, can change what is in it.
fn is_own(found: &FileStat) -> bool {
    let is_owner = [0, Uid::effective().as_raw()].contains(&found.st_uid);
    is_owner && found.st_mode & OTHERS_WRITE == 0
}

fn not_own(path: &Path, found: &FileStat) -> String {
    let (owner, mode, path) = (found.st_uid, found.st_mode & 0o7777, path.display());
    format!(
        "others than root may change what is in {path} (owner {owner}, mode {mode:04o}): \
         `chown root {path} && chmod go-w {path}`"
    )
}

/// Removes the socket of an agent that was killed.
fn remove_stale(directory: &Directory, path: &Path) -> Result<()> {
    let at = directory.socket();
    let found = match fs::symlink_metadata(&at) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("looking at {}", path.display()))?,
    };
    ensure!(
        found.file_type().is_socket(),
        "{} is there and is no socket: give another --control-socket",
        path.display()
    );
    match UnixStream::connect(&at) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(&at).with_context(|| format!("removing {}", path.display()))
        }
        _ => bail!(
            "another program listens on {}: stop it, or give this agent another \
             --control-socket",
            path.display()
        ),
    }
}
