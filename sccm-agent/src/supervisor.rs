//! Tells whoever supervises this process how it is: the protocol of sd_notify(3).
//!
//! Without `NOTIFY_SOCKET` in the environment there is nobody to tell. The socket is opened at the
//! start, so that nothing which the process gives up later is needed.

use anyhow::{Context as _, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

/// How long a word may wait for a supervisor that does not listen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who supervises this process, if somebody does.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names.
    ///
    /// # Errors
    /// It names one that cannot be reached, or a time that is none.
    pub fn of_environment() -> Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let connecting = || format!("telling the supervisor at {}", name.display());
        let address = address(&name).with_context(connecting)?;
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address).with_context(connecting)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let of = |name| env::var(name).ok();
        Ok(Self {
            socket: Some(socket),
            watchdog: watchdog(of("WATCHDOG_USEC"), of("WATCHDOG_PID"), process::id())?,
        })
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How long it waits for [`Supervisor::alive`] before it ends this process; `None`: for ever.
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything that was asked for is done.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// This process does what it is for.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// What people may read of the state, on a line.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A reload has begun; it has ended when the value is dropped.
    pub fn reloading(&self) -> Reloading<'_> {
        // A supervisor waits for an end that it is told of later than this time.
        match clock_gettime(ClockId::CLOCK_MONOTONIC) {
            Ok(now) => {
                let now = Duration::from(now).as_micros();
                self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
            }
            Err(error) => tracing::warn!("telling the supervisor of a reload: {error}"),
        }
        Reloading(self)
    }

    /// Enforcement goes on, whatever the supervisor hears of it.
    fn tell(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(text.as_bytes()) {
            tracing::warn!("telling the supervisor: {error}");
        }
    }
}

/// A reload that is under way.
#[derive(Debug)]
pub struct Reloading<'s>(&'s Supervisor);

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.0.ready();
    }
}

/// A path, or with an `@` before it a name that is in no file system.
fn address(name: &OsStr) -> Result<SocketAddr> {
    Ok(match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    })
}

/// The time that the supervisor gives `this` process.
fn watchdog(time: Option<String>, process: Option<String>, this: u32) -> Result<Option<Duration>> {
    let Some(time) = time else { return Ok(None) };
    if process.is_some_and(|process| process != this.to_string()) {
        return Ok(None);
    }
    let micros = time.parse();
    let micros = micros.with_context(|| format!("WATCHDOG_USEC={time} is no time"))?;
    ensure!(micros > 0, "WATCHDOG_USEC={time} is no time");
    Ok(Some(Duration::from_micros(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let of = |time: &str, process: Option<&str>| {
            watchdog(Some(time.to_owned()), process.map(str::to_owned), 7)
        };
        let minute = Some(Duration::from_secs(60));
        assert_eq!(of("60000000", None).unwrap(), minute);
        assert_eq!(of("60000000", Some("7")).unwrap(), minute);
        assert_eq!(of("60000000", Some("8")).unwrap(), None);
        assert_eq!(watchdog(None, None, 7).unwrap(), None);
        assert!(of("0", None).is_err());
        assert!(of("soon", None).is_err());
    }

    #[test]
    fn a_name_with_an_at_sign_is_in_no_file_system() {
        let there = address(OsStr::new("@sccm/there")).unwrap();
        assert_eq!(there.as_abstract_name(), Some(&b"sccm/there"[..]));
        let path = address(OsStr::new("/run/notify")).unwrap();
        assert_eq!(path.as_pathname(), Some("/run/notify".as_ref()));
    }
}
