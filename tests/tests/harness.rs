//! The harness itself: hosts can talk, outcomes are told apart, and nothing stays behind.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, also in its helpers"
)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sccm_tests::bpffs::BpfMount;
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::{
    FrameSocket, Outcome, ping, tcp_connect, tcp_connect_many, tcp_exchange, tcp_server,
    udp_echo_server, udp_exchange, udp_exchange_many,
};

/// For what must arrive, even on a busy machine.
const LONG: Duration = Duration::from_secs(5);

/// For what must not arrive.
const SHORT: Duration = Duration::from_millis(100);

/// Two hosts on one cable: 192.0.2.1 and .2, 2001:db8::1 and ::2.
fn two_hosts() -> Result<(Namespace, Namespace)> {
    let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
    let (left, right) = veth_pair(&client, "eth0", &server, "eth0")?;
    left.address("192.0.2.1/24")?.address("2001:db8::1/64")?;
    right.address("192.0.2.2/24")?.address("2001:db8::2/64")?;
    Ok((client, server))
}

fn server_addresses() -> [IpAddr; 2] {
    ["192.0.2.2", "2001:db8::2"].map(|address| address.parse().unwrap())
}

fn namespace_exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&format!(" {} ", path.display()))
}

/// Whether the process runs; one that only waits to be reaped does not.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("").starts_with('Z'))
}

#[test]
fn hosts_reach_each_other() -> Result<()> {
    let (client, server) = two_hosts()?;
    for address in server_addresses() {
        assert!(ping(&client, address, LONG)?, "ping {address}");

        let tcp = tcp_server(&server, (address, 445).into())?;
        assert_eq!(
            tcp_connect(&client, tcp.address(), LONG),
            Outcome::Connected
        );
        assert!(tcp_exchange(&client, tcp.address(), LONG));

        let udp = udp_echo_server(&server, (address, 69).into())?;
        assert!(udp_exchange(&client, udp.address(), LONG));
        assert!(!udp_exchange(&client, (address, 70).into(), LONG));
    }
    Ok(())
}

#[test]
fn outcomes_are_told_apart() -> Result<()> {
    let (client, server) = two_hosts()?;
    let connect = |address: &str| tcp_connect(&client, address.parse().unwrap(), LONG);
    assert_eq!(connect("192.0.2.2:81"), Outcome::Refused);
    assert_eq!(connect("[2001:db8::2]:81"), Outcome::Refused);
    assert_eq!(connect("203.0.113.1:80"), Outcome::Unreachable);

    // A router that discards without a word.
    client.route("203.0.113.0/24 via 192.0.2.2")?;
    client.route("2001:db8:1::/64 via 2001:db8::2")?;
    server.route("blackhole 203.0.113.0/24")?;
    server.sysctl("net.ipv4.ip_forward", "1")?;
    for silent in ["203.0.113.1:80", "[2001:db8:1::1]:80"] {
        let silent: SocketAddr = silent.parse()?;
        assert_eq!(tcp_connect(&client, silent, SHORT), Outcome::TimedOut);
        assert!(!tcp_exchange(&client, silent, SHORT));
        assert!(!udp_exchange(&client, silent, SHORT));
        assert!(!ping(&client, silent.ip(), SHORT)?);
    }
    Ok(())
}

#[test]
fn many_attempts_keep_their_order() -> Result<()> {
    let (client, server) = two_hosts()?;
    // Otherwise the server keeps most of its "port unreachable" to itself.
    for limit in ["icmp_ratelimit", "icmp_ratemask"] {
        server.sysctl(&format!("net.ipv4.{limit}"), "0")?;
    }
    let [address, _] = server_addresses();
    let _tcp = tcp_server(&server, (address, 1300).into())?;
    let _udp = udp_echo_server(&server, (address, 1299).into())?;
    let all: Vec<SocketAddr> = (1000..1301).map(|port| (address, port).into()).collect();
    let outcomes = tcp_connect_many(&client, &all, LONG);
    let (last, others) = outcomes.split_last().unwrap();
    assert_eq!(*last, Outcome::Connected);
    assert!(others.iter().all(|outcome| *outcome == Outcome::Refused));

    let answers = udp_exchange_many(&client, &all, LONG);
    assert_eq!(answers.iter().position(|answered| *answered), Some(299));
    assert_eq!(answers.iter().filter(|answered| **answered).count(), 1);
    Ok(())
}

#[test]
fn a_dropped_server_is_gone() -> Result<()> {
    let (client, server) = two_hosts()?;
    let [address, _] = server_addresses();
    let tcp = tcp_server(&server, (address, 0).into())?;
    let listened = tcp.address();
    assert_ne!(listened.port(), 0);
    drop(tcp);
    // A process that another test is about to start holds the socket, too, until it runs.
    let deadline = Instant::now() + LONG;
    let mut outcome = tcp_connect(&client, listened, LONG);
    while outcome != Outcome::Refused && Instant::now() < deadline {
        outcome = tcp_connect(&client, listened, LONG);
    }
    assert_eq!(outcome, Outcome::Refused);
    Ok(())
}

#[test]
fn built_frames_reach_the_real_stack() -> Result<()> {
    let (client, server) = two_hosts()?;
    let (here, there) = (client.interface("eth0"), server.interface("eth0"));
    let socket = FrameSocket::open(here)?;
    let _tcp = tcp_server(&server, "192.0.2.2:80".parse()?)?;
    let _udp = udp_echo_server(&server, "[2001:db8::2]:69".parse()?)?;

    // (what is sent, the place of the answer's telling bytes, those bytes)
    for (name, packet, at, answer) in [
        (
            "SYN",
            Packet::ipv4("192.0.2.1", "192.0.2.2").tcp(40000, 80).syn(),
            34,
            [0, 80, 0x9c, 0x40],
        ),
        (
            "echo request behind IPv4 options",
            Packet::ipv4("192.0.2.1", "192.0.2.2")
                .router_alert()
                .icmp_echo_request(0x1234),
            // The answer does not repeat this option.
            38,
            [0x12, 0x34, 0, 1],
        ),
        (
            "datagram",
            Packet::ipv6("2001:db8::1", "2001:db8::2")
                .udp(40000, 69)
                .payload(7),
            54,
            [0, 69, 0x9c, 0x40],
        ),
        (
            "neighbour solicitation",
            Packet::ipv6("2001:db8::1", "2001:db8::2")
                .hop_limit(255)
                .neighbor_solicitation("2001:db8::2"),
            62,
            [0x20, 0x01, 0x0d, 0xb8],
        ),
    ] {
        let frame = packet
            .source_mac(here.mac()?)
            .destination_mac(there.mac()?)
            .build();
        socket.send(&frame)?;
        let received = socket.receive(LONG, |frame| {
            frame.get(at..at + 4) == Some(answer.as_slice())
        })?;
        assert!(received.is_some(), "no answer to: {name}");
    }
    assert_eq!(socket.receive(Duration::from_millis(10), |_| false)?, None);
    Ok(())
}

#[test]
fn arp_is_answered() -> Result<()> {
    let (client, server) = two_hosts()?;
    let socket = FrameSocket::open(client.interface("eth0"))?;
    let request = Packet::arp_request("192.0.2.1", "192.0.2.2")
        .source_mac(client.interface("eth0").mac()?)
        .build();
    socket.send(&request)?;
    let is_arp = |frame: &[u8]| frame[12..14] == [0x08, 0x06];
    let reply = socket.receive(LONG, is_arp)?.expect("an ARP reply");
    assert_eq!(reply[20..22], [0, 2]);
    assert_eq!(reply[22..28], server.interface("eth0").mac()?);
    Ok(())
}

#[test]
fn a_frame_socket_sees_only_what_arrives() -> Result<()> {
    let (client, _server) = two_hosts()?;
    let socket = FrameSocket::open(client.interface("eth0"))?;
    let [address, _] = server_addresses();
    assert!(ping(&client, address, LONG)?);
    let is_icmp = |frame: &[u8]| frame[12..14] == [0x08, 0x00] && frame[23] == 1;
    let first = socket.receive(LONG, is_icmp)?.expect("an echo reply");
    assert_eq!(first[34], 0, "the request is not what arrived");
    Ok(())
}

#[test]
fn settings_apply_inside_only() -> Result<()> {
    let outside = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")?;
    let host = Namespace::new("settings")?;
    host.sysctl("net.ipv4.ip_default_ttl", "77")?;
    let read = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl");
    assert_eq!(host.enter(read)?, "77\n");
    assert_eq!(read()?, outside);
    assert!(host.sysctl("net.ipv4.no_such_setting", "1").is_err());

    let other = Namespace::new("peer")?;
    let (cable, _) = veth_pair(&host, "a", &other, "b")?;
    cable.mtu(1400)?.down()?;
    let shown = host.ip("-o link show dev a")?;
    assert!(
        shown.contains("mtu 1400") && shown.contains("state DOWN"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn commands_run_inside_and_end_with_the_namespace() -> Result<()> {
    let host = Namespace::new("commands")?;
    let inside = std::fs::read_link("/proc/self/ns/net")?;
    let output = host.command("readlink").arg("/proc/self/ns/net").output()?;
    let seen = String::from_utf8(output.stdout)?;
    assert!(seen.starts_with("net:["), "{seen}");
    assert_ne!(seen.trim(), inside.to_str().unwrap());

    let name = host.name().to_owned();
    let mut sleeper = host.command("sleep").arg("60").spawn()?;
    assert!(is_running(sleeper.id()));
    drop(host);
    assert!(!is_running(sleeper.id()));
    assert!(!namespace_exists(&name));
    assert!(!sleeper.wait()?.success());
    Ok(())
}

#[test]
fn a_panic_inside_propagates_and_cleans_up() -> Result<()> {
    let host = Namespace::new("panics")?;
    let name = host.name().to_owned();
    assert!(namespace_exists(&name));
    let panicked = catch_unwind(move || host.enter(|| panic!("told so")));
    let message = panicked.expect_err("the panic arrives");
    assert_eq!(message.downcast_ref(), Some(&"told so"));
    assert!(!namespace_exists(&name));
    Ok(())
}

#[test]
fn a_bpf_mount_is_private_and_goes() -> Result<()> {
    let (first, second) = (BpfMount::new()?, BpfMount::new()?);
    let path = first.path().to_owned();
    assert_ne!(path, second.path());
    assert!(is_mounted(&path));
    let inside = path.join("pins");
    std::fs::create_dir(&inside)?;
    drop(first);
    assert!(!is_mounted(&path));
    assert!(!path.exists());
    assert!(is_mounted(second.path()));
    Ok(())
}

#[test]
fn a_signal_ends_a_program_in_order() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (mut holder, name, process, mount) = start_holder()?;
        assert!(namespace_exists(&name) && is_running(process) && is_mounted(Path::new(&mount)));
        assert_eq!(
            blocked_signals(process)?,
            0,
            "the holder's block is not inherited"
        );
        kill(Pid::from_raw(holder.id() as i32), signal)?;
        assert_eq!(holder.wait()?.code(), Some(128 + signal as i32));
        assert!(!namespace_exists(&name));
        assert!(!is_running(process));
        assert!(!is_mounted(Path::new(&mount)) && !Path::new(&mount).exists());
    }
    Ok(())
}

#[test]
fn the_next_program_cleans_up_after_a_killed_one() -> Result<()> {
    let (mut killed, name, process, mount) = start_holder()?;
    killed.kill()?;
    killed.wait()?;
    assert!(namespace_exists(&name) && is_mounted(Path::new(&mount)));

    let (mut next, ..) = start_holder()?;
    assert!(!namespace_exists(&name));
    assert!(!is_mounted(Path::new(&mount)) && !Path::new(&mount).exists());
    kill(Pid::from_raw(next.id() as i32), Signal::SIGTERM)?;
    next.wait()?;

    // The orphan was sent its signal when the holder died; it may take a moment to go.
    let gone = (0..500).any(|_| {
        sleep(Duration::from_millis(10));
        !is_running(process)
    });
    assert!(gone, "the process outlives the program that started it");
    Ok(())
}

fn blocked_signals(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    Ok(u64::from_str_radix(mask.unwrap_or("").trim(), 16)?)
}

/// Starts the program `hold` and returns it with the namespace, process and mount it holds.
fn start_holder() -> Result<(Child, String, u32, String)> {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line)?;
    let [name, process, mount] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("the holder printed {line:?}");
    };
    Ok((holder, name.into(), process.parse()?, mount.into()))
}

#[test]
fn without_root_one_line_says_what_to_do() -> Result<()> {
    // Where a user without rights can start it; the target directory may be closed to him.
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))?;
    let copy = directory.path().join("hold");
    std::fs::copy(env!("CARGO_BIN_EXE_hold"), &copy)?;

    let output = Command::new(copy)
        .uid(65534)
        .env_remove("RUST_BACKTRACE")
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr)?,
        "error: making network namespaces needs root: run `cargo test` as root. \
         `cargo xtask test` says how, and installs what the tests start\n"
    );
    Ok(())
}
