//! The kernel, the process's rights, and what else the agent needs of the machine.

use super::{Finding, Wish};
use crate::agent::preflight;
use crate::hooks::memory;
use crate::interface;
use crate::kernel::{Features, Found, is_synchronized};
use sccm_common::abi;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

pub(super) fn examine(wish: &Wish) -> Vec<Finding> {
    let mut findings = match Features::of_this_kernel() {
        Ok(features) => of_kernel(&features),
        Err(error) => vec![Finding::blocker("kernel", format!("{error:#}"))],
    };
    findings.extend([
        privileges(),
        memory(wish),
        pins(wish),
        listening_port(wish),
        clock(),
    ]);
    findings.extend(lockdown());
    findings.extend(translation());
    findings
}

pub(super) fn of_kernel(found: &Features) -> Vec<Finding> {
    let age = preflight::kernel(&found.release);
    let mut findings = vec![
        Finding::of("kernel", age, format!("Linux {}", found.release)),
        match found.btf {
            true => Finding::fine("btf", "the kernel describes its types"),
            false => Finding::warning(
                "btf",
                "the kernel does not describe its types, and nobody has tried this agent on such a one",
            )
            .mend("take a kernel with CONFIG_DEBUG_INFO_BTF, as distributions have"),
        },
        Finding::fine(
            "egress-hook",
            match found.tcx {
                true => "what leaves is judged at TCX",
                false => "what leaves is judged at clsact: TCX came with Linux 6.6",
            },
        ),
        match found.bpf_file_system {
            true => Finding::fine("bpf-file-system", "mounted on /sys/fs/bpf"),
            false => Finding::warning(
                "bpf-file-system",
                "not mounted on /sys/fs/bpf: the agent mounts it, if it has CAP_SYS_ADMIN",
            )
            .mend("mount -t bpf bpf /sys/fs/bpf"),
        },
    ];
    findings.extend(found.jit.map(|compiles| {
        match compiles {
            true => Finding::fine("jit", "programs are compiled to machine code"),
            false => Finding::warning(
                "jit",
                "programs are interpreted, and each packet takes longer",
            )
            .mend("sysctl -w net.core.bpf_jit_enable=1"),
        }
    }));
    findings
}

fn privileges() -> Finding {
    Finding::of(
        "privileges",
        preflight::capabilities(),
        "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are there",
    )
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
