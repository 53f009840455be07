//! Answers of an endpoint mapper that the kernel program leaves to the agent: in several segments, in
//! fragments of RPC, and larger than the program reads.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sccm_tests::agent::{Agent, run};
use sccm_tests::gateway::{FAMILIES, Stage, Topology};
use sccm_tests::packet::rpc::{self, Unit};
use sccm_tests::traffic::tcp_exchange;
use serde_json::Value;

use super::rpc::{CLOSED, Mapper, OPEN, PROTECTS, TOPOLOGIES, Talk, ends};
use super::support::{PATIENCE, Told as _};

/// The agent may come after the first SYN of a client; the second comes a second later.
const SECOND_SYN: Duration = Duration::from_secs(4);

/// An answer, in the parts in which it is sent.
type Answer = (rpc::Name<'static>, u16, Vec<Vec<u8>>);

fn in_segments(port: u16) -> Answer {
    let towers = rpc::towers(false, false, &[rpc::tower(7, port, [0; 4])], 0);
    let whole = rpc::response(Unit::new(2, 2), 0, &towers);
    let parts = [&whole[..90], &whole[90..]].map(<[u8]>::to_vec);
    (rpc::MAPPER, 3, parts.to_vec())
}

fn in_fragments(port: u16) -> Answer {
    let towers = rpc::towers(false, false, &[rpc::tower(7, port, [0; 4])], 0);
    let of = |flags, stub: &[u8]| {
        let unit = Unit {
            flags,
            ..Unit::new(2, 2)
        };
        rpc::response(unit, 0, stub)
    };
    let parts = vec![of(1, &towers[..50]), of(2, &towers[50..])];
    (rpc::MAPPER, 3, parts)
}

/// The activation of an object at a server with many addresses.
fn large(port: u16) -> Answer {
    let text = format!("a-server-with-many-addresses.example.org[{port}]");
    let texts = vec![(7, text.as_str()); 60];
    let whole = rpc::response(Unit::new(2, 2), 0, &rpc::activated(false, &texts, 0));
    assert!((5_000..8_000).contains(&whole.len()), "{}", whole.len());
    (rpc::ACTIVATOR, 4, vec![whole])
}

fn answers(mapper: &Mapper<'_>, (interface, operation, parts): &Answer) -> Result<Talk> {
    let mut talk = mapper.connect()?;
    talk.bind(*interface)?;
    let asks = rpc::request(Unit::new(0, 2), 0, *operation, &[0; 40]);
    Talk::says(&mut talk.client, &mut talk.server, &asks)?;
    for part in parts {
        Talk::says(&mut talk.server, &mut talk.client, part)?;
    }
    Ok(talk)
}

fn is_open(mapper: &Mapper<'_>, port: u16) -> bool {
    tcp_exchange(mapper.of_client, (mapper.host, port).into(), SECOND_SYN)
}

/// How many answers were read, by whom, and ended so.
fn read(agent: &Agent<'_>, by: &str, outcome: &str) -> Result<f64> {
    let labels = [("by", by), ("outcome", outcome)];
    Ok(agent.metrics()?.sum("sccm_rpc_answers_total", &labels))
}

#[test]
fn what_the_program_leaves_is_open_to_that_client_alone() -> Result<()> {
    for topology in TOPOLOGIES {
        for (serves, role, arguments) in PROTECTS {
            let stage = Stage::new(topology)?;
            let agent = stage.enforce(role, arguments)?;
            let (of_client, of_server, hosts) = ends(&stage, serves);
            for family in FAMILIES {
                let mapper = Mapper::start(of_client, of_server, hosts[family])?;
                mapper.assert_open(&[]);
                answers(&mapper, &in_segments(OPEN[0]))?;
                assert!(is_open(&mapper, OPEN[0]));
                mapper.assert_open(&OPEN[..1]);
                answers(&mapper, &in_fragments(OPEN[1]))?;
                assert!(is_open(&mapper, OPEN[1]));
                mapper.assert_open(&OPEN);
                answers(&mapper, &large(CLOSED))?;
                assert!(is_open(&mapper, CLOSED));
            }
            let metrics = agent.metrics()?;
            metrics.tells_passed(&[("service", "rpc-dynamic")])?;
            assert_eq!(metrics.sum("sccm_rpc_openings", &[]), 6.0);
            assert_eq!(metrics.sum("sccm_rpc_segments_lost_total", &[]), 0.0);
            assert_eq!(read(&agent, "agent", "ept_map")?, 4.0);
            assert_eq!(read(&agent, "agent", "activation")?, 2.0);
            assert_eq!(read(&agent, "kernel", "ept_map")?, 0.0);
        }
    }
    Ok(())
}

/// What was said while no agent ran is read by the next; its counts go on.
#[test]
fn what_the_agent_has_opened_outlives_it() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let (serves, role, arguments) = PROTECTS[0];
    let agent = stage.enforce(role, &format!("{arguments} --on-exit keep"))?;
    let (of_client, of_server, hosts) = ends(&stage, serves);
    let mapper = Mapper::start(of_client, of_server, hosts[0])?;
    answers(&mapper, &in_segments(OPEN[0]))?;
    assert!(is_open(&mapper, OPEN[0]));
    drop(agent);
    assert!(mapper.is_open(OPEN[0]));
    answers(&mapper, &in_segments(OPEN[1]))?;
    assert!(!tcp_exchange(
        of_client,
        (hosts[0], OPEN[1]).into(),
        PATIENCE
    ));
    let agent = stage.enforce(role, arguments)?;
    assert!(is_open(&mapper, OPEN[1]));
    assert_eq!(read(&agent, "agent", "ept_map")?, 2.0);
    assert_eq!(read(&agent, "kernel", "unread")?, 2.0);
    let listed = run(stage.command("openings -o json")?)?.stdout;
    let told: Value = serde_json::from_str(&listed)?;
    let openings = told["openings"].as_array().context("no list")?;
    assert_eq!(openings.len(), 2);
    assert!(openings.iter().all(|one| one["by"] == "agent"), "{told:#}");
    let text = run(stage.command("openings")?)?.stdout;
    assert!(text.contains("ept_map, by the agent"), "{text}");
    Ok(())
}
