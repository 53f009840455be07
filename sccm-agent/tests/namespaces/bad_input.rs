//! What cannot be done is refused with exit code 2 and the remedy, and nothing changes.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Result;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, METRICS, POINT, command, run};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::traffic::Outcome;
use tempfile::NamedTempFile;

/// Runs the command and asserts that it refuses with all of `parts`, and changes nothing.
#[track_caller]
fn assert_refused(hosts: &Hosts, command: Command, parts: &[&str]) -> Result<()> {
    run(command)?.assert_refused(parts);
    hosts.assert_untouched()
}

#[test]
fn every_wrong_setting_is_refused_with_its_remedy() -> Result<()> {
    let hosts = Hosts::new()?;
    hosts.point.ip("link add down0 type veth peer name down1")?;
    for (arguments, parts) in [
        // No role, a wrong one, no interface.
        ("--interface eth0", &["--role <ROLE>"] as &[_]),
        (
            "--role distribution-pont --interface eth0",
            &["`distribution-pont`", "did you mean", "distribution-point"],
        ),
        (
            "--role distribution-point --role sitesever --interface eth0",
            &["`sitesever`", "did you mean", "site-server"],
        ),
        ("--role distribution-point", &["--interface IF"]),
        // Interfaces.
        (
            "--role distribution-point --interface eht0",
            &["`eht0`", "did you mean eth0", "there are: lo, "],
        ),
        (
            "--role distribution-point --interface eth0 --interface down0",
            &["down0 is down", "ip link set down0 up"],
        ),
        (
            "--role distribution-point --interface eth0 --interface eth0",
            &["eth0 is given twice"],
        ),
    ] {
        let command = hosts.command(&format!("enforce {arguments}"))?;
        assert_refused(&hosts, command, parts)?;
    }
    for (arguments, parts) in [
        // Ports and ranges.
        ("--http-port 0", &["--http-port", "1 to 65535"] as &[_]),
        ("--sql-port 65536", &["--sql-port", "1 to 65535"]),
        ("--rpc-range 60000-50000", &["reversed", "50000-60000"]),
        ("--rpc-range 50000", &["LOW-HIGH"]),
        ("--rpc-range 0-65535", &["1 to 65535"]),
        ("--rpc-range 100-2000", &["1024 or above"]),
        (
            "--multicast-range 64000-63000",
            &["reversed", "63000-64000"],
        ),
        (
            "--http-port 8080 --https-port 8080",
            &["8080", "http-port or https-port"],
        ),
        ("--http-port 443", &["443", "http-port or https-port"]),
        // The two ports of WSUS.
        (
            "--wsus-http-port 80 --wsus-https-port 8531",
            &["HTTPS port 443", "HTTP 80 goes with HTTPS 443"],
        ),
        (
            "--wsus-http-port 8530 --wsus-https-port 443",
            &["HTTPS port 8531", "the port after it"],
        ),
        ("--wsus-https-port 8531", &["needs wsus-http-port"]),
        ("--wsus-http-port 65535", &["65535", "the one after it"]),
        // Site-specific ports.
        ("--allow tcp", &["names no port", "tcp/22"]),
        ("--allow tcp/0", &["1 to 65535"]),
        ("--allow tcp/90-80", &["reversed", "80-90"]),
        ("--allow sctp/80", &["sctp", "tcp/22"]),
        ("--allow ip/6", &["name them"]),
        ("--allow tcp/22@somewhere", &["somewhere", "192.0.2.0/24"]),
        (
            "--allow tcp/22@192.0.2.1/24",
            &["192.0.2.0/24 or 192.0.2.1"],
        ),
        // The rest.
        ("--enable named-pipe", &["did you mean named-pipes"]),
        ("--hook fast", &["auto, xdp, tc, xdp-generic"]),
        (
            "--metrics-listen 19470",
            &["an address and a port", "127.0.0.1:19470"],
        ),
        ("--timeout-other 0", &["--timeout-other", "1.."]),
        ("--role internet", &["the Internet cannot be protected"]),
        (
            "--metrics-listen 203.0.113.1:19470",
            &["203.0.113.1:19470", "--metrics-listen"],
        ),
    ] {
        let command = hosts.command(&format!("enforce {POINT} {arguments}"))?;
        assert_refused(&hosts, command, parts)?;
    }
    Ok(())
}

#[test]
fn cards_that_cannot_be_told_apart_are_refused() -> Result<()> {
    let hosts = Hosts::new()?;
    for line in [
        // Both ends here, so that the agent can ask the other one about tags.
        "link add near0 up type veth peer name far0",
        "link set dev far0 up",
        "link add br0 up type bridge",
        "link add br1 up type bridge",
        "link add a.20 up type veth peer name b.20",
        "link set dev a.20 master br0",
        "tuntap add dev tun0 mode tun",
        "link set dev tun0 up",
    ] {
        hosts.point.ip(line)?;
    }
    for (cards, parts) in [
        // Sides of a gateway.
        ("--uplink eth0", &["needs a --segment"] as &[_]),
        ("--segment eth0", &["needs an --uplink"]),
        (
            "--uplink eth0 --segment eth0",
            &["eth0 is given as uplink and as segment"],
        ),
        // VLANs.
        (
            "--interface eth0.0",
            &["`eth0.0` is no VLAN of eth0", "1 to 4094"],
        ),
        (
            "--interface eth0.4095",
            &["`eth0.4095` is no VLAN of eth0", "1 to 4094"],
        ),
        ("--interface eth9.20", &["no interface `eth9.20`"]),
        (
            "--uplink eth0.20 --segment eth0.20",
            &["eth0.20 is given as uplink and as segment"],
        ),
        (
            "--uplink eth0.20 --segment eth0.020",
            &["eth0.20 and eth0.020 mean the same frames of eth0"],
        ),
        (
            "--interface near0.20",
            &["far0 hands VLAN tags over", "`ethtool -K far0 txvlan off`"],
        ),
        // Without an Ethernet header.
        (
            "--interface tun0",
            &["frames of tun0 have no Ethernet header", "--hook tc"],
        ),
        (
            "--interface tun0 --hook xdp-generic",
            &["frames of tun0 have no Ethernet header"],
        ),
        (
            "--interface tun0.20 --hook auto",
            &["frames of tun0 have no Ethernet header", "no VLANs"],
        ),
        // Members.
        ("--interface br1", &["br1 has no members", "master br1"]),
        (
            "--interface br0 --interface a.20",
            &["a.20 is a member of br0, which is given too"],
        ),
        (
            "--uplink br0 --segment a.20.30",
            &["a.20.30 is of a.20, and a.20 is a member of br0"],
        ),
        ("--uplink br0.30 --segment a.20.30", &["a member of br0"]),
    ] {
        let command = hosts.command(&format!("enforce --role distribution-point {cards}"))?;
        assert_refused(&hosts, command, parts)?;
    }
    let many: String = (1..=16)
        .map(|id| format!(" --interface eth0.{id}"))
        .collect();
    let command = hosts.command(&format!("enforce --role distribution-point{many}"))?;
    assert_refused(&hosts, command, &["17 interfaces", "at most 16"])?;

    // An interface that is no VLAN is itself, whatever it is called.
    let agent = hosts.enforce("--role distribution-point --interface a.20")?;
    let labels = [("interface", "a.20"), ("mode", "native")];
    assert_eq!(agent.metrics()?.sum("sccm_enforcing", &labels), 1.0);
    assert!(hosts.is_hooked("a.20")?);
    Ok(())
}

/// The command will see this in place of /proc/meminfo.
fn with_meminfo(mut command: Command, content: &str) -> Result<(Command, NamedTempFile)> {
    let mut file = NamedTempFile::new()?;
    file.write_all(content.as_bytes())?;
    let path = file.path().to_owned();
    let mount_it = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let nothing = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(nothing, "/", nothing, private, nothing)?;
        mount(
            Some(&path),
            "/proc/meminfo",
            nothing,
            MsFlags::MS_BIND,
            nothing,
        )?;
        Ok(())
    };
    // SAFETY: only system calls, and paths of this length are copied to the stack.
    unsafe { command.pre_exec(mount_it) };
    Ok((command, file))
}

#[test]
fn more_flows_than_memory_are_refused() -> Result<()> {
    let hosts = Hosts::new()?;
    let enforce = |flows: &str| hosts.command(&format!("enforce {POINT} --flow-capacity {flows}"));
    for (flows, parts) in [
        ("0", &["--flow-capacity", "1..=16777216"]),
        ("16777217", &["--flow-capacity", "1..=16777216"]),
    ] {
        assert_refused(&hosts, enforce(flows)?, parts)?;
    }
    let memory = |mib: u32| {
        let kib = mib * 1024;
        format!(
            "MemTotal: {kib} kB\nMemFree: 0 kB\nMemAvailable: {kib} kB\nBuffers: 0 kB\n\
                 Cached: 0 kB\nSwapCached: 0 kB\nActive: 0 kB\nInactive: 0 kB\nSwapTotal: 0 kB\n\
                 SwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\nAnonPages: 0 kB\nMapped: 0 kB\n\
                 Slab: 0 kB\nVmallocTotal: 0 kB\nVmallocUsed: 0 kB\nVmallocChunk: 0 kB\n\
                 Committed_AS: 0 kB\n"
        )
    };
    // A million flows take 112 MiB.
    let (command, _file) = with_meminfo(enforce("1048576")?, &memory(200))?;
    let parts = [
        "1048576 flows need 1",
        "200 MiB are available",
        "--flow-capacity",
    ];
    assert_refused(&hosts, command, &parts)?;
    let (command, _file) = with_meminfo(enforce("1048576")?, &memory(400))?;
    let agent = Agent::start(&hosts.point, command)?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

#[test]
fn a_metrics_port_in_use_is_noticed_before_anything_is_attached() -> Result<()> {
    let hosts = Hosts::new()?;
    let _taken = hosts.point.enter(|| TcpListener::bind(METRICS))?;
    let command = hosts.command(&format!("enforce {POINT}"))?;
    assert_refused(&hosts, command, &["127.0.0.1:19470", "--metrics-listen"])
}

#[test]
fn pins_must_be_on_a_bpf_file_system() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempfile::tempdir()?;
    let pins = directory.path().join("agent");
    let command = command(&hosts.point, &format!("enforce {POINT}"), &pins)?;
    let place = pins.display().to_string();
    assert_refused(
        &hosts,
        command,
        &[&place, "bpf file system", "mount -t bpf"],
    )?;
    assert!(!pins.exists());
    Ok(())
}

/// Capabilities by their numbers (include/uapi/linux/capability.h).
const NET_ADMIN: (u8, &str) = (12, "CAP_NET_ADMIN");
const SYS_ADMIN: (u8, &str) = (21, "CAP_SYS_ADMIN");
const PERFMON: (u8, &str) = (38, "CAP_PERFMON");
const BPF: (u8, &str) = (39, "CAP_BPF");

/// The command will run as root without these capabilities.
fn without(
    mut command: Command,
    capabilities: impl Fn(u8) -> bool + Send + Sync + 'static,
) -> Command {
    let drop_them = move || {
        for capability in (0..64).filter(|number| capabilities(*number)) {
            // SAFETY: the call takes plain numbers.
            let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(capability)) };
            match Errno::result(result) {
                // A number that this kernel does not have.
                Ok(_) | Err(Errno::EINVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    // SAFETY: only system calls and no allocation, as must be after a fork.
    unsafe { command.pre_exec(drop_them) };
    command
}

/// Whoever may not look is not told that nothing is there.
#[test]
fn without_the_right_to_look_nothing_is_claimed() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    for line in ["status", "status -o json", "blocked"] {
        let mut command = hosts.command(line)?;
        let leave_root = || {
            // SAFETY: the call takes a plain number.
            let group = unsafe { libc::setgid(65534) };
            // SAFETY: the call takes a plain number.
            let user = unsafe { libc::setuid(65534) };
            assert_eq!((group, user), (0, 0));
            Ok(())
        };
        // SAFETY: only system calls, as must be after a fork.
        unsafe { command.pre_exec(leave_root) };
        let refused = run(command)?;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("run it as root"), "{refused:?}");
        assert!(!refused.stdout.contains("attached"), "{refused:?}");
    }
    drop(agent);
    Ok(())
}

#[test]
fn missing_privilege_is_named() -> Result<()> {
    let hosts = Hosts::new()?;
    let all = [BPF, PERFMON, NET_ADMIN];
    for lacking in [
        &[SYS_ADMIN, BPF] as &[_],
        &[SYS_ADMIN, PERFMON],
        &[SYS_ADMIN, NET_ADMIN],
        &[SYS_ADMIN, BPF, PERFMON, NET_ADMIN],
    ] {
        let command = hosts.command(&format!("enforce {POINT}"))?;
        let command = without(command, |number| {
            lacking.iter().any(|lacking| lacking.0 == number)
        });
        let named = |capability| lacking.contains(capability);
        let parts: Vec<&str> = all
            .iter()
            .filter(|one| named(one))
            .map(|one| one.1)
            .collect();
        let line = format!("this needs {}: run it as root", parts.join(" and "));
        assert_refused(&hosts, command, &[&line, "sudo"])?;
    }
    Ok(())
}

#[test]
fn three_capabilities_are_enough() -> Result<()> {
    let hosts = Hosts::new()?;
    let _servers = hosts.tcp_servers(&[21])?;
    let command = hosts.command(&format!("enforce {POINT}"))?;
    let command = without(command, |number| {
        ![NET_ADMIN, PERFMON, BPF]
            .iter()
            .any(|kept| kept.0 == number)
    });
    let agent = Agent::start(&hosts.point, command)?;
    hosts.assert_tcp(&[21], Outcome::TimedOut);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_tcp(&[21], Outcome::Connected);
    Ok(())
}

#[test]
fn another_program_on_the_card_is_named_and_left_alone() -> Result<()> {
    let hosts = Hosts::new()?;
    let _servers = hosts.tcp_servers(&[21])?;
    // The owner is an agent with other pins; it dies, so nobody holds the program any more.
    let others = BpfMount::new()?;
    let start = format!("enforce {POINT}");
    let other = || command(&hosts.point, &start, &others.path().join("other"));
    let owner = Agent::start(&hosts.point, other()?)?;

    let refused = |parts: &[&str]| -> Result<()> {
        hosts
            .run(&format!("{start} --metrics-listen 127.0.0.1:19471"))?
            .assert_refused(parts);
        assert!(!hosts.pins().exists(), "no pins");
        assert_eq!(hosts.status()?.code, Some(3));
        hosts.assert_tcp(&[21], Outcome::TimedOut);
        Ok(())
    };
    let always = [
        "eth0 already has an XDP program",
        "`sccm_xdp`",
        "ip link set eth0 xdp off",
    ];
    refused(&[always.as_slice(), &["held by sccm-agent (pid "]].concat())?;
    owner.end(Signal::SIGKILL)?;
    refused(&always)
}

#[test]
fn maps_of_another_layout_are_refused_until_detached() -> Result<()> {
    let hosts = Hosts::new()?;
    let _servers = hosts.tcp_servers(&[21])?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    hosts.set_layout_version(4711)?;

    hosts
        .run(&format!("enforce {POINT}"))?
        .assert_refused(&["layout 4711", "sccm-agent detach"]);
    assert!(hosts.is_hooked("eth0")?);
    hosts.assert_tcp(&[21], Outcome::TimedOut);
    let status = hosts.status()?;
    assert_eq!(status.code, Some(5));
    assert_eq!(status.json["maps"], "abi-mismatch");
    let table = hosts.run("status")?;
    assert!(table.stdout.contains("sccm-agent detach"), "{table:?}");

    assert_eq!(hosts.run("detach")?.code, Some(0));
    assert_eq!(hosts.status()?.code, Some(3));
    hosts.assert_tcp(&[21], Outcome::Connected);
    let _agent = hosts.enforce(POINT)?;
    hosts.assert_tcp(&[21], Outcome::TimedOut);
    Ok(())
}
