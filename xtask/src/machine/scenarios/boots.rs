//! The machine boots again.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::wire::OUTSIDE;
use super::{Trial, milliseconds, nothing_slipped};

/// When the unit was ready, which is when the kernel said that all cards are enforced.
const READY: &str = "systemctl show --value --property ActiveEnterTimestampMonotonic sccm-agent";

/// When the network's service first saw a carrier of the outer card.
const CARRIER: &str = "journalctl -b -u systemd-networkd -o json --output-fields=MESSAGE | \
     grep -m 1 'outside: Gained carrier' | sed 's/.*\"__MONOTONIC_TIMESTAMP\" *: *\"\\([0-9]*\\)\".*/\\1/'";

/// Notes when the outer card has its program.
const WATCH: &str = "rm -f /root/enforced\n\
     (until ip link show outside | grep -q xdp; do sleep 0.05; done\n\
     awk '{ print int($1 * 1000000) }' /proc/uptime > /root/enforced) >/dev/null 2>&1 &";

/// A boot at which the cards' driver comes long after the unit could have started.
pub fn reboot(trial: &mut Trial) -> Result<()> {
    let before = trial.probe.seen();
    trial.run(
        "echo 'install virtio_net sleep 10; modprobe --ignore-install virtio_net' \
         > /etc/modprobe.d/slow.conf",
    )?;
    restart(trial)?;
    trial.run("rm /etc/modprobe.d/slow.conf")?;
    trial.flows()?;
    let seen = trial.probe.settle()? - before;
    nothing_slipped(seen)?;
    let ahead = trial.moment(CARRIER)? - trial.moment(READY)?;
    ensure!(ahead > 0, "the network was up before the agent was ready");
    eprintln!(
        "    enforced {} ms before the first carrier; {seen:?}",
        milliseconds(ahead)
    );
    Ok(())
}

/// A boot without the outer card and without the policy file. What was confirmed is enforced, also on the card
/// that is plugged in later.
pub fn late_card(trial: &mut Trial) -> Result<()> {
    trial.run("rm /etc/sccm-agent/policy.toml")?;
    trial.emulator.pull(&OUTSIDE)?;
    trial.until("the card is gone", "! ip link show outside")?;
    restart(trial)?;
    trial.run("systemctl is-active sccm-agent && ! ip link show outside")?;
    trial.run("systemctl status sccm-agent | grep outside")?;
    sleep(Duration::from_secs(5));
    trial.run(WATCH)?;
    let before = trial.probe.seen();
    trial.emulator.plug(&OUTSIDE)?;
    trial.until("the card is enforced", "test -s /root/enforced")?;
    let open = trial.probe.seen() - before;
    let gap = trial.moment("cat /root/enforced")? - trial.moment(CARRIER)?;
    // Emulated, the kernel takes a hundred times longer to verify the programs.
    eprintln!(
        "    a late card was without its program for {} ms of its carrier; meanwhile {open:?}",
        milliseconds(gap)
    );
    // Until then the machine's own sockets are open; what is forwarded is judged where it leaves.
    ensure!(
        open.forbidden > 0 && open.slipped == 0,
        "forbidden packets slipped through"
    );
    trial.flows()?;
    trial.unharmed(|_| {
        sleep(Duration::from_secs(2));
        Ok(())
    })?;
    trial.run("cp /test/policy.toml /etc/sccm-agent/policy.toml")?;
    Ok(())
}

fn restart(trial: &mut Trial) -> Result<()> {
    trial.shell.send("systemctl reboot\n")?;
    trial.shell.wait_for_boot()
}
