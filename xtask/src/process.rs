//! Starts other programs. What they print goes to the user, and a failure names the whole
//! command line.

use std::env;
use std::ffi::OsString;
use std::iter;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Tells the user on stderr what happens now.
pub fn step(text: &str) {
    eprintln!("==> {text}");
}

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The folder of the checkout.
pub fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The folder for programs that only building and checking needs.
pub fn tools() -> PathBuf {
    workspace().join("target/tools")
}

/// A file of the machine, by its path below `/`, or below `XTASK_ROOT` in tests.
pub fn system(path: &str) -> PathBuf {
    let root = env::var_os("XTASK_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    root.join(path)
}

/// `PATH`, with the folders where Debian keeps `ip` and the like, which are not
/// on the path of an ordinary user and so not after `sudo env PATH=...` either.
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    for folder in ["usr/local/sbin", "usr/sbin", "sbin"] {
        path.push(":");
        path.push(system(folder));
    }
    path
}

/// Whether `program` is on [`search_path`].
pub fn is_installed(program: &str) -> bool {
    env::split_paths(&search_path()).any(|folder| folder.join(program).is_file())
}

/// A command that runs `program` in the checkout.
pub fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(workspace()).env("PATH", search_path());
    command
}

/// The cargo that runs this program, in the checkout.
pub fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo puts the release build of the binary `name`: beside the debug
/// build of this program, also when the user has moved the target folder.
pub fn release_binary(name: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("finding the path of xtask")?;
    let target = this
        .ancestors()
        .nth(2)
        .context("xtask does not run from a target folder")?;
    Ok(target.join("release").join(name))
}

/// Runs `command` to its end, its output going to the user.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status();
    let status = status.with_context(|| format!("starting {}", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs `command` to its end and returns what it wrote to stdout.
pub fn output(command: &mut Command) -> Result<String> {
    String::from_utf8(bytes(command)?)
        .with_context(|| format!("reading the output of `{}`", line(command)))
}

/// [`output`], for what is not text.
pub fn bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("starting {}", line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    Ok(output.stdout)
}

/// Replaces this process by `command`; returns only if that fails.
pub fn replace(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("starting {}", line(command)))
}

/// The command line of `command`, without its environment.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
