//! Files that an operator names: the one way in which the agent reads them.
//!
//! Such a file may be anything: a pipe, a device, somebody else's, half written, or on a file system
//! that hangs. Opening one waits for nobody, what was opened is checked, and [`in_time`] bounds the rest.

use crate::privileges;
use crate::units;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::sys::statfs::{
    CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, TRACEFS_MAGIC,
    fstatfs,
};
use nix::unistd::geteuid;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long files may take.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The name of the threads that read them.
pub const THREAD: &str = "files";

/// So many readings may hang at once; further ones are refused.
const MOST_HANGING: usize = 8;

/// File systems whose files hold nothing, until somebody reads them.
const MADE_UP: [FsType; 5] = [
    CGROUP2_SUPER_MAGIC,
    DEBUGFS_MAGIC,
    PROC_SUPER_MAGIC,
    SYSFS_MAGIC,
    TRACEFS_MAGIC,
];

/// Who may read a file. Nobody but root and this user may ever change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    Anybody,
    /// It holds a secret.
    Owner,
}

/// Why a file was not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than the reader takes.
    TooLarge,
    /// To be written after the file's name.
    Because(String),
}

impl From<&str> for Unread {
    fn from(why: &str) -> Self {
        Self::Because(why.to_owned())
    }
}

/// Reads a regular file of at most so many bytes that nobody else can change, or is changing.
///
/// # Errors
/// It is none, or cannot be read.
pub fn read(path: &Path, most: u64, readers: Readers) -> Result<Vec<u8>, Unread> {
    let unread = |error: io::Error| Unread::Because(why_not(path, &error));
    let file = open(path)?;
    let before = file.metadata().map_err(unread)?;
    if readers == Readers::Owner && before.mode() & 0o077 != 0 {
        let (mode, path) = (before.mode() & 0o7777, path.display());
        return Err(Unread::Because(format!(
            "holds a secret, but not only its owner may use it (mode {mode:04o}): chmod 600 {path}"
        )));
    }
    ensure_own(path, &before)?;
    if before.len() > most {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::new();
    let mut whole = (&file).take(before.len());
    whole.read_to_end(&mut bytes).map_err(unread)?;
    // Of the file that was read: another one may have taken its name meanwhile, and is whole, too.
    let after = file.metadata().map_err(unread)?;
    let state = |file: &Metadata| (file.len(), file.modified().ok());
    if state(&before) != state(&after) || bytes.len() as u64 != before.len() {
        return Err(
            "was changed while it was read: write a new file beside it, and rename that".into(),
        );
    }
    Ok(bytes)
}

/// What is in a folder that nobody else can change.
///
/// # Errors
/// It is none, or cannot be read. One that does not exist is empty.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Unread> {
    let unread = |error: io::Error| Unread::Because(why_not(folder, &error));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    ensure_own(folder, &fs::metadata(folder).map_err(unread)?)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(unread)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Runs what reads files on a thread of its own, and waits only so long for it. Whoever waits must
/// hold no lock that others need.
///
/// # Errors
/// What `read` says, or that it hangs. Then it is left to itself: what it returns is dropped.
pub async fn in_time<T: Send + 'static>(
    read: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let reading = Reading::begin()?;
    let (tell, told) = oneshot::channel();
    // Not one of the runtime's threads: the runtime would wait for it at the end.
    let thread = thread::Builder::new().name(THREAD.to_owned());
    let run = move || {
        // As at every later reading: what could be read at the start alone would surprise then.
        let done = privileges::lower().and_then(|()| read());
        drop(reading);
        // Perhaps nobody waits any more.
        let _ = tell.send(done);
    };
    thread
        .spawn(run)
        .context("starting a thread to read files")?;
    match timeout(PATIENCE, told).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => bail!("the thread that reads files panicked"),
        Err(_) => bail!(
            "the files were not read within {}: does their file system hang?",
            units::brief(PATIENCE)
        ),
    }
}

/// One of those that read.
struct Reading;

static READING: AtomicUsize = AtomicUsize::new(0);

impl Reading {
    fn begin() -> Result<Self> {
        let this = (READING.fetch_add(1, Ordering::Relaxed), Self);
        ensure!(
            this.0 < MOST_HANGING,
            "{MOST_HANGING} earlier attempts to read files still hang: look at their file system"
        );
        Ok(this.1)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a regular file that decides nothing, whoever may change it: a capture, a listing.
///
/// # Errors
/// It is none, or cannot be read.
pub fn open_any(path: &Path) -> Result<File> {
    open(path).map_err(|unread| match unread {
        Unread::TooLarge => anyhow!("is too large"),
        Unread::Because(why) => anyhow!(why),
    })
}

/// Finds the file first, without opening it: opening a device may do something, and what was found
/// cannot be swapped for something else.
fn open(path: &Path) -> Result<File, Unread> {
    let unread = |error: io::Error| Unread::Because(why_not(path, &error));
    let mut find = OpenOptions::new();
    find.read(true).custom_flags(libc::O_PATH);
    let found = find.open(path).map_err(unread)?;
    let metadata = found.metadata().map_err(unread)?;
    if metadata.is_dir() {
        return Err("is a directory: name a file in it".into());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".into());
    }
    let on = fstatfs(&found).map_err(|error| unread(error.into()))?;
    if MADE_UP.contains(&on.filesystem_type()) {
        return Err("is not a regular file, but made up by the kernel".into());
    }
    let mut open = OpenOptions::new();
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    open.read(true).custom_flags(flags);
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    open.open(again).map_err(unread)
}

fn ensure_own(path: &Path, found: &Metadata) -> Result<(), Unread> {
    const OTHERS_WRITE: u32 = 0o022;
    let path = path.display();
    let mut mend = Vec::new();
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        mend.push(format!("chown root {path}"));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        mend.push(format!("chmod go-w {path}"));
    }
    if mend.is_empty() {
        return Ok(());
    }
    Err(Unread::Because(format!(
        "may be changed by others than root (owner {}, mode {:04o}): {}",
        found.uid(),
        found.mode() & 0o7777,
        mend.join(" && ")
    )))
}

fn why_not(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound if fs::symlink_metadata(path).is_ok() => {
            "is a symbolic link to a file that does not exist".to_owned()
        }
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => {
            "may not be read: run as root, and give root the file and the directories above it"
                .to_owned()
        }
        ErrorKind::NotADirectory => "a part of this path is not a directory".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests;
