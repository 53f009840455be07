//! The file of decisions: a line with version and checksum, then JSON. For root alone.
//!
//! It is replaced as a whole: whatever moment power fails in, the old one is there or the new one.

use super::{Decided, Hash, Known};
use crate::kernel::PinDir;
use crate::policy::{SitePolicy, WrittenPolicy, hash_of, hash_text};
use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where it is without `--state-dir`.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/sccm-agent";

/// Raised when older agents cannot read it any more.
const VERSION: u32 = 1;

/// Two policies of 100,000 prefixes take some 10 MiB.
const MOST_BYTES: u64 = 64 << 20;

/// Bits of a mode by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// The file of one agent: each pin directory has its own.
#[derive(Debug)]
pub struct StateFile {
    directory: PathBuf,
    path: PathBuf,
    /// What is there cannot be read, and is not to be written over.
    unread: bool,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    confirmed: Option<WrittenPolicy>,
    previous: Option<WrittenPolicy>,
    trial: Option<String>,
    withdrawn: Vec<String>,
    given: Option<String>,
    policy_file: Option<PathBuf>,
}

impl StateFile {
    /// The file of the agent with these pins.
    #[must_use]
    pub fn new(directory: &Path, pins: &PinDir) -> Self {
        let name = pins.name().unwrap_or_else(|| "decisions".to_owned());
        Self {
            directory: directory.to_owned(),
            path: directory.join(name + ".json"),
            unread: false,
        }
    }

    /// What it holds; nothing if there is none, or it cannot be read.
    pub(super) fn load(&mut self) -> Known {
        self.read().unwrap_or_else(|error| {
            tracing::error!(
                "{}: {error:#}; so the agent does not know which policies were confirmed or rolled \
                 back before: it keeps the policy in the kernel, or without one enforces the policy \
                 file. When it next saves a decision, it moves this file to {}",
                self.path.display(),
                self.aside().display()
            );
            self.unread = true;
            Known::default()
        })
    }

    /// Where the agent read its policy last, as far as the file tells this user.
    #[must_use]
    pub fn policy_file(&self) -> Option<PathBuf> {
        self.read().ok()?.policy_file
    }

    /// What the policies in it call addresses, as far as the file tells this user.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let known = self.read().unwrap_or_default();
        let policies = known.confirmed.into_iter().chain(known.previous);
        policies
            .flat_map(|one| one.policy.names.into_keys())
            .collect()
    }

    /// The policy with this hash, if it was confirmed last, as far as the file tells this user.
    #[must_use]
    pub fn confirmed(&self, policy: &Hash) -> Option<SitePolicy> {
        let confirmed = self.read().ok()?.confirmed?;
        (confirmed.hash == *policy).then_some(confirmed.policy)
    }

    fn read(&self) -> Result<Known> {
        let Some(file) = self.open()? else {
            return Ok(Known::default());
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text)?;
        parse(&text)
    }

    fn open(&self) -> Result<Option<File>> {
        let mut options = OpenOptions::new();
        // Whoever put a pipe there does not keep an agent from starting.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match options.read(true).custom_flags(flags).open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.context("cannot be opened")?,
        };
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "is not a regular file: remove it");
        ensure_own(&metadata, &self.path)?;
        ensure!(metadata.len() < MOST_BYTES, "is too large: remove it");
        Ok(Some(file))
    }

    /// Replaces it, and waits for the disk.
    pub(super) fn save(&mut self, text: &[u8]) -> Result<()> {
        let directory = &self.directory;
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.with_context(|| format!("making {}", directory.display()))?;
        let opened = File::open(directory)?;
        ensure_own(&opened.metadata()?, directory)?;
        if self.unread {
            fs::rename(&self.path, self.aside())
                .with_context(|| format!("moving {}", self.path.display()))?;
            self.unread = false;
        }
        let new = self.path.with_extension("new");
        let written = write(&new, text);
        written.with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &self.path)
            .and_then(|()| opened.sync_all())
            .with_context(|| format!("writing {}", self.path.display()))
    }

    fn aside(&self) -> PathBuf {
        self.path.with_extension("unread")
    }
}

/// Nobody else may have put words into it.
fn ensure_own(metadata: &Metadata, path: &Path) -> Result<()> {
    ensure!(
        metadata.uid() == geteuid().as_raw() && metadata.mode() & OTHERS_WRITE == 0,
        "others may write to {}: make it the agent's own with `chown` and `chmod go-w`",
        path.display()
    );
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

pub(super) fn text(known: &Known) -> Result<Vec<u8>> {
    let Known {
        confirmed,
        previous,
        trial,
        withdrawn,
        given,
        policy_file,
    } = known;
    let written = |one: &Decided| WrittenPolicy::of(&one.policy);
    let body = serde_json::to_vec(&Body {
        confirmed: confirmed.as_ref().map(written),
        previous: previous.as_ref().map(written),
        trial: trial.as_ref().map(hash_text),
        withdrawn: withdrawn.iter().map(hash_text).collect(),
        given: given.as_ref().map(hash_text),
        policy_file: policy_file.clone().filter(|path| path.to_str().is_some()),
    })?;
    let header = Header {
        version: VERSION,
        sha256: hash_text(&Sha256::digest(&body).into()),
    };
    Ok([serde_json::to_vec(&header)?, body].join(&b'\n'))
}

fn parse(text: &[u8]) -> Result<Known> {
    const DAMAGED: &str = "is damaged";
    let end = text.iter().position(|byte| *byte == b'\n');
    let (header, body) = text.split_at(end.context(DAMAGED)?);
    let body = body.get(1..).context(DAMAGED)?;
    let header: Header = serde_json::from_slice(header).context(DAMAGED)?;
    ensure!(
        header.version <= VERSION,
        "was written by a newer sccm-agent (version {}, this one reads {VERSION}): run that one to \
         have its decisions",
        header.version
    );
    ensure!(
        header.sha256 == hash_text(&Sha256::digest(body).into()),
        DAMAGED
    );
    let body: Body = serde_json::from_slice(body).context(DAMAGED)?;
    Ok(Known {
        confirmed: body.confirmed.map(decided).transpose()?,
        previous: body.previous.map(decided).transpose()?,
        trial: body.trial.as_deref().map(hash).transpose()?,
        withdrawn: body
            .withdrawn
            .iter()
            .map(|text| hash(text))
            .collect::<Result<_>>()?,
        given: body.given.as_deref().map(hash).transpose()?,
        policy_file: body.policy_file,
    })
}

fn decided(written: WrittenPolicy) -> Result<Decided> {
    let policy: SitePolicy = written.policy().map_err(anyhow::Error::msg)?;
    Ok(Decided {
        hash: hash_of(&policy),
        policy,
    })
}

fn hash(text: &str) -> Result<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() {
        bail!("`{text}` is no hash");
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    }
    Ok(hash)
}
