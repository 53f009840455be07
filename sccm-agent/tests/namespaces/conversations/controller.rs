//! A real Active Directory domain: samba as its controller, and what a member has.

use std::fs;
use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::agent::{Finished, run};
use sccm_tests::netns::Namespace;
use tempfile::TempDir;

use super::programs::Daemon;

const PASSWORD: &str = "Passw0rd.of.the.lab";

/// The domain controller: samba, and chrony for the time.
pub struct Controller {
    _samba: Daemon,
    _chrony: Daemon,
}

impl Controller {
    /// Makes a domain `CORP.EXAMPLE` and its controller at this address.
    pub fn start(host: &Namespace, address: IpAddr) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let own = |name: &str| directory.path().join(name).display().to_string();
        let mut provision = host.command("samba-tool");
        provision
            .args([
                "domain",
                "provision",
                "--realm=CORP.EXAMPLE",
                "--domain=CORP",
            ])
            .args([
                "--server-role=dc",
                "--dns-backend=SAMBA_INTERNAL",
                "--host-name=dc1",
            ])
            .arg(format!("--host-ip={address}"))
            .arg(format!("--targetdir={}", own("")))
            .arg(format!("--adminpass={PASSWORD}"))
            .args([
                "--option=interfaces=lo eth0",
                "--option=bind interfaces only=yes",
            ])
            .arg(format!("--option=pid directory={}", own("")))
            .arg(format!("--option=ncalrpc dir={}", own("ncalrpc")));
        let made = run(provision)?;
        assert_eq!(made.code, Some(0), "{made:?}");
        let mut samba = host.command("samba");
        samba.args(["-i", "--debug-stdout", "-s", &own("etc/smb.conf")]);
        let sockets = [
            ("tcp", 135),
            ("tcp", 389),
            ("tcp", 445),
            ("udp", 88),
            ("udp", 53),
        ];
        let samba = Daemon::start(samba, directory, &sockets)?;

        let directory = tempfile::tempdir()?;
        let conf = directory.path().join("chrony.conf");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "local stratum 8\nallow all\ncmdport 0\npidfile {}\nbindcmdaddress /\n",
            path("pid")
        );
        fs::write(&conf, text)?;
        let mut chrony = host.command("chronyd");
        chrony.args(["-d", "-x", "-u", "root", "-f"]).arg(&conf);
        Ok(Self {
            _samba: samba,
            _chrony: Daemon::start(chrony, directory, &[("udp", 123)])?,
        })
    }
}

/// A host that may become a member, with files of its own.
pub struct Member<'n> {
    host: &'n Namespace,
    directory: TempDir,
}

impl<'n> Member<'n> {
    /// One that knows the controller at this address.
    pub fn new(host: &'n Namespace, controller: IpAddr) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let write = |name: &str, text: &str| fs::write(path.join(name), text);
        write(
            "resolv.conf",
            &format!(
                "search corp.example\nnameserver {controller}\noptions timeout:2 attempts:1\n"
            ),
        )?;
        write(
            "krb5.conf",
            "[libdefaults]\ndefault_realm = CORP.EXAMPLE\ndns_lookup_kdc = true\n\
             dns_lookup_realm = false\nrdns = false\n",
        )?;
        let mut samba = "[global]\nworkgroup = CORP\nrealm = CORP.EXAMPLE\nsecurity = ads\n\
                         netbios name = SITE1\n\
                         disable netbios = yes\nname resolve order = host\n"
            .to_owned();
        for (setting, name) in [
            ("private dir", "private"),
            ("lock directory", "lock"),
            ("state directory", "state"),
            ("cache directory", "cache"),
        ] {
            fs::create_dir(path.join(name))?;
            samba += &format!("{setting} = {}\n", path.join(name).display());
        }
        write("smb.conf", &samba)?;
        Ok(Self { host, directory })
    }

    /// Runs a line in the member, which sees its own resolv.conf and has its own name.
    pub fn does(&self, line: &str) -> Result<Finished> {
        let path = self.directory.path();
        let mut shell = self.host.command("unshare");
        shell
            .args(["--mount", "--uts", "sh", "-c"])
            .arg(format!(
                "mount --bind resolv.conf /etc/resolv.conf && hostname site1 && {line}"
            ))
            .current_dir(path)
            .env("PASSWORD", PASSWORD)
            .env("KRB5_CONFIG", path.join("krb5.conf"))
            .env("KRB5CCNAME", format!("FILE:{}", path.join("cc").display()));
        run(shell)
    }
}
