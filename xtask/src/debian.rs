//! Programs that come from Debian's packages. [`BASE`], [`SERVERS`], [`PEERS`], [`PACKAGERS`],
//! [`EMULATOR`] and [`MACHINES`] list them: add a line when the demo or a test starts a program that is not built here.
//!
//! Before anything is installed, all packages are named, with the way to do it by hand. The
//! servers are for the tests, which start them in namespaces of their own. Their packages would
//! start them on this machine, too, and at every boot: [`quiet`] prevents both.

mod quiet;

use anyhow::{Result, bail};
use quiet::Quiet;

use crate::interrupt::Held;
use crate::process::{command, is_installed, is_root, step};

/// A program, and the package that brings it.
pub struct Program {
    /// In the search path; or a file of a package that has no program.
    name: &'static str,
    package: &'static str,
    /// Services that the package would run.
    services: &'static [&'static str],
}

/// What the demo and all tests start.
pub const BASE: &[Program] = &[Program::plain("ip", "iproute2")];

/// What boots other kernels, and what makes up their system.
pub const EMULATOR: &[Program] = &[
    Program::plain("qemu-system-x86_64", "qemu-system-x86"),
    Program::plain("strip", "binutils"),
    Program::plain("ethtool", "ethtool"),
    Program::plain("wg", "wireguard-tools"),
];

/// What makes whole machines, and boots them.
pub const MACHINES: &[Program] = &[
    Program::plain("ip", "iproute2"),
    Program::plain("qemu-system-x86_64", "qemu-system-x86"),
    Program::plain("debootstrap", "debootstrap"),
    Program::plain("mkfs.ext4", "e2fsprogs"),
];

/// What makes packages, and checks them.
pub const PACKAGERS: &[Program] = &[
    Program::plain("git", "git"),
    Program::plain("musl-gcc", "musl-tools"),
    Program::plain("strip", "binutils"),
    Program::plain("lintian", "lintian"),
    Program::plain("minisign", "minisign"),
];

/// What the benchmark compares with, and measures by.
pub const PEERS: &[Program] = &[
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
pub const SERVERS: &[Program] = &[
    Program::plain("curl", "curl"),
    Program::plain("openssl", "openssl"),
    Program::plain("smbclient", "smbclient"),
    Program::plain("ssh", "openssh-client"),
    Program::plain("udhcpc", "udhcpc"),
    Program::plain("tshark", "tshark"),
    Program::plain("nft", "nftables"),
    Program::plain("iptables", "iptables"),
    // For the status page.
    Program::plain("chromium", "chromium"),
    Program::plain("chromedriver", "chromium-driver"),
    // The program alone; the package dnsmasq is the service.
    Program::plain("dnsmasq", "dnsmasq-base"),
    Program::plain("strace", "strace"),
    // For the unit.
    Program::plain("systemd-analyze", "systemd"),
    Program {
        name: "dhcpd",
        package: "isc-dhcp-server",
        services: &["isc-dhcp-server", "isc-dhcp-server6"],
    },
    Program {
        name: "dhcrelay",
        package: "isc-dhcp-relay",
        services: &["isc-dhcp-relay", "isc-dhcp-relay6"],
    },
    Program {
        name: "smcrouted",
        package: "smcroute",
        services: &["smcroute", "smcroute-helper"],
    },
    Program {
        name: "keepalived",
        package: "keepalived",
        services: &["keepalived"],
    },
    Program {
        // And its daemons, which are in no PATH.
        name: "vtysh",
        package: "frr",
        services: &["frr"],
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
    // A domain: what makes up its controller, and what a member of it does.
    Program::plain(
        "/usr/share/samba/setup/provision.ldif",
        "samba-ad-provision",
    ),
    Program::plain(
        "/usr/share/doc/samba-dsdb-modules/copyright",
        "samba-dsdb-modules",
    ),
    Program::plain(
        "/usr/share/doc/samba-vfs-modules/copyright",
        "samba-vfs-modules",
    ),
    Program {
        name: "winbindd",
        package: "winbind",
        services: &["winbind"],
    },
    Program::plain("kinit", "krb5-user"),
    // Another client of RPC.
    Program::plain("impacket-rpcdump", "python3-impacket"),
    Program::plain("dig", "bind9-dnsutils"),
    Program::plain("ping", "iputils-ping"),
    // A client of SQL Server.
    Program::plain("tsql", "freetds-bin"),
    Program {
        name: "chronyd",
        package: "chrony",
        services: &["chrony"],
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

/// What to do about something that is missing on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Install it.
    Install,
    /// Say how to install it, and end (`--no-install`).
    Refuse,
}

/// Sees that all these programs are installed.
pub fn ensure(lists: &[&[Program]], missing: Missing) -> Result<()> {
    if is_root() {
        quiet::recover()?;
    }
    let lacking: Vec<&Program> = lists
        .iter()
        .copied()
        .flatten()
        .filter(|program| !is_installed(program.name))
        .collect();
    let packages: Vec<&str> = lacking.iter().map(|program| program.package).collect();
    let services = lacking.iter().flat_map(|program| program.services);
    let services: Vec<&str> = services.copied().collect();
    install(&packages, &services, missing)
}

/// Installs `packages`, without their `services` being started; an error says what to do where
/// that is not possible.
pub fn install(packages: &[&str], services: &[&str], missing: Missing) -> Result<()> {
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
    let by_hand = format!("apt-get install --no-install-recommends {list}");
    if missing == Missing::Refuse || !is_root() {
        bail!("Debian packages are missing. Run as root: {by_hand}");
    }
    step(&format!(
        "these Debian packages are missing, and will be installed: {list}"
    ));
    step(&format!(
        "to do without, stop this (Ctrl-C) and give --no-install, or install them yourself: \
         {by_hand}"
    ));
    if !services.is_empty() {
        let services = services.join(" ");
        step(&format!(
            "these services of theirs will not be started, nor at boot: {services}"
        ));
    }
    let mut held = Held::new()?;
    // Dropped first: what was changed is put back before a signal ends this process.
    let quiet = Quiet::new(services)?;
    let result = apt_get(&mut held, packages);
    drop(quiet);
    drop(held);
    result
}

fn apt_get(held: &mut Held, packages: &[&str]) -> Result<()> {
    held.run(command("apt-get").args(["--quiet", "update"]))?;
    held.run(
        command("apt-get")
            .args(["--quiet", "install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
