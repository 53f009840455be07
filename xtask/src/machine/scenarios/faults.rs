//! What goes wrong on machines. Enforcement goes on as if nothing were.

use anyhow::{Result, ensure};

use super::Trial;

const ACTIVE: &str = "systemctl is-active sccm-agent";

pub fn watchdog(trial: &mut Trial) -> Result<()> {
    trial.run(
        "mkdir -p /run/systemd/system/sccm-agent.service.d\n\
         printf '[Service]\\nWatchdogSec=9\\n' > /run/systemd/system/sccm-agent.service.d/quick.conf\n\
         systemctl daemon-reload && systemctl restart sccm-agent",
    )?;
    trial.unharmed(|trial| {
        trial.run("kill -STOP $(systemctl show --value --property MainPID sccm-agent)")?;
        trial.until(
            "the watchdog ends the agent",
            "journalctl -b -u sccm-agent | grep -i 'watchdog timeout'",
        )?;
        trial.until(
            "the agent is back",
            "systemctl is-active sccm-agent && test $(systemctl show --value --property NRestarts sccm-agent) -gt 0",
        )
    })?;
    trial.run(
        "rm -r /run/systemd/system/sccm-agent.service.d\n\
         systemctl daemon-reload && systemctl restart sccm-agent",
    )?;
    Ok(())
}

pub fn crashes(trial: &mut Trial) -> Result<()> {
    trial.unharmed(|trial| {
        for _ in 0..3 {
            let agent = trial.run("systemctl show --value --property MainPID sccm-agent")?;
            trial.run(&format!("kill -KILL {agent}"))?;
            let again = format!(
                "{ACTIVE} && test $(systemctl show --value --property MainPID sccm-agent) != {agent}"
            );
            trial.until("the agent is back", &again)?;
        }
        Ok(())
    })
}

pub fn refused(trial: &mut Trial) -> Result<()> {
    refusal(trial, "--no-such-option", "no-such-option")
}

/// The service may not read what is not root's to read, because it has no right to pass over modes.
pub fn certificate(trial: &mut Trial) -> Result<()> {
    trial.run(
        "cd /etc/sccm-agent && touch server.crt server.key && chmod 000 server.crt server.key\n\
         printf '[tls_server_config]\\ncert_file = \"server.crt\"\\nkey_file = \"server.key\"\\n' > web.toml",
    )?;
    refusal(trial, "--web-config /etc/sccm-agent/web.toml", "server.crt")?;
    trial
        .run("cd /etc/sccm-agent && rm -f server.crt server.key web.toml")
        .map(drop)
}

/// Options with which the agent does not start: it says why, tries again, and what was enforced stays.
fn refusal(trial: &mut Trial, options: &str, says: &str) -> Result<()> {
    trial.unharmed(|trial| {
        trial.run(&format!(
            "cp /etc/default/sccm-agent /root/default\n\
             sed -i 's|\"$| {options}\"|' /etc/default/sccm-agent\n\
             systemctl reset-failed sccm-agent; systemctl restart sccm-agent || true"
        ))?;
        trial.until(
            "the start is tried again",
            "test $(systemctl show --value --property NRestarts sccm-agent) -ge 2",
        )?;
        let invocation = "journalctl -b -u sccm-agent -n 30";
        let said = trial.run(invocation)?;
        ensure!(
            said.contains(says),
            "the journal does not say {says}: {said}"
        );
        trial.run("cp /root/default /etc/default/sccm-agent && systemctl restart sccm-agent")?;
        trial.until("the agent is back", ACTIVE)
    })
}

/// The state is on a disk that is full: the agent enforces all the same, and says so.
pub fn full_disk(trial: &mut Trial) -> Result<()> {
    trial.unharmed(|trial| {
        trial.run(
            "systemctl stop sccm-agent\n\
             mount -t tmpfs -o size=16k,mode=0700 none /var/lib/sccm-agent\n\
             dd if=/dev/zero of=/var/lib/sccm-agent/full bs=4k 2>/dev/null || true\n\
             systemctl start sccm-agent\n\
             sed -i 's/ports = .4000./ports = [4000, 4011]/' /etc/sccm-agent/policy.toml\n\
             systemctl reload sccm-agent",
        )?;
        let said = trial.run("journalctl -b -u sccm-agent -p err -n 10; sccm-agent status")?;
        ensure!(
            said.contains("No space left on device"),
            "the journal does not say that the disk is full: {said}"
        );
        trial.run(
            "systemctl stop sccm-agent\n\
             umount /var/lib/sccm-agent\n\
             cp /test/policy.toml /etc/sccm-agent/policy.toml\n\
             systemctl start sccm-agent",
        )?;
        Ok(())
    })
}
