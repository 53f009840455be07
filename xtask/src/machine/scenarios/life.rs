//! The package comes, works, is upgraded, and goes.

use anyhow::{Result, ensure};

use super::Trial;

/// What is on the machine but logs and the lists of what is installed.
const FILES: &str = "find / -xdev \\( -path /test -o -path /tmp -o -path /root -o -path /var/log \
     -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/tmp \\) -prune \
     -o -print | grep -v -e '^/etc/g\\?shadow-\\?$' -e '^/etc/group-\\?$' -e '^/etc/passwd-\\?$' \
     -e '^/var/lib/systemd/\\(random-seed\\|timers\\|catalog\\|rfkill\\)' -e '^/var/lib/systemd/timesync' | sort";

pub fn install(trial: &mut Trial) -> Result<()> {
    trial.is_open()?;
    trial.run(&format!("{FILES} > /root/files-before"))?;
    trial.run("apt-get install --yes --no-install-recommends /test/before.deb")?;
    let (_, enabled) = trial.shell.attempt("systemctl is-enabled sccm-agent")?;
    let (_, active) = trial.shell.attempt("systemctl is-active sccm-agent")?;
    ensure!(
        enabled == "disabled" && active == "inactive",
        "the unit is {enabled} and {active} after installing"
    );
    trial.run("test ! -e /sys/fs/bpf/sccm-agent && test ! -e /var/lib/sccm-agent")?;
    trial.is_open()
}

pub fn enable(trial: &mut Trial) -> Result<()> {
    trial.run(
        "cp /test/policy.toml /etc/sccm-agent/policy.toml\n\
         echo 'OPTIONS=\"--uplink outside --segment inside --hook xdp\"' > /etc/default/sccm-agent\n\
         sccm-agent check /etc/sccm-agent/policy.toml",
    )?;
    // What fails here would fail for anybody.
    let (code, checked) = trial.shell.attempt(
        "sccm-agent doctor --uplink outside --segment inside --config /etc/sccm-agent/policy.toml",
    )?;
    ensure!(code != 4, "doctor sees a blocker: {checked}");
    trial.run("systemctl enable --now sccm-agent")?;
    trial.unharmed(|trial| {
        trial.flows()?;
        trial
            .run("sccm-agent status && sccm-agent version")
            .map(drop)
    })?;
    let live = trial.shell.attempt("sccm-agent doctor --live")?;
    ensure!(live.0 != 4, "doctor --live sees a blocker: {}", live.1);
    Ok(())
}

pub fn reload(trial: &mut Trial) -> Result<()> {
    trial.unharmed(|trial| {
        trial.run(
            "cd /etc/sccm-agent\n\
             sed -i 's/ports = .4000./ports = [4000, 4010]/' policy.toml\n\
             systemctl reload sccm-agent && sccm-agent status | grep 'generation 2'",
        )?;
        let mistake = "echo '[[allow' >> /etc/sccm-agent/policy.toml; systemctl reload sccm-agent";
        let (code, _) = trial.shell.attempt(mistake)?;
        ensure!(code != 0, "a reload of a policy with a mistake succeeded");
        trial.run(
            "systemctl is-active sccm-agent && sccm-agent status | grep 'generation 2'\n\
             cp /test/policy.toml /etc/sccm-agent/policy.toml\n\
             systemctl reload sccm-agent && sccm-agent status | grep 'generation 3'",
        )?;
        Ok(())
    })
}

pub fn upgrade(trial: &mut Trial) -> Result<()> {
    trial.unharmed(|trial| {
        let agent = trial.run("systemctl show --property MainPID sccm-agent")?;
        trial.run("apt-get install --yes --no-install-recommends /test/newest.deb")?;
        trial.until("the new agent is ready", "systemctl is-active sccm-agent")?;
        let after = trial.run("systemctl show --property MainPID sccm-agent")?;
        ensure!(agent != after, "the upgrade did not restart the agent");
        let changed = "cmp /test/policy.toml /etc/sccm-agent/policy.toml";
        trial.run(changed)?;
        trial.run("systemctl is-enabled sccm-agent && sccm-agent status")?;
        Ok(())
    })
}

pub fn remove(trial: &mut Trial) -> Result<()> {
    trial.run("apt-get remove --yes sccm-agent")?;
    trial.is_open()?;
    trial.run(
        "test ! -e /sys/fs/bpf/sccm-agent && test -e /var/lib/sccm-agent && test -e /etc/sccm-agent\n\
         ! ip -d link | grep -e xdp -e clsact",
    )?;
    trial.run("apt-get purge --yes sccm-agent && systemctl daemon-reload")?;
    trial.run("ls -A /run/sccm-agent /sys/fs/bpf; test ! -e /run/sccm-agent && test -z \"$(ls -A /sys/fs/bpf)\"")?;
    let left = trial.run(&format!(
        "{FILES} > /root/files-after; diff /root/files-before /root/files-after || true"
    ))?;
    ensure!(left.is_empty(), "purging left, or took, files:\n{left}");
    trial.is_open()
}
