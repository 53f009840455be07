//! A member of a real Active Directory domain behind a gateway that enforces both directions: with the
//! set `domain-member` it lives, and without one of its services the right step fails.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{PolicyFile, run};
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};

use super::controller::{Controller, Member};

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
    let _controller = Controller::start(&stage.client, CLIENT[0])?;
    let member = Member::new(&stage.server, CLIENT[0])?;
    let file = PolicyFile::allowing(&[])?;
    file.write(&policy("sets = [\"domain-member\"]", &[]))?;
    let agent = stage.start(&format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    ))?;
    let join = "net ads join -s smb.conf -U Administrator%$PASSWORD --no-dns-updates";
    let joined = member.does(join)?;
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let lives = |steps: &[&Step]| -> Result<()> {
        for step in steps {
            let done = member.does(step.line)?;
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
        let done = member.does(step.line)?;
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
