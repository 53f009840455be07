//! Throw-away hosts: network namespaces that remove themselves.
//!
//! A [`Namespace`] is made and configured with iproute2 (`ip`), so that `ip netns exec NAME ..`
//! works on it while a test is being debugged. Dropping it kills the processes inside and removes
//! its name; the kernel then takes the interfaces away. A program that was killed before it could
//! do so is cleaned up after by the next one.
//!
//! Only the network differs: programs started inside see the same files, so pinned BPF objects
//! and directories are shared with the test. Cables are [`veth_pair`]s made directly between two
//! namespaces; no interface of the machine itself is touched or even listed.

mod interface;

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

pub use interface::{Interface, veth_pair};

use crate::unique;

/// Where `ip netns` keeps one file per named namespace.
const NAMESPACES: &str = "/run/netns";

/// A network namespace of this test; dropping it removes it and what runs inside.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// Shared with the commands that are to enter it.
    handle: Arc<File>,
}

impl Namespace {
    /// Makes a namespace with the loopback interface up. `label` becomes a part of its name, which
    /// is unique on this machine. IPv6 addresses are usable at once (no duplicate detection). What
    /// opens a connection in it has a port from 32768 to 39999: answers to ports of RPC would come
    /// in as that service, whoever asked, and tests write frames from port 40000 on.
    pub fn new(label: &str) -> Result<Self> {
        unique::require_root("making network namespaces")?;
        static LEFT_OVERS: Once = Once::new();
        LEFT_OVERS.call_once(remove_abandoned);

        let name = unique::name(label);
        ip(&["netns", "add", &name])?;
        let path = Path::new(NAMESPACES).join(&name);
        let handle =
            File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let namespace = Self {
            name,
            handle: Arc::new(handle),
        };
        for parent in ["all", "default"] {
            namespace.sysctl(&format!("net.ipv6.conf.{parent}.accept_dad"), "0")?;
        }
        namespace.sysctl("net.ipv4.ip_local_port_range", "32768 39999")?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip -n NAME ...`; the arguments are separated by spaces. Returns what it printed.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(arguments.split_whitespace());
        ip(&all)
    }

    /// Adds a route, in the words of `ip route add`: `default via 192.0.2.1`.
    pub fn route(&self, route: &str) -> Result<()> {
        let family = if route.contains("::") { "-6" } else { "-4" };
        self.ip(&format!("{family} route add {route}")).map(drop)
    }

    /// Sets a kernel setting of this namespace, such as `net.ipv4.ip_forward`. An interface's name
    /// in it may not contain a dot.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key.replace('.', "/"));
        // The files under /proc/sys/net belong to the namespace of whoever opens them.
        self.enter(|| std::fs::write(path, value))
            .with_context(|| format!("cannot set {key} to {value:?} in {}", self.name))
    }

    /// A command that will run inside. The process receives SIGKILL when the *thread* that
    /// started it ends, and when the namespace is dropped. No signal is blocked in it, even if
    /// this program blocks some. If `program` is not installed, standard error says what to do.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        if !is_installed(program.as_ref()) {
            eprintln!("{}", missing(program.as_ref()));
        }
        let handle = Arc::clone(&self.handle);
        let mut command = Command::new(program);
        let before_exec = move || {
            setns(&*handle, CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(Signal::SIGKILL)?;
            SigSet::empty().thread_set_mask()?;
            Ok(())
        };
        // SAFETY: after the fork only async-signal-safe calls may run; these are three plain
        // system calls, and turning an errno into an io::Error does not allocate.
        unsafe { command.pre_exec(before_exec) };
        command
    }

    /// Runs `work` on a thread of its own inside this namespace and returns its result. Sockets
    /// made there stay in the namespace, as do threads started there.
    ///
    /// # Panics
    /// With the panic of `work`, if it panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&*self.handle, CloneFlags::CLONE_NEWNET)
                .unwrap_or_else(|error| panic!("cannot enter namespace {}: {error}", self.name));
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Kills every process inside and waits until they have left.
    fn end_processes(&self) -> Result<()> {
        // A process that forks while it is being killed is caught by the next round.
        for _ in 0..200 {
            let inside = ip(&["netns", "pids", &self.name])?;
            let pids: Vec<i32> = inside.split_whitespace().flat_map(str::parse).collect();
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids {
                match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(error) => bail!("cannot end process {pid} in {}: {error}", self.name),
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("processes in {} do not end", self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let ended = self.end_processes();
        let removed = ip(&["netns", "delete", &self.name]);
        // A panic here while another one unwinds would abort before the other clean-ups.
        for error in [ended.err(), removed.err()].into_iter().flatten() {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

/// Removes the namespaces of programs that were killed. Failures do not matter: another program
/// may be doing the same.
fn remove_abandoned() {
    for name in unique::abandoned(Path::new(NAMESPACES)).unwrap_or_default() {
        let _ = ip(&["netns", "delete", &name]);
    }
}

/// Whether `program`, which may be a path, can be started.
fn is_installed(program: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn missing(program: &OsStr) -> String {
    format!(
        "the program {} is missing: run `cargo xtask test` once, which installs what the tests \
         start (`cargo xtask --no-install test` says what that is)",
        program.display()
    )
}

fn ip(arguments: &[&str]) -> Result<String> {
    let line = format!("ip {}", arguments.join(" "));
    let output = match Command::new("ip").args(arguments).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{}", missing("ip".as_ref()))
        }
        output => output.with_context(|| format!("cannot run `{line}`"))?,
    };
    if !output.status.success() {
        bail!(
            "`{line}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
