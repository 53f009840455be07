//! What another program prints, within bounds of time and size.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that are taken of what one prints.
const MOST: u64 = 16 << 20;

/// Bytes that are taken of its complaints.
const MOST_COMPLAINTS: u64 = 4096;

/// The codes by which commands of this program, and others, say that they failed.
const FAILED: [i32; 2] = [1, 2];

/// Runs the program to its end, and returns what it printed.
///
/// # Errors
/// It cannot be started, fails, prints nothing, or takes too long; then it is killed.
pub(super) fn ask(command: Command) -> Result<Vec<u8>> {
    ask_for(command, PATIENCE)
}

fn ask_for(mut command: Command, patience: Duration) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => Running(child),
        Err(error) => bail!("{name} cannot be started: {error}"),
    };
    let end = Instant::now() + patience;
    let printed = read(child.0.stdout.take(), MOST + 1)?;
    let complaints = read(child.0.stderr.take(), MOST_COMPLAINTS)?;
    let until = || end.saturating_duration_since(Instant::now());
    let slow = || format!("it took longer than {} s", patience.as_secs());
    let printed = printed.recv_timeout(until()).with_context(slow)?;
    let complaints = complaints.recv_timeout(until()).with_context(slow)?;
    let code = loop {
        if let Some(status) = child.0.try_wait().context("waiting for it")? {
            break status.code();
        }
        ensure!(Instant::now() < end, slow());
        thread::sleep(Duration::from_millis(5));
    };
    let complaints = String::from_utf8_lossy(&complaints);
    let complaints = complaints.trim().trim_start_matches("error: ");
    ensure!(
        printed.len() as u64 <= MOST,
        "it printed more than {} MiB",
        MOST >> 20
    );
    match code {
        Some(code) if !FAILED.contains(&code) && !printed.is_empty() => Ok(printed),
        Some(_) if complaints.is_empty() => bail!("it printed nothing"),
        Some(_) => bail!("{}", complaints.replace('\n', "; ")),
        None => bail!("a signal ended it"),
    }
}

/// A program that does not outlive its question.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads on a thread of its own, so that a full pipe holds nobody up.
fn read(pipe: Option<impl Read + Send + 'static>, most: u64) -> Result<Receiver<Vec<u8>>> {
    let (tell, told) = channel();
    let mut pipe = pipe.context("it has no output")?.take(most);
    let reader = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        // Perhaps nobody waits any more.
        let _ = tell.send(bytes);
    });
    reader.context("starting a thread to read what it prints")?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Vec<u8>> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ask_for(command, Duration::from_secs(2))
    }

    #[test]
    fn what_it_prints_is_taken_and_what_goes_wrong_is_told() {
        assert_eq!(shell("echo found; exit 3").unwrap(), b"found\n");
        let error = |script| shell(script).unwrap_err().to_string();
        assert_eq!(error("echo some; echo why not >&2; exit 2"), "why not");
        assert_eq!(error("true"), "it printed nothing");
        assert_eq!(error("kill -9 $$"), "a signal ended it");
        assert!(error("yes").contains("more than 16 MiB"));
        let begin = Instant::now();
        assert!(error("exec sleep 60").contains("longer than 2 s"));
        assert!(begin.elapsed() < Duration::from_secs(30));
        let missing = ask(Command::new("no-such-program")).unwrap_err();
        assert!(
            missing.to_string().contains("cannot be started"),
            "{missing}"
        );
    }
}
