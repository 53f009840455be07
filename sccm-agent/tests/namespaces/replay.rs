//! A capture of what happened between two hosts, judged again: the same counts as those of the agent
//! that was there.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, PolicyFile, program, run};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{
    FrameSocket, PATIENCE, ping, tcp_connect, tcp_exchange, tcp_server, udp_echo_server,
    udp_exchange,
};
use serde_json::Value;
use tempfile::tempdir;

/// How long dumpcap may take for anything.
const LIMIT: Duration = Duration::from_secs(30);

const POLICY: &str = r#"
[site]
outbound = "enforce"

[[protect]]
name = "point"
roles = ["distribution-point"]

[[allow]]
name = "echo"
protocol = "udp"
ports = [7]
from = "any"
reason = "a test"

[[outbound.allow]]
name = "web"
protocol = "tcp"
ports = [8080]
to = "any"
reason = "a test"
"#;

/// dumpcap in the client, at its end of the cable.
struct Capture(Child);

impl Capture {
    fn start(hosts: &Hosts, file: &Path) -> Result<Self> {
        let mut command = hosts.client.command("dumpcap");
        command.args(["-q", "-i", "eth0", "-w"]).arg(file);
        let child = command.stderr(Stdio::null()).spawn()?;
        let capture = Self(child);
        let end = Instant::now() + LIMIT;
        // It writes the file's head once it sees packets.
        while std::fs::metadata(file).map_or(0, |file| file.len()) == 0 {
            ensure!(Instant::now() < end, "dumpcap did not begin");
            sleep(Duration::from_millis(20));
        }
        Ok(capture)
    }

    fn end(mut self) -> Result<()> {
        // What is on its way is written within dumpcap's half second.
        sleep(Duration::from_secs(1));
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT)?;
        ensure!(self.0.wait()?.success(), "dumpcap failed");
        Ok(())
    }
}

/// All sorts of traffic, both ways, in both families.
fn talk(hosts: &Hosts) -> Result<()> {
    for (client, point) in Hosts::CLIENT.into_iter().zip(Hosts::POINT) {
        let _web = tcp_server(&hosts.point, (point, 80).into())?;
        let _echo = udp_echo_server(&hosts.point, (point, 7).into())?;
        let _outside = tcp_server(&hosts.client, (client, 8080).into())?;
        let _forbidden = tcp_server(&hosts.client, (client, FORBIDDEN).into())?;
        assert!(tcp_exchange(&hosts.client, (point, 80).into(), PATIENCE));
        assert!(udp_exchange(&hosts.client, (point, 7).into(), PATIENCE));
        assert!(tcp_exchange(&hosts.point, (client, 8080).into(), PATIENCE));
        tcp_connect(&hosts.point, (client, FORBIDDEN).into(), PATIENCE);
        // Allowed, and nobody listens: resets and unreachables.
        tcp_connect(&hosts.client, (point, 443).into(), PATIENCE);
        udp_exchange(&hosts.client, (point, 63500).into(), PATIENCE);
        ping(&hosts.client, point, PATIENCE)?;
        ping(&hosts.point, client, PATIENCE)?;
    }
    hosts.knock(20)?;
    let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
    for packet in hosts.packets()? {
        let mut broken = packet.clone().tcp(40000, 80).syn().build();
        broken[14] = 0x55;
        socket.send(&broken)?;
        // From the middle of a stream that nobody opened.
        socket.send(&packet.clone().tcp(8080, 40001).payload(10).build())?;
        socket.send(&packet.udp(53, 40002).payload(30).build())?;
    }
    Ok(())
}

/// Packets of a row, by the agent's metrics.
fn counted(metrics: &Metrics, row: &Value) -> u64 {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let mut labels = vec![
        ("interface", "eth0"),
        ("reason", text("reason")),
        ("direction", text("direction")),
    ];
    for key in ["protocol", "service"] {
        if row[key].is_string() {
            labels.push((key, text(key)));
        }
    }
    match row["passes"].as_bool() {
        Some(true) => metrics.passed(&labels),
        _ => metrics.dropped(&labels),
    }
}

/// What the link does by itself, also before and after the capture.
const OF_THE_LINK: [(&str, &str); 7] = [
    ("inbound", "arp"),
    ("inbound", "neighbour-discovery"),
    ("outbound", "neighbour-discovery"),
    ("inbound", "mld"),
    ("outbound", "mld"),
    ("inbound", "igmp"),
    ("outbound", "igmp"),
];

fn is_of_the_link(row: &Value) -> bool {
    let alike = OF_THE_LINK
        .iter()
        .any(|(direction, reason)| row["direction"] == *direction && row["reason"] == *reason);
    // ARP that the point itself sends.
    alike || row["reason"] == "outbound" && row["protocol"] == ""
}

#[test]
fn a_capture_has_the_counts_of_the_agent_that_was_there() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(POLICY)?;
    let directory = tempdir()?;
    let file = directory.path().join("all.pcapng");
    let capture = Capture::start(&hosts, &file)?;
    let agent = hosts.enforce(&policy.arguments())?;
    talk(&hosts)?;
    let metrics = settled(&agent)?;
    capture.end()?;

    let point = Hosts::POINT.map(|address| format!("--protected {address}"));
    let options = format!("--config {} {}", policy.path().display(), point.join(" "));
    let replay = |more: &str| {
        let mut replay = program()?;
        replay.args(format!("replay {options} -o json {more}").split_whitespace());
        run(replay)
    };
    let finished = replay(&file.display().to_string())?;
    ensure!(finished.code == Some(0), "{finished:?}");
    let summary: Value = serde_json::from_str(&finished.stdout)?;
    let rows = summary["counts"].as_array().context("counts")?;
    let mut compared = 0;
    for row in rows.iter().filter(|row| !is_of_the_link(row)) {
        assert_eq!(row["packets"], counted(&metrics, row), "{row}");
        compared += 1;
    }
    assert!(compared >= 12, "{rows:#?}");
    // And nothing else was counted. What the point may not send is on no wire.
    let of = |passes: bool| {
        let rows = rows.iter().filter(|row| row["passes"] == passes);
        let rows = rows.filter(|row| !is_of_the_link(row));
        rows.filter_map(|row| row["packets"].as_u64()).sum::<u64>()
    };
    let inbound = metrics.dropped(&[("direction", "inbound")]);
    assert_eq!(of(false), inbound, "{rows:#?}");
    assert!(metrics.dropped(&[("direction", "outbound")]) > 0);
    let of_link = OF_THE_LINK
        .iter()
        .map(|(direction, reason)| metrics.passed(&[("direction", direction), ("reason", reason)]));
    let arp = [("reason", "outbound"), ("protocol", "")];
    let of_link = of_link.sum::<u64>() + metrics.passed(&arp);
    assert_eq!(of(true), metrics.passed(&[]) - of_link);

    // Packed, and each dropped packet in a file that Wireshark reads.
    let packed = directory.path().join("all.pcapng.gz");
    let mut gzip = Command::new("gzip");
    gzip.arg("--keep").arg(&file);
    ensure!(run(gzip)?.code == Some(0), "gzip");
    let dropped = directory.path().join("dropped.pcapng");
    let more = format!("--write-dropped {} {}", dropped.display(), packed.display());
    let again: Value = serde_json::from_str(&replay(&more)?.stdout)?;
    assert_eq!(again["counts"], summary["counts"]);
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(&dropped)
        .args(["-T", "fields", "-e", "frame.comment"]);
    let lines = run(tshark)?.stdout;
    assert_eq!(lines.lines().count() as u64, of(false));
    let knocks = "would be dropped inbound: not-allowed (tcp none). No link";
    assert!(
        lines.lines().filter(|line| line.contains(knocks)).count() >= 40,
        "{lines}"
    );
    Ok(())
}

/// The counters, once nothing more is on its way.
fn settled(agent: &Agent<'_>) -> Result<Metrics> {
    let total = |metrics: &Metrics| metrics.passed(&[]) + metrics.dropped(&[]);
    let mut before = agent.metrics()?;
    loop {
        // Longer than a SYN waits for its next attempt.
        sleep(Duration::from_millis(1500));
        let now = agent.metrics()?;
        if total(&now) == total(&before) {
            return Ok(now);
        }
        before = now;
    }
}
