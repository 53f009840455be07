//! A software update point behind a gateway that enforces both directions: nginx is its clients' WSUS, the
//! WSUS server that it asks itself, and the proxy on the way to the Internet; freetds asks the database.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use sccm_tests::agent::{PolicyFile, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::netns::Namespace;

use super::programs::nginx_at;
use super::support::{PATIENCE, assert_same, curl, in_url, write_file};

/// What TDS calls the messages of a client and the answer of a server (MS-TDS 2.2.3.1.1).
const PRELOGIN: u8 = 0x12;
const LOGIN: u8 = 0x10;
const ANSWER: u8 = 0x04;

/// Listens as SQL Server does, until it is dropped, and lets nobody log in: Debian has no server that
/// speaks TDS.
struct Database {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Database {
    fn start(host: &Namespace) -> Result<Self> {
        let listener = host.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 1433)))?;
        listener.set_nonblocking(true)?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A client that goes is seen by what it says itself.
                    Ok((stream, _)) => drop(refuse_login(stream)),
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        Ok(Self {
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there fails no test by itself.
            drop(thread.join());
        }
    }
}

/// Answers one client until it has logged in in vain.
fn refuse_login(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header)?;
        let length = u16::from_be_bytes([header[2], header[3]]);
        let mut rest = vec![0; usize::from(length).saturating_sub(header.len())];
        stream.read_exact(&mut rest)?;
        match header[0] {
            // Version 15, and no encryption: two options, then what they hold.
            PRELOGIN => answer(
                &mut stream,
                &[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 15, 0, 0, 0, 0, 0, 2],
            )?,
            LOGIN => return answer(&mut stream, &login_failed()),
            _ => return Ok(()),
        }
    }
}

fn answer(stream: &mut TcpStream, body: &[u8]) -> Result<()> {
    let [high, low] = u16::try_from(8 + body.len())?.to_be_bytes();
    stream.write_all(&[&[ANSWER, 1, high, low, 0, 0, 1, 0], body].concat())?;
    Ok(())
}

/// The tokens ERROR and DONE (MS-TDS 2.2.7.10, 2.2.7.6).
fn login_failed() -> Vec<u8> {
    let text = "Login failed for user 'reader'.";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut error = Vec::new();
    error.extend(18456_u32.to_le_bytes());
    error.extend([1, 14]);
    error.extend((text.len() as u16).to_le_bytes());
    error.extend(wide);
    error.extend([0, 0, 1, 0, 0, 0]);
    let mut tokens = vec![0xaa];
    tokens.extend((error.len() as u16).to_le_bytes());
    tokens.extend(error);
    tokens.extend([0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    tokens
}

/// Lines of the policy, each of which one of the update point's ways outwards needs.
const PROXY: &str = "sets = [\"windows-update\"]\nproxy = \"192.0.2.10:8080\"\n";
const WSUS: &str = "wsus-synchronization-server = [\"192.0.2.10\", \"2001:db8:1::10\"]\n";
const DATABASE: &str = "sql-server = [\"192.0.2.10\", \"2001:db8:1::10\"]\n";

fn policy(lines: [&str; 3]) -> String {
    let [proxy, wsus, database] = lines;
    let ([client, client6], [own, own6]) = (CLIENT, SERVER);
    format!(
        "[site]\nedition = \"current-branch\"\noutbound = \"enforce\"\n{proxy}\
         [peers]\nclient = [\"{client}\", \"{client6}\"]\n{wsus}{database}\
         [[protect]]\nname = \"updates\"\nroles = [\"software-update-point\", \"management-point\"]\n\
         addresses = [\"{own}\", \"{own6}\"]\n"
    )
}

/// What the update point can do just now, in the order of the lines of its policy.
fn abilities(stage: &Stage) -> Result<[bool; 3]> {
    let copy = tempfile::NamedTempFile::new()?;
    let fetches = |options: &str, url: &str| -> Result<bool> {
        let options = format!("--connect-timeout 2 --max-time 10 {options}");
        Ok(curl(&stage.server, &options, url, copy.path())?.code == Some(0))
    };
    let proxy = format!("--proxy http://{}:8080", CLIENT[0]);
    let by_proxy = fetches(&proxy, "http://update.example/package")?;
    let mut by_wsus = true;
    for family in FAMILIES {
        let at = in_url(CLIENT[family]);
        by_wsus &= fetches("", &format!("http://{at}:8530/package"))?;
    }
    // freetds takes no IPv6 address.
    let mut tsql = stage.server.command("timeout");
    tsql.args(["4", "tsql", "-H"])
        .arg(CLIENT[0].to_string())
        .args(["-p", "1433", "-U", "reader", "-P", "secret"])
        .env("TDSVER", "7.4");
    let said = run(tsql)?;
    let refused = "Login failed for user 'reader'";
    let asks = said.stdout.contains(refused) || said.stderr.contains(refused);
    Ok([by_proxy, by_wsus, asks])
}

#[test]
fn an_update_point_lives_by_what_its_policy_names_and_by_nothing_less() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let outside = nginx_at(&stage.client, &[8080, 8530])?;
    let inside = nginx_at(&stage.server, &[8080, 8530])?;
    for server in [&outside, &inside] {
        write_file(&server.directory().join("package"), 1 << 20)?;
    }
    let _database = Database::start(&stage.client)?;
    let file = PolicyFile::allowing(&[])?;
    let all = [PROXY, WSUS, DATABASE];
    file.write(&policy(all))?;
    let agent = stage.start(&format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    ))?;
    assert_eq!(abilities(&stage)?, [true; 3]);

    // Its clients come by the port of WSUS, and by no other.
    let copy = tempfile::NamedTempFile::new()?;
    for family in FAMILIES {
        let fetch = |port: u16| {
            let url = format!("http://{}:{port}/package", in_url(SERVER[family]));
            curl(&stage.client, "--connect-timeout 2", &url, copy.path())
        };
        assert_eq!(fetch(8530)?.code, Some(0));
        assert_same(&inside.directory().join("package"), copy.path());
        assert_ne!(fetch(8080)?.code, Some(0));
    }
    let metrics = agent.metrics()?;
    assert_eq!(metrics.dropped(&[("reason", "outbound-not-allowed")]), 0);
    assert!(metrics.dropped(&[("reason", "not-allowed")]) > 0);

    for without in 0..3 {
        let mut lines = all;
        lines[without] = "";
        file.write(&policy(lines))?;
        let reload = run(stage.command("reload")?)?;
        assert_eq!(reload.code, Some(0), "{reload:?}");
        let mut expected = [true; 3];
        expected[without] = false;
        assert_eq!(abilities(&stage)?, expected, "without {:?}", all[without]);
    }
    let metrics = agent.metrics()?;
    assert!(metrics.dropped(&[("reason", "outbound-not-allowed")]) > 0);
    Ok(())
}
