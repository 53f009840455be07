//! What goes wrong on machines. Enforcement goes on as if nothing were.

use anyhow::{Result, ensure};

use super::Trial;

/// For a watchdog that does not wait for minutes, from the next start on.
const QUICK: &str = "/run/systemd/system/sccm-agent.service.d";

/// Killed, hung until the watchdog ends it, and killed once more.
pub fn crashes(trial: &mut Trial) -> Result<()> {
    trial.run(&format!(
        "mkdir -p {QUICK} && printf '[Service]\\nWatchdogSec=9\\n' > {QUICK}/quick.conf\n\
         systemctl daemon-reload"
    ))?;
    trial.unharmed(|trial| {
        signal(trial, "KILL")?;
        signal(trial, "STOP")?;
        trial.run("journalctl -b -u sccm-agent | grep -i 'watchdog timeout'")?;
        trial.run(&format!("rm -r {QUICK} && systemctl daemon-reload"))?;
        signal(trial, "KILL")
    })
}

/// Sends the agent a signal, and waits for the next one.
fn signal(trial: &mut Trial, signal: &str) -> Result<()> {
    let agent = trial.run("systemctl show --value --property MainPID sccm-agent")?;
    trial.run(&format!(
        "systemctl kill --kill-who=main --signal={signal} sccm-agent"
    ))?;
    let next = format!(
        "{ACTIVE} && test $(systemctl show --value --property MainPID sccm-agent) != {agent}"
    );
    trial.until("the agent is back", &next)
}

const ACTIVE: &str = "systemctl is-active sccm-agent";

/// Starts that are refused say why, are tried again, and what was enforced stays.
pub fn refused(trial: &mut Trial) -> Result<()> {
    trial.run("cp /etc/default/sccm-agent /root/default")?;
    trial.unharmed(|trial| {
        refusal(trial, "--no-such-option", "no-such-option")?;
        // The service may not read what is not root's to read, because it has no right to pass over modes.
        trial.run(
            "cd /etc/sccm-agent && touch server.crt server.key && chmod 000 server.crt server.key\n\
             printf '[tls_server_config]\\ncert_file = \"server.crt\"\\nkey_file = \"server.key\"\\n' > web.toml",
        )?;
        refusal(trial, "--web-config /etc/sccm-agent/web.toml", "server.crt")?;
        trial.run(
            "cd /etc/sccm-agent && rm -f server.crt server.key web.toml\n\
             cp /root/default /etc/default/sccm-agent && systemctl restart sccm-agent",
        )?;
        Ok(())
    })
}

fn refusal(trial: &mut Trial, options: &str, says: &str) -> Result<()> {
    trial.run(&format!(
        "sed 's|\"$| {options}\"|' /root/default > /etc/default/sccm-agent\n\
         systemctl reset-failed sccm-agent; systemctl restart sccm-agent || true"
    ))?;
    trial.until(
        "the start is tried again",
        "test $(systemctl show --value --property NRestarts sccm-agent) -ge 1",
    )?;
    let said = trial.run("journalctl -b -u sccm-agent -n 30")?;
    ensure!(
        said.contains(says),
        "the journal does not say {says}: {said}"
    );
    Ok(())
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
