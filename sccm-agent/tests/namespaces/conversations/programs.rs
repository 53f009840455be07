//! Debian's servers, each in a namespace, with a directory of its own for all its files.
//!
//! They stay in the foreground, so that the process that was started is the one that is killed.

use std::fs;
use std::net::IpAddr;
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
    pub fn start(command: Command, directory: TempDir, sockets: &[(&str, u16)]) -> Result<Self> {
        let listens = |it: &Self| sockets.iter().all(|socket| it.listens(*socket));
        Self::start_until(command, directory, listens)
    }

    /// Starts `command` and waits until it is ready.
    fn start_until(
        mut command: Command,
        directory: TempDir,
        ready: impl Fn(&Self) -> bool,
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
        while !ready(&daemon) {
            let ended = daemon.process.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(daemon.directory().join("log"))?;
                bail!("{command:?} does not get ready ({ended:?}): {log}");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Whether anybody in its namespace has bound the port, as the kernel lists it.
    fn listens(&self, (protocol, port): (&str, u16)) -> bool {
        let suffix = format!(":{port:04X}");
        ["", "6"].iter().any(|family| {
            self.net(&format!("{protocol}{family}"))
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1))
                .any(|local| local.ends_with(&suffix))
        })
    }

    /// What the kernel says of its namespace in this file below `/proc/net`; empty without it.
    fn net(&self, file: &str) -> String {
        let path = format!("/proc/{}/net/{file}", self.process.id());
        fs::read_to_string(path).unwrap_or_default()
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
    nginx_at(host, &[80, 8080])
}

/// nginx, serving its directory on these ports, as whatever site a client asks for.
pub fn nginx_at(host: &Namespace, ports: &[u16]) -> Result<Daemon> {
    let directory = directory()?;
    let path = directory.path().display();
    let listen: String = ports
        .iter()
        .map(|port| format!("listen {port}; listen [::]:{port};"))
        .collect();
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
    let sockets: Vec<_> = ports.iter().map(|port| ("tcp", *port)).collect();
    Daemon::start(command, directory, &sockets)
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

/// keepalived with this configuration.
pub fn keepalived(host: &Namespace, configuration: &str) -> Result<Daemon> {
    let directory = directory()?;
    let path = directory.path();
    let file = path.join("keepalived.conf");
    fs::write(&file, configuration)?;
    let mut command = host.command("/usr/sbin/keepalived");
    command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]);
    command.arg(&file);
    for (option, name) in [("--pid", "pid"), ("--vrrp_pid", "vrrp")] {
        command.arg(option).arg(path.join(name));
    }
    Daemon::start_until(command, directory, |it| {
        it.directory().join("vrrp").exists()
    })
}

/// smcrouted on a router, which forwards what each of `routes`, (source, group), sends from the
/// card `from` to the card `to`.
pub fn multicast_router(
    host: &Namespace,
    from: &str,
    to: &str,
    routes: &[(IpAddr, IpAddr)],
) -> Result<Daemon> {
    let directory = directory()?;
    let path = directory.path();
    let mut lines: String = [from, to]
        .map(|card| format!("phyint {card} enable\n"))
        .concat();
    for (source, group) in routes {
        lines += &format!("mroute from {from} source {source} group {group} to {to}\n");
    }
    let file = path.join("smcroute.conf");
    fs::write(&file, lines)?;
    let mut command = host.command("/usr/sbin/smcrouted");
    command
        .args(["-n", "-N", "-f"])
        .arg(file)
        .arg("-P")
        .arg(path.join("pid"))
        .arg("-u")
        .arg(path.join("socket"));
    // Behind a line of titles, the kernel lists a route a line.
    let listed = |it: &Daemon| -> usize {
        ["ip_mr_cache", "ip6_mr_cache"]
            .iter()
            .map(|file| it.net(file).lines().skip(1).count())
            .sum()
    };
    Daemon::start_until(command, directory, |it| listed(it) == routes.len())
}
