//! `rpc = "tracked"`: a port that an endpoint mapper hands out is open to who asked, before the answer
//! has reached him, and to nobody else.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Finished, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};
use sccm_tests::netns::Namespace;
use sccm_tests::packet::rpc::{self, Name, Unit};
use sccm_tests::shape;
use sccm_tests::traffic::{Outcome, Server, tcp_connect_many, tcp_exchange, tcp_server};
use serde_json::Value;

use crate::page::browser::Browser;

use super::support::{LONG, PATIENCE, Told, curl, in_url};
use super::translation::{MASQUERADE, to_pool, translate};

pub(super) const TOPOLOGIES: [Topology; 3] = [Topology::Routed, Topology::Bridged, Topology::Host];

/// What is handed out, and what is not.
pub(super) const OPEN: [u16; 2] = [49_700, 65_535];
pub(super) const CLOSED: u16 = 49_701;

/// An endpoint mapper that the test itself speaks for, and servers behind the ports.
pub(super) struct Mapper<'a> {
    pub(super) of_client: &'a Namespace,
    listener: TcpListener,
    pub(super) host: IpAddr,
    _servers: Vec<Server>,
}

/// Both ends of a connection to it.
pub(super) struct Talk {
    pub(super) client: TcpStream,
    pub(super) server: TcpStream,
}

impl<'a> Mapper<'a> {
    pub(super) fn start(
        of_client: &'a Namespace,
        of_server: &Namespace,
        host: IpAddr,
    ) -> Result<Self> {
        let ports = OPEN.into_iter().chain([CLOSED]);
        let servers = ports.map(|port| tcp_server(of_server, (host, port).into()));
        Ok(Self {
            of_client,
            listener: of_server.enter(|| TcpListener::bind((host, 135)))?,
            host,
            _servers: servers.collect::<Result<_>>()?,
        })
    }

    pub(super) fn connect(&self) -> Result<Talk> {
        let address = self.listener.local_addr()?;
        let client = self
            .of_client
            .enter(|| TcpStream::connect_timeout(&address, LONG))
            .context("the mapper cannot be reached")?;
        let (server, _) = self.listener.accept()?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(LONG))?;
            end.set_nodelay(true)?;
        }
        Ok(Talk { client, server })
    }

    /// Asks for ports of an interface, and is handed these.
    pub(super) fn hand_out(&self, ports: &[u16]) -> Result<Talk> {
        let mut talk = self.connect()?;
        talk.bind(rpc::MAPPER)?;
        let towers: Vec<Vec<u8>> = ports
            .iter()
            .map(|port| rpc::tower(7, *port, [0; 4]))
            .collect();
        talk.call(3, &rpc::towers(false, false, &towers, 0))?;
        Ok(talk)
    }

    /// Whether a connection to this port is answered at the first try: a lost SYN comes again only
    /// after a second.
    pub(super) fn is_open(&self, port: u16) -> bool {
        tcp_exchange(self.of_client, (self.host, port).into(), PATIENCE)
    }

    pub(super) fn assert_open(&self, open: &[u16]) {
        for port in OPEN.into_iter().chain([CLOSED]) {
            assert_eq!(
                self.is_open(port),
                open.contains(&port),
                "{}:{port}",
                self.host
            );
        }
    }
}

impl Talk {
    pub(super) fn says(from: &mut TcpStream, to: &mut TcpStream, data: &[u8]) -> Result<()> {
        from.write_all(data)?;
        let mut heard = vec![0; data.len()];
        to.read_exact(&mut heard)?;
        ensure!(heard == data, "something else arrives");
        Ok(())
    }

    pub(super) fn bind(&mut self, interface: Name<'_>) -> Result<()> {
        let contexts: [rpc::Context<'_>; 1] = [(0, interface, &[rpc::NDR32])];
        let asks = rpc::proposal(Unit::new(11, 1), &contexts);
        let agrees = rpc::agreement(Unit::new(12, 1), &[(0, rpc::NDR32)]);
        Self::says(&mut self.client, &mut self.server, &asks)?;
        Self::says(&mut self.server, &mut self.client, &agrees)
    }

    fn call(&mut self, operation: u16, stub: &[u8]) -> Result<()> {
        let asks = rpc::request(Unit::new(0, 2), 0, operation, &[0; 40]);
        let answers = rpc::response(Unit::new(2, 2), 0, stub);
        Self::says(&mut self.client, &mut self.server, &asks)?;
        Self::says(&mut self.server, &mut self.client, &answers)
    }
}

/// On which side the server is, with the arguments of an agent that protects it, or its client.
pub(super) const PROTECTS: [(bool, &str, &str); 2] = [
    (true, "distribution-point", "--rpc tracked"),
    (false, "site-server", "--rpc tracked --outbound enforce"),
];

pub(super) fn ends(stage: &Stage, serves: bool) -> (&Namespace, &Namespace, [IpAddr; 2]) {
    match serves {
        true => (&stage.client, &stage.server, SERVER),
        false => (&stage.server, &stage.client, CLIENT),
    }
}

#[test]
fn a_port_is_open_as_soon_as_it_is_handed_out_and_to_that_client_alone() -> Result<()> {
    for topology in TOPOLOGIES {
        for (serves, role, arguments) in PROTECTS {
            let stage = Stage::new(topology)?;
            let agent = stage.enforce(role, arguments)?;
            let (of_client, of_server, hosts) = ends(&stage, serves);
            for family in FAMILIES {
                let mapper = Mapper::start(of_client, of_server, hosts[family])?;
                mapper.assert_open(&[]);
                mapper.hand_out(&OPEN[..1])?;
                mapper.assert_open(&OPEN[..1]);
                mapper.hand_out(&OPEN[1..])?;
                mapper.assert_open(&OPEN);
                // Nothing else of the range, and nothing from another client.
                let around = (49_690..49_720).filter(|port| !OPEN.contains(port));
                let around: Vec<SocketAddr> =
                    around.map(|port| (hosts[family], port).into()).collect();
                let found = tcp_connect_many(of_client, &around, PATIENCE);
                assert!(
                    found.iter().all(|one| *one == Outcome::TimedOut),
                    "{found:?}"
                );
            }
            let metrics = agent.metrics()?;
            let dynamic = [("service", "rpc-dynamic")];
            metrics.tells_passed(&dynamic)?;
            metrics.tells_dropped(&[("reason", "rpc-not-named")])?;
            assert_eq!(metrics.sum("sccm_rpc_openings", &[]), 4.0);
            let answers = metrics.sum("sccm_rpc_answers_total", &[("outcome", "ept_map")]);
            assert_eq!(answers, 4.0);
        }
    }
    Ok(())
}

#[test]
fn what_a_port_was_handed_out_for_is_told() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let (_, role, arguments) = PROTECTS[0];
    let _agent = stage.enforce(role, arguments)?;
    let mapper = Mapper::start(&stage.client, &stage.server, SERVER[0])?;
    mapper.hand_out(&[OPEN[0], 445])?;
    assert!(mapper.is_open(OPEN[0]));
    let mut talk = mapper.connect()?;
    talk.bind(rpc::ACTIVATOR)?;
    let texts = [(15, "\\\\CM01\\PIPE\\atsvc"), (7, "CM01[65535]")];
    talk.call(4, &rpc::activated(false, &texts, 0))?;

    let told: Value = serde_json::from_str(&listed(&stage, "-o json")?.stdout)?;
    shape::check("openings-live", &told)?;
    let openings = told["openings"].as_array().context("no list")?;
    let of = |one: &Value| {
        (
            one["port"].as_u64(),
            one["how"].clone(),
            one["used_seconds"].is_null(),
        )
    };
    let all: Vec<_> = openings.iter().map(of).collect();
    assert_eq!(
        all,
        [
            (Some(49_700), "ept_map".into(), false),
            (Some(65_535), "activation".into(), true)
        ]
    );
    assert_eq!(openings[0]["client"], CLIENT[0].to_string());
    assert_eq!(openings[0]["server"], SERVER[0].to_string());
    let expected = serde_json::json!([
        {"outcome": "ept_map", "by": "kernel", "why": null, "count": 1},
        {"outcome": "activation", "by": "kernel", "why": null, "count": 1},
        {"outcome": "forbidden-port", "by": "kernel", "why": FORBIDDEN_PORT, "count": 1},
    ]);
    assert_eq!(told["outcomes"], expected);
    let text = listed(&stage, "")?.stdout;
    assert!(text.contains("service control (367abb81"), "{text}");
    let refused = format!("forbidden-port: {FORBIDDEN_PORT}");
    assert!(text.contains(&refused), "{text}");

    let browser = Browser::start(stage.gateway())?;
    browser.open()?;
    let is_listed = || browser.is("document.querySelectorAll('#ports tbody tr').length === 2");
    browser.wait_for("the ports", is_listed)?;
    let text = browser.text("#ports-section")?;
    for part in [
        "49700",
        "65535",
        "2 open now, 2 opened since counting began",
        "forbidden-port: 1",
        FORBIDDEN_PORT,
        "service control",
        "never",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

/// Why a port of another service stays closed.
const FORBIDDEN_PORT: &str = "the port belongs to another service";

fn listed(stage: &Stage, arguments: &str) -> Result<Finished> {
    run(stage.command(&format!("openings {arguments}"))?)
}

#[test]
fn openings_survive_the_agent_and_connections_survive_their_openings() -> Result<()> {
    for (serves, role, arguments) in PROTECTS {
        let stage = Stage::new(Topology::Routed)?;
        let times = format!("{arguments} --timeout-rpc-used 2 --timeout-rpc-unused 600");
        let agent = stage.enforce(role, &format!("{times} --on-exit keep"))?;
        let (of_client, of_server, hosts) = ends(&stage, serves);
        let mapper = Mapper::start(of_client, of_server, hosts[0])?;
        mapper.hand_out(&OPEN)?;
        drop(agent);
        assert!(mapper.is_open(OPEN[0]), "nobody runs");
        let _agent = stage.enforce(role, &times)?;
        let address = (hosts[0], OPEN[1]).into();
        let mut kept = of_client.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?;
        kept.set_read_timeout(Some(LONG))?;
        let mut echo = [0; 4];
        kept.write_all(b"once")?;
        kept.read_exact(&mut echo)?;
        // Both openings end; the connection does not.
        std::thread::sleep(std::time::Duration::from_secs(4));
        mapper.assert_open(&[]);
        kept.write_all(b"more")?;
        kept.read_exact(&mut echo)?;
        assert_eq!(&echo, b"more");
        // Asked again, it is open again.
        mapper.hand_out(&OPEN[1..])?;
        mapper.assert_open(&OPEN[1..]);
    }
    Ok(())
}

#[test]
fn a_shadow_tells_what_no_mapper_has_named() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let (_, role, _) = PROTECTS[0];
    let candidate = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(
        candidate.path(),
        "[site]\nrpc = \"tracked\"\n[[protect]]\nname = \"points\"\nroles = [\"distribution-point\"]\n",
    )?;
    let shadow = format!("--shadow-config {}", candidate.path().display());
    let _agent = stage.enforce(role, &shadow)?;
    let begun = run(stage.command("reload --shadow")?)?;
    ensure!(begun.code == Some(0), "{begun:?}");
    let mapper = Mapper::start(&stage.client, &stage.server, SERVER[0])?;
    mapper.hand_out(&OPEN[..1])?;
    mapper.assert_open(&[OPEN[0], OPEN[1], CLOSED]);
    let told = run(stage.command("blocked --shadow -o json")?)?.stdout;
    let told: Value = serde_json::from_str(&told)?;
    let flows = told["flows"].as_array().context("no list")?;
    let mut ports: Vec<_> = flows
        .iter()
        .filter(|flow| flow["reason"] == "rpc-not-named")
        .filter_map(|flow| flow["port"].as_u64())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports, [u64::from(CLOSED), u64::from(OPEN[1])], "{told:#}");
    Ok(())
}

#[test]
fn nobody_else_uses_what_was_handed_to_a_client() -> Result<()> {
    const TIMED_OUT: i32 = 28;
    let stage = Stage::new(Topology::Routed)?;
    let (_, role, arguments) = PROTECTS[0];
    let agent = stage.enforce(role, arguments)?;
    let folder = tempfile::tempdir()?;
    for family in FAMILIES {
        let mapper = Mapper::start(&stage.client, &stage.server, SERVER[family])?;
        mapper.hand_out(&OPEN)?;
        for (from, reaches) in [(CLIENT[family], true), (STRANGER[family], false)] {
            let what = format!("--interface {from} --connect-timeout 0.4 --max-time 2");
            let url = format!("http://{}:{}/", in_url(SERVER[family]), OPEN[0]);
            let finished = curl(&stage.client, &what, &url, &folder.path().join("page"))?;
            // The server there speaks no HTTP.
            assert_eq!(
                finished.code != Some(TIMED_OUT),
                reaches,
                "{from}: {finished:?}"
            );
        }
    }
    agent
        .metrics()?
        .tells_dropped(&[("reason", "rpc-not-named")])
}

/// The answer comes to an address of the router, and is read where it leaves for the client.
#[test]
fn a_port_is_open_to_a_client_whose_address_the_router_translates() -> Result<()> {
    for chains in [MASQUERADE.to_owned(), to_pool()] {
        let stage = Stage::new(Topology::Routed)?;
        translate(&stage, &chains)?;
        let (_, role, arguments) = PROTECTS[1];
        let agent = stage.enforce(role, arguments)?;
        let (of_client, of_server, hosts) = ends(&stage, false);
        for family in FAMILIES {
            let mapper = Mapper::start(of_client, of_server, hosts[family])?;
            mapper.assert_open(&[]);
            mapper.hand_out(&OPEN[..1])?;
            mapper.assert_open(&OPEN[..1]);
        }
        let metrics = agent.metrics()?;
        metrics.tells_dropped(&[("reason", "rpc-not-named"), ("interface", "seg0")])?;
        assert_eq!(metrics.sum("sccm_rpc_openings", &[]), 2.0);
    }
    Ok(())
}
