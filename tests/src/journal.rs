//! A journal of our own: a directory to stand for `/run`, with a socket where systemd's would be.
//!
//! The program that logs to it sees that directory in a mount namespace of its own; the machine's
//! `/run` and its journal, if it has one, know nothing of it. Entries are read as the native
//! protocol has them (systemd.io/JOURNAL_NATIVE_PROTOCOL).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// How long an entry may take to arrive.
const LIMIT: Duration = Duration::from_secs(60);

/// More than any entry that is not sent by way of a file.
const LONGEST: usize = 256 * 1024;

/// A journal that keeps nothing but what nobody has read yet.
#[derive(Debug)]
pub struct Journal {
    run: TempDir,
    socket: UnixDatagram,
}

/// One entry: its fields by name.
pub type Entry = BTreeMap<String, String>;

impl Journal {
    /// Makes the directory and the socket.
    pub fn new() -> Result<Self> {
        let run = tempfile::tempdir()?;
        let directory = run.path().join("systemd/journal");
        fs::create_dir_all(&directory)?;
        let socket = UnixDatagram::bind(directory.join("socket"))?;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self { run, socket })
    }

    /// Makes the command see this journal, and nothing else of the machine's `/run`.
    pub fn give_to(&self, command: &mut Command) {
        let run = self.run.path().to_owned();
        let before_exec = move || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(Some(&run), "/run", none, MsFlags::MS_BIND, none)?;
            Ok(())
        };
        // SAFETY: after the fork only async-signal-safe calls may run; these are three plain
        // system calls, with paths short enough to be copied on the stack.
        unsafe { command.pre_exec(before_exec) };
    }

    /// Takes the journal away from those who have it.
    pub fn remove_socket(&self) -> Result<()> {
        Ok(fs::remove_file(
            self.run.path().join("systemd/journal/socket"),
        )?)
    }

    /// The first entry from now on that is `wanted`.
    pub fn wait_for(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Entry> {
        let mut bytes = vec![0; LONGEST];
        loop {
            let length = match self.socket.recv(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(error).context("the entry does not arrive");
                }
                received => received?,
            };
            let entry = parse(&bytes[..length])?;
            if wanted(&entry) {
                return Ok(entry);
            }
        }
    }
}

/// Reads fields: `NAME=VALUE`, or `NAME`, the length of the value in eight bytes, and the value;
/// each with a line end behind it.
fn parse(mut bytes: &[u8]) -> Result<Entry> {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.context("no line end")?);
        let rest = &rest[1..];
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                bytes = rest;
                (&line[..at], &line[at + 1..])
            }
            None => {
                let (length, rest) = rest.split_first_chunk().context("no length")?;
                let length = usize::try_from(u64::from_le_bytes(*length))?;
                ensure!(
                    rest.get(length) == Some(&b'\n'),
                    "no line end behind a value"
                );
                bytes = &rest[length + 1..];
                (line, &rest[..length])
            }
        };
        let is_name =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        ensure!(
            !name.is_empty() && name[0] != b'_' && name.iter().all(is_name),
            "the journal discards fields like {:?}",
            String::from_utf8_lossy(name)
        );
        let value = String::from_utf8(value.to_vec())?;
        entry.insert(String::from_utf8(name.to_vec())?, value);
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_forms_are_read_and_nonsense_is_refused() {
        let entry = parse(b"A=b=c\nX_1\n\x05\0\0\0\0\0\0\0a\nb=c\n").unwrap();
        assert_eq!(
            entry.into_iter().collect::<Vec<_>>(),
            [
                ("A".to_owned(), "b=c".to_owned()),
                ("X_1".to_owned(), "a\nb=c".to_owned()),
            ]
        );
        for bytes in [
            &b"a=b\n"[..],
            b"A=b",
            b"_A=b\n",
            b"A\n\x05\0\0\0\0\0\0\0a\n",
            b"=b\n",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
