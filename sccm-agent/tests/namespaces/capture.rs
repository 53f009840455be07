//! Captured packets: what is dropped lands in the file, with its reason, and nothing else
//! does; the bounds hold; and whatever becomes of the capture, packets are dropped as before.

mod reader;
mod ring;
pub(crate) mod running;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, POINT, run};
use sccm_tests::traffic::{PATIENCE, tcp_connect};
use tempfile::{TempDir, tempdir};

use reader::read;
use running::{LIMIT, Running, forbidden, with};

#[test]
fn what_is_dropped_is_captured_with_its_reason() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --outbound enforce"))?;
    let running = Running::start(&hosts, "--snaplen 60")?;
    let frame = forbidden(&hosts)?;
    let [_, packet] = hosts.packets()?;
    let long = packet.tcp(40001, FORBIDDEN).syn().payload(500).build();
    let mut unparsable = frame.clone();
    unparsable[14] = 0x55;
    hosts.send(&frame, 5)?;
    hosts.send(&long, 2)?;
    hosts.send(&unparsable, 3)?;
    // The point may not open this.
    let to = (Hosts::CLIENT[0], 25).into();
    tcp_connect(&hosts.point, to, PATIENCE);
    let metrics = agent.metrics_when(|metrics| {
        let of = |reason| metrics.dropped(&[("reason", reason), ("protocol", "tcp")]);
        of("not-allowed") >= 7
            && of("outbound-not-allowed") >= 1
            && metrics.dropped(&[("reason", "ipv4-version")]) == 3
    })?;
    // What was allowed left no trace.
    hosts.send(&hosts.packets()?[0].clone().tcp(40000, 80).syn().build(), 1)?;
    let path = running.path.clone();
    let text = by_tshark(&running)?;
    let (packets, summary) = running.end(Signal::SIGINT)?;
    assert!(!path.exists(), "removed with its directory");

    let inbound = with(&packets, "dropped inbound: not-allowed (tcp none). No link");
    let outbound = with(&packets, "dropped outbound: outbound-not-allowed (tcp ");
    let broken = with(&packets, "dropped inbound: ipv4-version. ");
    let all = metrics.dropped(&[]);
    assert_eq!((inbound.len(), broken.len()), (7, 3));
    assert!(!outbound.is_empty());
    assert_eq!(packets.len(), inbound.len() + outbound.len() + broken.len());
    assert!(packets.len() as u64 >= all, "{all} were dropped");
    assert!(
        summary.contains(&format!("captured {} packets", packets.len())),
        "{summary}"
    );
    assert!(summary.contains("missed 0: ended by a signal"), "{summary}");

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    for packet in &packets {
        assert_eq!(packet.interface, "eth0");
        let age = now.saturating_sub(packet.at);
        assert!(packet.at <= now && age < LIMIT, "{age:?}");
    }
    for (packet, sent) in inbound
        .iter()
        .zip([&frame; 5].into_iter().chain([&long; 2]))
    {
        assert_eq!(packet.data, sent[..60.min(sent.len())]);
        assert_eq!((packet.length as usize, packet.flags), (sent.len(), 1));
    }
    for packet in broken {
        assert_eq!(packet.data, unparsable);
    }
    for packet in outbound {
        assert_eq!((packet.data.len(), packet.flags), (60, 2));
        assert_eq!(packet.data[12..14], [8, 0]);
        assert_eq!(packet.data[26..34], [192, 0, 2, 2, 192, 0, 2, 1]);
        assert_eq!(packet.data[36..38], 25_u16.to_be_bytes());
    }
    assert!(text.contains("eth0\t192.0.2.1\t21\t"), "{text}");
    assert!(
        text.contains("dropped inbound: not-allowed (tcp none)"),
        "{text}"
    );
    assert!(
        text.contains("eth0\t192.0.2.2\t25\tdropped outbound"),
        "{text}"
    );
    Ok(())
}

#[test]
fn what_is_only_counted_can_be_captured() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --count-only"))?;
    let running = Running::start(&hosts, "")?;
    let frame = forbidden(&hosts)?;
    hosts.send(&frame, 5)?;
    let labels = [("reason", "not-allowed"), ("protocol", "tcp")];
    agent.metrics_when(|metrics| metrics.dropped(&labels) == 5)?;
    let (packets, _) = running.end(Signal::SIGINT)?;
    let captured = with(&packets, "dropped inbound: not-allowed (tcp none). No link");
    assert_eq!(captured.len(), 5);
    assert!(captured.iter().all(|packet| packet.data == frame));
    Ok(())
}

/// What Wireshark's own reader makes of the file so far.
fn by_tshark(running: &Running<'_>) -> Result<String> {
    let end = Instant::now() + LIMIT;
    loop {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&running.path).args(["-T", "fields"]);
        for field in [
            "frame.interface_name",
            "ip.src",
            "tcp.dstport",
            "frame.comment",
        ] {
            command.args(["-e", field]);
        }
        let finished = run(command)?;
        ensure!(finished.code == Some(0), "{finished:?}");
        let lines = finished.stdout.lines();
        if lines.filter(|line| line.contains("ipv4-version")).count() == 3 {
            return Ok(finished.stdout);
        }
        ensure!(Instant::now() < end, "{finished:?}");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn each_bound_ends_it() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let frame = forbidden(&hosts)?;
    let running = Running::start(&hosts, "--count 3")?;
    hosts.send(&frame, 10)?;
    let (packets, summary, _) = running.wait()?;
    assert_eq!(packets.len(), 3);
    assert!(summary.contains("captured 3 packets"), "{summary}");

    let running = Running::start(&hosts, "--size 4K")?;
    hosts.send(&frame, 100)?;
    let (packets, summary, size) = running.wait()?;
    assert!(summary.contains("as large as wanted"), "{summary}");
    assert!((3500..=4096).contains(&size), "{size}");
    assert!((5..100).contains(&packets.len()), "{}", packets.len());

    let running = Running::start(&hosts, "--duration 1s --reason ipv4-version")?;
    let mut unparsable = frame.clone();
    unparsable[14] = 0x55;
    hosts.send(&frame, 3)?;
    hosts.send(&unparsable, 2)?;
    let (packets, summary, _) = running.wait()?;
    assert_eq!(with(&packets, "ipv4-version").len(), 2);
    assert_eq!(packets.len(), 2);
    assert!(summary.contains("the time is over"), "{summary}");
    // All of them were dropped, whether or not somebody looked on.
    let dropped = agent.metrics()?;
    let of = |reason| dropped.dropped(&[("reason", reason), ("interface", "eth0")]);
    assert_eq!((of("not-allowed"), of("ipv4-version")), (113, 2));
    Ok(())
}

#[test]
fn observed_drops_and_standard_output() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(&format!("{POINT} --observe"))?;
    let command = hosts.command("capture --dropped -w - --count 2 --interface eth0")?;
    let process = Agent::spawn(&hosts.point, command)?;
    // Whenever it begins to look, there is something to see.
    let frame = forbidden(&hosts)?;
    let finished = std::thread::scope(|scope| -> Result<_> {
        let waiting = scope.spawn(|| process.wait());
        while !waiting.is_finished() {
            hosts.send(&frame, 1)?;
            sleep(Duration::from_millis(20));
        }
        waiting.join().expect("waiting returns what went wrong")
    })?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.stderr.contains("captured 2 packets"),
        "{finished:?}"
    );
    assert_eq!(
        finished
            .stdout
            .matches("would be dropped inbound: not-allowed")
            .count(),
        2
    );
    Ok(())
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempdir()?;
    let path = directory.path().join("kept");
    let capture = |arguments: &str| {
        hosts.run(&format!(
            "capture --dropped -w {} {arguments}",
            path.display()
        ))
    };
    capture("")?.assert_refused(&["nothing is enforced"]);
    let _agent = hosts.enforce(POINT)?;
    capture("--interface eth7")?.assert_refused(&["eth7 is not enforced: there is eth0"]);
    for arguments in [
        "--count 0",
        "--size 100",
        "--size 1X",
        "--duration 0s",
        "--snaplen 2049",
        "--snaplen 13",
        "--reason service",
    ] {
        assert_eq!(capture(arguments)?.code, Some(2), "{arguments}");
    }
    assert!(!path.exists());
    fs::write(&path, "precious")?;
    capture("")?.assert_refused(&["is there already", "--force"]);
    assert_eq!(fs::read_to_string(&path)?, "precious");
    assert_eq!(capture("--force --duration 1s")?.code, Some(0));
    assert_eq!(read(&path)?.len(), 0);

    let running = Running::start(&hosts, "")?;
    capture("--force")?.assert_refused(&["another `sccm-agent capture`"]);
    running.end(Signal::SIGTERM)?;
    Ok(())
}

#[test]
fn what_is_replaced_gives_nobody_rights_to_packets() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempdir()?;
    let path = directory.path().join("packets");
    let secret = directory.path().join("secret");
    let _agent = hosts.enforce(POINT)?;
    let capture = || {
        hosts.run(&format!(
            "capture --dropped --force --duration 1s -w {}",
            path.display()
        ))
    };
    let mode =
        |path: &Path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };

    // A file that others may read, and another name of a file that is none of this.
    fs::write(&secret, "precious")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644))?;
    fs::hard_link(&secret, &path)?;
    assert_eq!(capture()?.code, Some(0));
    assert_eq!((mode(&path)?, mode(&secret)?), (0o600, 0o644));
    assert_eq!(fs::read_to_string(&secret)?, "precious");

    fs::remove_file(&path)?;
    symlink(&secret, &path)?;
    capture()?.assert_refused(&["is a symbolic link", "name the file itself"]);
    fs::remove_file(&path)?;
    symlink(directory.path().join("new"), &path)?;
    capture()?.assert_refused(&["is a symbolic link"]);
    assert!(!directory.path().join("new").exists());
    assert_eq!(fs::read_to_string(&secret)?, "precious");

    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    capture()?.assert_refused(&["is neither a file nor a pipe"]);

    // Whoever has made the pipe reads what goes into it.
    fs::remove_dir(&path)?;
    mkfifo(&path, Mode::S_IRWXU | Mode::S_IRWXO)?;
    chown(&path, Some(1000), None)?;
    let _reader = OpenOptions::new().read(true).write(true).open(&path)?;
    capture()?.assert_refused(&["somebody else's pipe"]);
    Ok(())
}

/// A file system of two pages.
struct Small(TempDir);

impl Small {
    fn new() -> Result<Self> {
        let directory = tempdir()?;
        let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
        mount(kind, directory.path(), kind, flags, Some("size=8k"))?;
        Ok(Self(directory))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The directory cannot be removed before.
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_leaves_a_file_that_can_be_read() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    let small = Small::new()?;
    let path = small.0.path().join("dropped.pcapng");
    let command = hosts.command(&format!("capture --dropped -w {}", path.display()))?;
    let process = Agent::spawn(&hosts.point, command)?;
    let end = Instant::now() + LIMIT;
    while !path.exists() {
        ensure!(Instant::now() < end, "no capture: {}", process.log()?);
        sleep(Duration::from_millis(10));
    }
    hosts.send(&forbidden(&hosts)?, 200)?;
    let finished = process.wait()?;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("writing the file"), "{finished:?}");
    // Whole blocks, or this fails.
    read(&path)?;
    assert!(fs::metadata(&path)?.len() <= 8192);
    Ok(())
}

#[test]
fn it_survives_the_agent_and_ends_with_the_programs() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let running = Running::start(&hosts, "")?;
    agent.end(Signal::SIGKILL)?;
    hosts.send(&forbidden(&hosts)?, 4)?;
    let end = Instant::now() + LIMIT;
    while with(&read(&running.path)?, "not-allowed").len() < 4 {
        ensure!(Instant::now() < end, "{}", running.process.log()?);
        sleep(Duration::from_millis(20));
    }
    assert_eq!(hosts.run("detach")?.code, Some(0));
    let (packets, summary, _) = running.wait()?;
    assert_eq!(packets.len(), 4);
    assert!(
        summary.contains("nothing is enforced any more"),
        "{summary}"
    );
    Ok(())
}

#[test]
fn a_killed_capture_leaves_the_way_to_the_next() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let frame = forbidden(&hosts)?;
    let killed = Running::start(&hosts, "")?;
    killed.process.end(Signal::SIGKILL)?;
    // These are the killed one's, and nobody else's.
    hosts.send(&frame, 3)?;
    agent.metrics_when(|metrics| metrics.dropped(&[("reason", "not-allowed")]) == 3)?;
    let running = Running::start(&hosts, "--count 2")?;
    hosts.send(&frame, 2)?;
    let (packets, summary, _) = running.wait()?;
    assert_eq!(packets.len(), 2);
    assert!(summary.contains("missed 0"), "{summary}");
    Ok(())
}
