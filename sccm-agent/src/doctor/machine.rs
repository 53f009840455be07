//! The kernel, the process's rights, and what else the agent needs of the machine.

use super::{Finding, Wish};
use crate::agent::preflight;
use crate::hooks::memory;
use crate::interface;
use crate::kernel::{EgressHook, Found, is_synchronized};
use sccm_common::abi;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

pub(super) fn examine(wish: &Wish) -> Vec<Finding> {
    let mut findings = vec![
        kernel(),
        egress_hook(),
        privileges(),
        bpf_file_system(),
        memory(wish),
        pins(wish),
        listening_port(wish),
        clock(),
    ];
    findings.extend(jit());
    findings.extend(lockdown());
    findings.extend(translation());
    findings
}

fn kernel() -> Finding {
    match preflight::release() {
        Ok(release) => {
            let text = format!("Linux {release}");
            Finding::of("kernel", preflight::kernel(&release), text)
        }
        Err(error) => Finding::blocker("kernel", format!("{error:#}")),
    }
}

fn egress_hook() -> Finding {
    let text = match EgressHook::of_this_kernel() {
        EgressHook::Tcx => "what leaves is judged at TCX",
        EgressHook::Clsact => "what leaves is judged at clsact: TCX came with Linux 6.6",
    };
    Finding::fine("egress-hook", text)
}

fn privileges() -> Finding {
    Finding::of(
        "privileges",
        preflight::capabilities(),
        "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are there",
    )
}

fn bpf_file_system() -> Finding {
    const PATH: &str = "/sys/fs/bpf";
    const TOPIC: &str = "bpf-file-system";
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_mounted = mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next(), fields.next()) == (Some(PATH), Some("bpf"))
    });
    match is_mounted {
        true => Finding::fine(TOPIC, format!("mounted on {PATH}")),
        false => Finding::warning(
            TOPIC,
            format!("not mounted on {PATH}: the agent mounts it, if it has CAP_SYS_ADMIN"),
        )
        .mend(format!("mount -t bpf bpf {PATH}")),
    }
}

/// Only the machine's first network namespace tells.
fn jit() -> Option<Finding> {
    let value = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").ok()?;
    Some(match value.trim() {
        "0" => Finding::warning(
            "jit",
            "programs are interpreted, which takes several times as long a packet",
        )
        .mend("sysctl -w net.core.bpf_jit_enable=1"),
        _ => Finding::fine("jit", "programs are compiled to machine code"),
    })
}

/// The kernel's lockdown keeps programs from helpers that read any memory of the kernel's
/// (`LOCKDOWN_BPF_READ_KERNEL`, include/linux/security.h). Ours call none of them, so it stops nothing.
fn lockdown() -> Option<Finding> {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let mode = modes.split(['[', ']']).nth(1)?.to_owned();
    Some(Finding::fine(
        "lockdown",
        format!("{mode}: it stops none of what the programs do"),
    ))
}

/// As at a start: maps that are there have their memory already.
fn memory(wish: &Wish) -> Finding {
    const TOPIC: &str = "memory";
    if matches!(wish.pins.look(), Ok(Found::Maps)) {
        return Finding::fine(TOPIC, "the maps have theirs");
    }
    let flows = wish.flow_capacity;
    Finding::of(
        TOPIC,
        memory::check(flows),
        format!("enough for the maps, with {flows} flows"),
    )
}

fn pins(wish: &Wish) -> Finding {
    let path = wish.pins.path().display();
    match wish.pins.look() {
        Ok(Found::Nothing) => Finding::fine("pins", "nothing is enforced"),
        Ok(Found::Maps) => {
            let who = match wish.pins.is_held() {
                Ok(true) => "an agent runs",
                _ => "no agent runs, and enforcement goes on",
            };
            Finding::fine("pins", format!("programs and maps are in {path}; {who}"))
        }
        Ok(Found::OtherAbi(version)) => Finding::blocker(
            "pins",
            format!(
                "what is enforced belongs to another version (layout {version}, this one has {})",
                abi::VERSION
            ),
        )
        .mend("sccm-agent detach, which ends enforcement; then start this version"),
        Err(error) => Finding::blocker("pins", format!("{error:#}")),
    }
}

fn listening_port(wish: &Wish) -> Finding {
    const TOPIC: &str = "listening-port";
    let listen = wish.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::fine(TOPIC, format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => match wish.pins.is_held() {
            Ok(true) => Finding::fine(TOPIC, format!("{listen} is taken, and an agent runs")),
            _ => Finding::blocker(TOPIC, format!("{listen} is taken by another program")).mend(
                format!(
                    "ss -ltnp 'sport = :{}' names it; or give another --metrics-listen",
                    listen.port()
                ),
            ),
        },
        Err(error) => Finding::blocker(TOPIC, format!("{listen}: {error}"))
            .mend("give --metrics-listen an address of this machine"),
    }
}

/// Times are told by the machine's clock; nothing that is enforced depends on it.
fn clock() -> Finding {
    // `timedatectl` and other programs look at the same file.
    match Path::new("/run/systemd/timesync/synchronized").exists() || is_synchronized() {
        true => Finding::fine("clock", "synchronized"),
        false => Finding::warning(
            "clock",
            "not synchronized: times in logs, metrics and decisions may be wrong",
        )
        .mend("timedatectl set-ntp true, or start chrony"),
    }
}

fn translation() -> Option<Finding> {
    let found = match interface::translation() {
        Ok(found) => found,
        Err(error) => return Some(Finding::warning("translation", format!("{error:#}"))),
    };
    let places = found.sources.union(&found.destinations);
    let places: Vec<&str> = places.map(String::as_str).collect();
    (!places.is_empty()).then(|| {
        Finding::fine(
            "translation",
            format!("this machine translates addresses: {}", places.join("; ")),
        )
    })
}
