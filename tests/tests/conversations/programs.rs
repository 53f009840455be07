//! Debian's servers, each in a namespace, with a directory of its own for all its files.
//!
//! They stay in the foreground, so that the process that was started is the one that is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sccm_tests::netns::Namespace;
use tempfile::TempDir;

/// How long a server may take until it listens.
const LIMIT: Duration = Duration::from_secs(20);

/// A running server; dropping it kills it and removes its files.
pub struct Daemon {
    process: Child,
    directory: TempDir,
}

impl Daemon {
    /// Where it has its files, and where it serves from.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts `command` and waits until it listens on `sockets`, such as `tcp 80`.
    pub fn start(
        mut command: Command,
        directory: TempDir,
        sockets: &[(&str, u16)],
    ) -> Result<Self> {
        let log = fs::File::create(directory.path().join("log"))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {command:?}: `cargo xtask test` installs it"))?;
        let mut daemon = Self { process, directory };
        let end = Instant::now() + LIMIT;
        while !sockets.iter().all(|socket| daemon.listens(*socket)) {
            let ended = daemon.process.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(daemon.directory().join("log"))?;
                bail!("{command:?} does not listen ({ended:?}): {log}");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Whether anybody in its namespace has bound the port, as the kernel lists it.
    fn listens(&self, (protocol, port): (&str, u16)) -> bool {
        let suffix = format!(":{port:04X}");
        ["", "6"].iter().any(|family| {
            let path = format!("/proc/{}/net/{protocol}{family}", self.process.id());
            let sockets = fs::read_to_string(path).unwrap_or_default();
            sockets
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1))
                .any(|local| local.ends_with(&suffix))
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory that servers may read which have given root's rights up.
pub fn directory() -> Result<TempDir> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// nginx, serving its directory on ports 80 and 8080.
pub fn nginx(host: &Namespace) -> Result<Daemon> {
    let directory = directory()?;
    let path = directory.path().display();
    let listen: String = [80, 8080]
        .map(|port| format!("listen {port}; listen [::]:{port};"))
        .concat();
    let file = directory.path().join("nginx.conf");
    fs::write(
        &file,
        format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/body;\n\
             proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
             server {{ {listen} root {path}; }} }}\n"
        ),
    )?;
    let mut command = host.command("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-c"]).arg(file);
    Daemon::start(command, directory, &[("tcp", 80), ("tcp", 8080)])
}

/// smbd, sharing its directory as `share` on ports 445 and 139.
pub fn smbd(host: &Namespace) -> Result<Daemon> {
    let directory = directory()?;
    let path = directory.path().display();
    let own = [
        "private dir",
        "lock directory",
        "state directory",
        "cache directory",
        "pid directory",
    ]
    .map(|setting| format!("{setting} = {path}\n"))
    .concat();
    let file = directory.path().join("smb.conf");
    fs::write(
        &file,
        format!(
            "[global]\n{own}ncalrpc dir = {path}/ncalrpc\nsmb ports = 445 139\n\
             server role = standalone server\nmap to guest = Bad User\nload printers = no\n\
             disable spoolss = yes\n[share]\npath = {path}\nguest ok = yes\nread only = yes\n"
        ),
    )?;
    let mut command = host.command("/usr/sbin/smbd");
    command
        .args(["--foreground", "--no-process-group", "--debug-stdout"])
        .arg(format!("--configfile={}", file.display()));
    Daemon::start(command, directory, &[("tcp", 445), ("tcp", 139)])
}

/// The TFTP server of tftpd-hpa, serving its directory, into which everybody may also write.
pub fn tftpd(host: &Namespace) -> Result<Daemon> {
    let directory = directory()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777))?;
    let mut command = host.command("/usr/sbin/in.tftpd");
    command
        .args(["--foreground", "--address", ":69", "--create", "--secure"])
        .arg(directory.path());
    Daemon::start(command, directory, &[("udp", 69)])
}
