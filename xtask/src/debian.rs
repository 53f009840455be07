//! Programs that come from Debian's packages. [`BASE`], [`SERVERS`],
//! [`PEERS`] and [`EMULATOR`] are the lists: add a line when the demo or a test starts a program that is not built
//! here.
//!
//! The servers are for the tests, which start them in namespaces of their own.
//! Their packages would start them on this machine too, and at every boot; both
//! is prevented.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::process::{command, is_installed, is_root, run, step};

/// A program, and the package that brings it.
struct Program {
    name: &'static str,
    package: &'static str,
    /// Services that the package would run.
    services: &'static [&'static str],
}

/// What the demo and all tests start.
const BASE: &[Program] = &[Program::plain("ip", "iproute2")];

/// What boots other kernels, and what makes up their system.
const EMULATOR: &[Program] = &[
    Program::plain("qemu-system-x86_64", "qemu-system-x86"),
    Program::plain("strip", "binutils"),
];

/// What the benchmark compares with, and measures by.
const PEERS: &[Program] = &[
    Program::plain("ethtool", "ethtool"),
    Program::plain("iperf3", "iperf3"),
    Program::plain("nft", "nftables"),
    Program::plain("xdp-filter", "xdp-tools"),
    Program::plain("dbus-daemon", "dbus-daemon"),
    Program {
        name: "firewalld",
        package: "firewalld",
        services: &["firewalld"],
    },
];

/// What the tests start of servers and clients.
const SERVERS: &[Program] = &[
    Program::plain("curl", "curl"),
    Program::plain("openssl", "openssl"),
    Program::plain("smbclient", "smbclient"),
    Program::plain("ssh", "openssh-client"),
    Program::plain("udhcpc", "udhcpc"),
    Program::plain("tshark", "tshark"),
    // For the status page.
    Program::plain("chromium", "chromium"),
    Program::plain("chromedriver", "chromium-driver"),
    // The program alone; the package dnsmasq is the service.
    Program::plain("dnsmasq", "dnsmasq-base"),
    Program {
        name: "smcrouted",
        package: "smcroute",
        services: &["smcroute", "smcroute-helper"],
    },
    Program {
        name: "nginx",
        package: "nginx-light",
        services: &["nginx"],
    },
    Program {
        name: "smbd",
        package: "samba",
        services: &["smbd", "nmbd", "samba-ad-dc"],
    },
    Program {
        name: "sshd",
        package: "openssh-server",
        services: &["ssh"],
    },
    Program {
        // And promtool.
        name: "prometheus",
        package: "prometheus",
        services: &["prometheus"],
    },
    Program {
        name: "in.tftpd",
        package: "tftpd-hpa",
        services: &["tftpd-hpa"],
    },
];

impl Program {
    /// One whose package runs nothing.
    const fn plain(name: &'static str, package: &'static str) -> Self {
        Self {
            name,
            package,
            services: &[],
        }
    }
}

/// Installs those of [`BASE`] that are missing.
pub fn ensure_programs() -> Result<()> {
    ensure(BASE)
}

/// Installs those of [`SERVERS`] that are missing, and sees that none of them runs.
pub fn ensure_servers() -> Result<()> {
    ensure(SERVERS)
}

/// Installs those of [`PEERS`] that are missing, and sees that none of them runs.
pub fn ensure_peers() -> Result<()> {
    ensure(PEERS)
}

/// Installs those of [`EMULATOR`] that are missing.
pub fn ensure_emulator() -> Result<()> {
    ensure(EMULATOR)
}

fn ensure(programs: &[Program]) -> Result<()> {
    let missing = || {
        programs
            .iter()
            .filter(|program| !is_installed(program.name))
    };
    let packages: Vec<&str> = missing().map(|program| program.package).collect();
    let services: Vec<&str> = missing()
        .flat_map(|program| program.services)
        .copied()
        .collect();
    let _held_back = match services.is_empty() || !is_root() {
        true => None,
        false => HeldBack::new()?,
    };
    install(&packages)?;
    if !services.is_empty() && is_installed("systemctl") {
        run(command("systemctl")
            .args(["--quiet", "disable"])
            .args(services))?;
    }
    Ok(())
}

/// While it lives, packages start no service (invoke-rc.d(8), Debian Policy 9.3).
struct HeldBack;

/// Packages ask this program whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

impl HeldBack {
    /// None where somebody has decided already, as in most containers.
    fn new() -> Result<Option<Self>> {
        if Path::new(POLICY).exists() {
            return Ok(None);
        }
        let held_back = Self;
        // 101: "forbidden".
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("writing {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("making {POLICY} executable"))?;
        Ok(Some(held_back))
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            eprintln!("remove {POLICY}, or no package will start its service: {error}");
        }
    }
}

/// Installs `packages`; an error says what to do where that is not possible.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_installed("apt-get") {
        bail!(
            "something is missing that Debian has as: {list}. There is no apt-get here: \
             install it by this system's own means, then run this again"
        );
    }
    if !is_root() {
        bail!("Debian packages are missing. Run: sudo apt-get install {list}");
    }
    step(&format!("installing Debian packages: {list}"));
    run(command("apt-get").args(["--quiet", "update"]))?;
    run(command("apt-get")
        .args(["--quiet", "install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}
