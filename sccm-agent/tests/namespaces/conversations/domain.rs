//! A member of a real Active Directory domain behind a gateway that enforces both directions: with the
//! set `domain-member` it lives, and without one of its services the right step fails.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Finished, PolicyFile, run};
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};
use tempfile::TempDir;

use super::programs::Daemon;

const PASSWORD: &str = "Passw0rd.of.the.lab";

const PASSWORD_CHANGE: &str = "change its password";

/// What a member does, as lines of a shell, and what fails it.
struct Step {
    does: &'static str,
    line: &'static str,
    /// Lines of `[[outbound.allow]]` without which it fails: protocol and ports.
    needs: &'static [(&'static str, &'static str)],
}

const STEPS: [Step; 11] = [
    Step {
        does: "resolve names",
        line: "dig +time=2 +tries=1 +short SRV _ldap._tcp.dc._msdcs.corp.example | grep -q dc1",
        needs: &[("udp", "53"), ("tcp", "53")],
    },
    Step {
        does: "log on",
        line: "echo $PASSWORD | timeout 5 kinit Administrator",
        needs: &[("udp", "88"), ("tcp", "88")],
    },
    Step {
        does: "find the domain controller",
        line: "timeout 5 net ads info -s smb.conf | grep -q 'LDAP server: 192.0.2.10'",
        needs: &[("udp", "389"), ("tcp", "389")],
    },
    Step {
        does: "ask the directory by TLS",
        line: "timeout 5 openssl s_client -connect dc1.corp.example:636 < smb.conf 2>&1 \
               | grep -q 'BEGIN CERTIFICATE'",
        needs: &[("tcp", "636")],
    },
    Step {
        does: "ask the global catalog by TLS",
        line: "timeout 5 openssl s_client -connect dc1.corp.example:3269 < smb.conf 2>&1 \
               | grep -q 'BEGIN CERTIFICATE'",
        needs: &[("tcp", "3268-3269")],
    },
    Step {
        does: "read SYSVOL",
        line: "timeout 5 smbclient -s smb.conf //dc1.corp.example/sysvol -U Administrator%$PASSWORD \
               -c ls | grep -q corp.example",
        needs: &[("tcp", "445")],
    },
    Step {
        does: PASSWORD_CHANGE,
        line: "timeout 5 net ads changetrustpw -s smb.conf -P | grep -q succeeded",
        needs: &[("udp", "464"), ("tcp", "464")],
    },
    Step {
        does: "ask by RPC",
        line: "timeout 5 rpcclient -s smb.conf 'ncacn_ip_tcp:dc1.corp.example[seal]' \
               -U Administrator%$PASSWORD -c 'dsgetdcinfo CORP' | grep -qi dc1",
        needs: &[("tcp", "49152-65535")],
    },
    Step {
        does: "ask the endpoint mapper",
        line: "timeout 5 rpcclient -s smb.conf 'ncacn_ip_tcp:dc1.corp.example[seal]' \
               -U Administrator%$PASSWORD -c 'dsgetdcinfo CORP' | grep -qi dc1",
        needs: &[("tcp", "135")],
    },
    Step {
        does: "keep time",
        line: "timeout 9 chronyd -Q -t 6 -u root \"pidfile $PWD/pid\" 'cmdport 0' 'bindcmdaddress /' \
               'server 192.0.2.10 iburst maxsamples 1' > out 2>&1; grep -q 'clock wrong by' out || { cat out >&2; false; }",
        needs: &[("udp", "123")],
    },
    Step {
        does: "see how far the domain controller is",
        line: "ping -c 1 -W 2 192.0.2.10 > echo",
        needs: &[("icmp", "echo-request")],
    },
];

/// Everything that the set lets a member open, in the order of the catalog's file.
const SERVICES: [(&str, &str); 15] = [
    ("udp", "53"),
    ("tcp", "53"),
    ("udp", "88"),
    ("tcp", "88"),
    ("udp", "464"),
    ("tcp", "464"),
    ("udp", "389"),
    ("tcp", "389"),
    ("tcp", "636"),
    ("tcp", "3268-3269"),
    ("tcp", "445"),
    ("tcp", "135"),
    ("tcp", "49152-65535"),
    ("udp", "123"),
    ("icmp", "echo-request"),
];

/// The domain controller: samba, and chrony for the time.
struct Controller {
    _samba: Daemon,
    _chrony: Daemon,
}

impl Controller {
    fn start(stage: &Stage) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let own = |name: &str| directory.path().join(name).display().to_string();
        let mut provision = stage.client.command("samba-tool");
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
            .arg(format!("--host-ip={}", CLIENT[0]))
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
        let mut samba = stage.client.command("samba");
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
        let mut chrony = stage.client.command("chronyd");
        chrony.args(["-d", "-x", "-u", "root", "-f"]).arg(&conf);
        Ok(Self {
            _samba: samba,
            _chrony: Daemon::start(chrony, directory, &[("udp", 123)])?,
        })
    }
}

/// The member's own files.
struct Member(TempDir);

impl Member {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let write = |name: &str, text: &str| fs::write(path.join(name), text);
        write(
            "resolv.conf",
            &format!(
                "search corp.example\nnameserver {}\noptions timeout:2 attempts:1\n",
                CLIENT[0]
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
        Ok(Self(directory))
    }

    /// Runs a line in the member, which sees its own resolv.conf and has its own name.
    fn does(&self, stage: &Stage, line: &str) -> Result<Finished> {
        let path: &Path = self.0.path();
        let mut shell: Command = stage.server.command("unshare");
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

/// A site system behind a gateway, which may open this besides what its roles may.
fn policy(site: &str, rules: &[(&str, &str)]) -> String {
    let ([dc, dc6], [own, own6]) = (CLIENT, SERVER);
    let mut text = format!(
        "[site]\nedition = \"current-branch\"\noutbound = \"enforce\"\n{site}\n\
         [peers]\ndomain-controller = [\"{dc}\", \"{dc6}\"]\n\
         [[protect]]\nname = \"mp\"\nroles = [\"distribution-point\"]\naddresses = [\"{own}\", \"{own6}\"]\n"
    );
    for (number, (protocol, ports)) in rules.iter().enumerate() {
        text += &format!(
            "[[outbound.allow]]\nname = \"r{number}\"\nprotocol = \"{protocol}\"\nports = [\"{ports}\"]\n\
             to = [\"domain-controller\"]\nreason = \"a test\"\n"
        );
    }
    text
}

#[test]
fn a_member_lives_by_the_set_and_by_nothing_less() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _controller = Controller::start(&stage)?;
    let member = Member::new()?;
    let file = PolicyFile::allowing(&[])?;
    file.write(&policy("sets = [\"domain-member\"]", &[]))?;
    let agent = stage.start(&format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    ))?;
    let join = "net ads join -s smb.conf -U Administrator%$PASSWORD --no-dns-updates";
    let joined = member.does(&stage, join)?;
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let lives = |steps: &[&Step]| -> Result<()> {
        for step in steps {
            let done = member.does(&stage, step.line)?;
            let blocked = run(stage.command("blocked")?)?.stdout;
            assert_eq!(
                done.code,
                Some(0),
                "it cannot {}: {done:?}\n{blocked}",
                step.does
            );
        }
        Ok(())
    };
    let lets_out = |services: &[(&str, &str)]| -> Result<()> {
        file.write(&policy("", services))?;
        let reload = run(stage.command("reload")?)?;
        assert_eq!(reload.code, Some(0), "{reload:?}");
        Ok(())
    };
    lives(&STEPS.iter().collect::<Vec<_>>())?;
    for step in &STEPS {
        let rest: Vec<_> = SERVICES
            .into_iter()
            .filter(|one| !step.needs.contains(one))
            .collect();
        lets_out(&rest)?;
        let done = member.does(&stage, step.line)?;
        assert_ne!(
            done.code,
            Some(0),
            "without {:?} it can {}",
            step.needs,
            step.does
        );
    }
    lets_out(&SERVICES)?;
    // A member keeps a change of its password that was cut off, and begins no other.
    let repeatable = STEPS.iter().filter(|step| step.does != PASSWORD_CHANGE);
    lives(&repeatable.collect::<Vec<_>>())?;
    let metrics = agent.metrics()?;
    assert!(
        metrics.dropped(&[("reason", "outbound-not-allowed")]) >= STEPS.len() as u64,
        "{metrics:#?}"
    );
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}
