//! What an endpoint mapper hands out, in the kernel's table: behind tags, and in floods.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use sccm_agent::kernel::OpeningTable;
use sccm_agent::policy::Rpc;
use sccm_common::Reason::{Outbound as Left, RpcNotNamed, Service};
use sccm_common::opening::SLOTS;
use sccm_common::rpc::{How, Refusal};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;
use sccm_tests::packet::rpc::{self, Unit};

use super::{FAMILIES, Fate as _, datapath};

const SERVER: &str = "192.0.2.10";

/// The first port of the range.
const FIRST: u16 = 49_152;

pub(super) fn tracked() -> Settings {
    Settings {
        rpc: Rpc::Tracked,
        ..Settings::roles(&["distribution-point"])
    }
}

/// The bind of a client, and the question for a port.
fn bind() -> Vec<u8> {
    let contexts: [rpc::Context<'_>; 1] = [(0, rpc::MAPPER, &[rpc::NDR32])];
    rpc::proposal(Unit::new(11, 1), &contexts)
}

fn question(call: u32) -> Vec<u8> {
    rpc::request(Unit::new(0, call), 0, 3, &[0; 40])
}

fn answer(call: u32, port: u16) -> Vec<u8> {
    let towers = rpc::towers(false, false, &[rpc::tower(7, port, [0; 4])], 0);
    rpc::response(Unit::new(2, call), 0, &towers)
}

/// What a client sends to the mapper, and the mapper to it. The stream stands still.
fn asks(packet: Packet, data: impl Into<Vec<u8>>) -> Packet {
    let packet = packet.tcp(40_000, 135).psh().ack();
    packet.sequence(100).acknowledgement(900).data(data)
}

fn answers(packet: Packet, data: impl Into<Vec<u8>>) -> Packet {
    let packet = packet.tcp(135, 40_000).psh().ack();
    packet.sequence(900).acknowledgement(100).data(data)
}

/// The mapper of a server that the program protects, and everybody outside.
struct Mapper {
    kernel: Datapath,
}

impl Mapper {
    fn new() -> Result<Self> {
        let kernel = datapath(&tracked())?;
        Ok(Self { kernel })
    }

    fn asks(&mut self, client: Ipv4Addr, data: Vec<u8>) -> Result<()> {
        let packet = Packet::ipv4(&client.to_string(), SERVER);
        let passes = self
            .kernel
            .run_inbound(&asks(packet, data).build())?
            .passes();
        assert!(passes);
        Ok(())
    }

    fn answers(&mut self, client: Ipv4Addr, data: Vec<u8>) -> Result<()> {
        let packet = Packet::ipv4(SERVER, &client.to_string());
        let passes = self
            .kernel
            .run_outbound(&answers(packet, data).build())?
            .passes();
        assert!(passes);
        Ok(())
    }

    fn is_open(&mut self, client: Ipv4Addr, port: u16) -> Result<bool> {
        let syn = Packet::ipv4(&client.to_string(), SERVER)
            .tcp(41_000, port)
            .syn();
        Ok(self.kernel.run_inbound(&syn.build())?.passes())
    }

    fn table(&self) -> Result<OpeningTable> {
        OpeningTable::open(self.kernel.pins())
    }

    /// How many ports are open to a client.
    fn open_to(&self, client: Ipv4Addr) -> Result<usize> {
        let all = self.table()?.read()?;
        let client = IpAddr::from(client);
        Ok(all
            .iter()
            .filter(|one| one.opening.client == client)
            .count())
    }

    fn told(&self, outcome: Result<How, Refusal>) -> Result<u64> {
        let all = self.table()?.outcomes()?;
        let told = all.iter().find(|(one, _)| *one == outcome);
        Ok(told.map_or(0, |(_, count)| *count))
    }
}

fn numbered(base: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(base + number)
}

#[test]
fn a_mapper_is_read_behind_any_tags() -> Result<()> {
    let tags: [fn(Packet) -> Packet; 3] = [
        |packet| packet,
        |packet| packet.vlan(20),
        |packet| packet.qinq(100, 20),
    ];
    for pair in FAMILIES {
        for tag in tags {
            let mut kernel = datapath(&tracked())?;
            let syn = tag(pair.back().tcp(41_000, FIRST).syn());
            assert_eq!(kernel.arrives(&syn)?, RpcNotNamed);
            let data = [bind(), question(2)].concat();
            assert_eq!(kernel.arrives(&tag(asks(pair.back(), data)))?, Service);
            let said = tag(answers(pair.out(), answer(2, FIRST)));
            assert_eq!(kernel.leaves(&said)?, Left);
            assert_eq!(kernel.arrives(&syn)?, Service);
        }
    }
    Ok(())
}

/// The table has as much room for two systems as for any two, and nobody's takes that of others.
#[test]
fn a_client_that_is_handed_ten_thousand_ports_has_a_few_and_the_others_theirs() -> Result<()> {
    const HONEST: u32 = 50;
    let mut mapper = Mapper::new()?;
    let (honest, greedy) = (0x0a00_0000, Ipv4Addr::new(198, 51, 100, 66));
    for number in 0..HONEST {
        let client = numbered(honest, number);
        mapper.asks(client, [bind(), question(2)].concat())?;
        mapper.answers(client, answer(2, FIRST))?;
        assert!(mapper.is_open(client, FIRST)?);
    }
    mapper.asks(greedy, bind())?;
    for number in 0..10_000 {
        let call = 2 + u32::from(number);
        mapper.asks(greedy, question(call))?;
        mapper.answers(greedy, answer(call, FIRST + number))?;
    }
    let handed_out = mapper.told(Ok(How::Map))?;
    assert_eq!(handed_out, 10_000 + u64::from(HONEST));
    assert!(mapper.open_to(greedy)? <= SLOTS);
    // The last that it was handed is open, the first is not.
    assert!(mapper.is_open(greedy, FIRST + 9_999)?);
    assert!(!mapper.is_open(greedy, FIRST)?);
    for number in 0..HONEST {
        assert!(mapper.is_open(numbered(honest, number), FIRST)?, "{number}");
    }
    Ok(())
}

/// Half a million forged binds with questions, and as many answers that nobody asked for. Whoever
/// talks to the mapper meanwhile is handed a port, and each port that was handed out stays open.
#[test]
fn a_million_forged_questions_and_answers_cost_no_honest_port() -> Result<()> {
    const FORGED: u32 = 500_000;
    /// Of them, before each of the steps of somebody honest.
    const BETWEEN: u32 = 10_000;
    let mut mapper = Mapper::new()?;
    let (forged, honest) = (0x0a00_0000, 0xac10_0000);
    let flooder = Packet::ipv4("10.0.0.0", SERVER);
    let mut asked = asks(flooder, [bind(), question(2)].concat()).build();
    let unasked = Packet::ipv4(SERVER, "10.0.0.0");
    let mut unasked = answers(unasked, answer(99, FIRST + 1)).build();
    let mut clients = Vec::new();
    for number in 0..FORGED {
        if number % BETWEEN == 0 {
            let step = number / BETWEEN;
            let client = numbered(honest, step / 3);
            match step % 3 {
                0 => mapper.asks(client, bind())?,
                1 => mapper.asks(client, question(7))?,
                _ => {
                    mapper.answers(client, answer(7, FIRST))?;
                    assert!(mapper.is_open(client, FIRST)?, "{number}");
                    clients.push(client);
                }
            }
        }
        let address = numbered(forged, number).octets();
        asked[26..30].copy_from_slice(&address);
        unasked[30..34].copy_from_slice(&address);
        mapper.kernel.run_inbound(&asked)?;
        mapper.kernel.run_outbound(&unasked)?;
    }
    assert_eq!(clients.len(), 16);
    for client in clients {
        assert!(mapper.is_open(client, FIRST)?, "{client}");
    }
    // A question is known by 24 bits: of a hundred thousand answers, a few look asked for.
    const MISTAKEN: u64 = 100;
    let unasked_for = mapper.told(Err(Refusal::NoRequest))?;
    assert!(unasked_for >= u64::from(FORGED) - MISTAKEN, "{unasked_for}");
    let opened = mapper.told(Ok(How::Map))?;
    assert!((16..16 + MISTAKEN / 5).contains(&opened), "{opened}");
    assert_eq!((mapper.kernel.flows()?, mapper.kernel.transfers()?), (0, 0));
    Ok(())
}
