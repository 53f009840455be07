//! What `cargo xtask test` changes on a machine on which packages are missing: told before, and
//! put back, whatever ends it.
//!
//! The machine is a folder (`XTASK_ROOT`), with an apt-get and a systemctl that write down how
//! they were called. Root alone may do this, so without root nothing is tested.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, also in its helpers"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Installs for as long as there is a file `busy`, and ends sooner at Ctrl-C.
const APT_GET: &str = r#"#!/bin/sh
echo "apt-get $*" >> "$XTASK_ROOT/log"
case "$*" in *install*)
    cp "$XTASK_ROOT/usr/sbin/policy-rc.d" "$XTASK_ROOT/policy-seen"
    trap 'echo "apt-get stopped" >> "$XTASK_ROOT/log"; exit 130' INT
    while [ -e "$XTASK_ROOT/busy" ]; do /bin/sleep 0.05; done
esac
"#;

const SYSTEMCTL: &str = r#"#!/bin/sh
echo "systemctl $*" >> "$XTASK_ROOT/log"
"#;

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "usr/sbin"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let machine = Self { root };
        for (name, script) in [("apt-get", APT_GET), ("systemctl", SYSTEMCTL)] {
            let path = machine.path("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // The scripts' own.
        std::os::unix::fs::symlink("/bin/cp", machine.path("bin/cp")).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn policy(&self) -> PathBuf {
        self.path("usr/sbin/policy-rc.d")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `cargo xtask test`, which ends after the installation: the machine has no rustc.
    fn xtask(&self, arguments: &[&str]) -> Command {
        // Whoever runs the tests may ignore signals, as a shell does for its background.
        let mut xtask = Command::new("/usr/bin/env");
        xtask
            .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_xtask")])
            .arg("test")
            .args(arguments)
            .env("PATH", self.path("bin"))
            .env("XTASK_ROOT", self.root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        xtask
    }

    /// One that is in the middle of an installation.
    fn installing(&self) -> Child {
        fs::write(self.path("busy"), "").unwrap();
        let child = self.xtask(&[]).spawn().unwrap();
        await_file(&self.path("policy-seen"));
        child
    }

    fn assert_put_back(&self) {
        assert!(!self.policy().exists());
        assert!(!self.path("var/lib/sccm-agent-xtask/installing").exists());
        for service in ["nginx", "smcroute", "smcroute-helper", "prometheus"] {
            let disabled = format!("systemctl --quiet disable {service}\n");
            assert!(self.log().contains(&disabled), "{}", self.log());
        }
    }
}

fn await_file(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < PATIENCE, "no {}", path.display());
        sleep(Duration::from_millis(20));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn packages_are_named_before_they_are_installed() {
    if !geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    let output = machine.xtask(&[]).output().unwrap();
    let text = stderr(&output);
    for part in [
        "will be installed: iproute2 curl ",
        "--no-install",
        "apt-get install --no-install-recommends iproute2 curl ",
        "not be started, nor at boot: isc-dhcp-server isc-dhcp-server6 ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let log = machine.log();
    let install = "apt-get --quiet install --yes --no-install-recommends iproute2 curl ";
    assert!(log.contains(install), "{log}");
    let seen = fs::read_to_string(machine.path("policy-seen")).unwrap();
    assert!(seen.ends_with("exit 101\n"), "{seen}");
    machine.assert_put_back();
}

#[test]
fn nothing_is_installed_where_that_is_not_wanted() {
    let machine = Machine::new();
    if !geteuid().is_root() {
        return;
    }
    let output = machine.xtask(&["--no-install"]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Run as root: apt-get install"), "{text}");
    assert_eq!(machine.log(), "");
    assert!(!machine.policy().exists());
}

#[test]
fn a_signal_ends_it_after_everything_is_put_back() {
    if !geteuid().is_root() {
        return;
    }
    for number in [Signal::SIGINT, Signal::SIGTERM] {
        let machine = Machine::new();
        let child = machine.installing();
        assert!(machine.policy().exists());
        signal(&child, number);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number as i32), "{output:?}");
        assert!(machine.log().contains("apt-get stopped"));
        machine.assert_put_back();
    }
}

#[test]
fn the_next_run_puts_back_what_a_killed_one_left() {
    if !geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    let mut child = machine.installing();

    let next = || stderr(&machine.xtask(&["--no-install"]).output().unwrap());
    assert!(next().contains("another `cargo xtask` is installing"));

    // Its apt-get goes on.
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert!(next().contains("another `cargo xtask` is installing"));
    assert!(machine.policy().exists());

    fs::remove_file(machine.path("busy")).unwrap();
    let begun = Instant::now();
    while !next().contains("an earlier run was killed") {
        assert!(begun.elapsed() < PATIENCE, "nothing was put back");
    }
    machine.assert_put_back();
}

#[test]
fn the_machine_s_own_policy_stays() {
    if !geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    fs::write(machine.policy(), "#!/bin/sh\nexit 0\n").unwrap();
    machine.xtask(&[]).output().unwrap();
    let policy = fs::read_to_string(machine.policy()).unwrap();
    assert_eq!(policy, "#!/bin/sh\nexit 0\n");
}
