//! What the kernel program leaves unread of a mapper's answers: the agent reads it, and opens what the
//! program would have opened.

use std::ops::Range;

use anyhow::{Context as _, Result};
use sccm_agent::kernel::{HandedOut, Heard, Opener, OpeningTable, Outcomes};
use sccm_agent::openings::Listener;
use sccm_agent::policy::{Outbound, Rpc};
use sccm_common::Reason::{self, Outbound as Left, RpcNotNamed, Service};
use sccm_common::rpc::{How, Refusal};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;
use sccm_tests::packet::rpc::{self, Unit};
use tokio::runtime::{Builder, Runtime};

use super::{FAMILIES, Fate as _, Pair, datapath};

/// A port that is handed out.
const PORT: u16 = 49_700;

/// Where each end begins to count.
const FIRST: [u32; 2] = [1000, 9000];

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// The programs, and an agent that hears them.
struct World {
    kernel: Datapath,
    heard: Heard,
    listener: Listener,
    /// The server is the protected system.
    serves: bool,
    pair: Pair,
    _runtime: Runtime,
}

/// Both ends of a connection to the mapper.
struct Talk<'a> {
    world: &'a mut World,
    port: u16,
    said: [u32; 2],
}

fn tracked(serves: bool) -> Settings {
    let settings = match serves {
        true => Settings::roles(&["distribution-point"]),
        false => Settings {
            outbound: Outbound::Enforce,
            ..Settings::roles(&["site-server"])
        },
    };
    Settings {
        rpc: Rpc::Tracked,
        ..settings
    }
}

impl World {
    fn new(pair: Pair, serves: bool) -> Result<Self> {
        Self::of(pair, serves, &tracked(serves))
    }

    fn of(pair: Pair, serves: bool, settings: &Settings) -> Result<Self> {
        let kernel = datapath(settings)?;
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let within = runtime.enter();
        let lock = kernel.pins().lock()?;
        let heard = Heard::open(kernel.pins(), &lock)?;
        drop(within);
        let listener = Listener::new(Opener::open(kernel.pins(), &lock)?);
        Ok(Self {
            kernel,
            heard,
            listener,
            serves,
            pair,
            _runtime: runtime,
        })
    }

    /// The agent hears what was said, and how many segments these were.
    fn hear(&mut self) -> Result<usize> {
        let said = self.heard.take_now(usize::MAX);
        self.listener.hear(&said)?;
        Ok(said.len())
    }

    /// A packet that one end sends to the other.
    fn packet(&self, end: usize) -> Packet {
        match (end == SERVER) == self.serves {
            true => self.pair.out(),
            false => self.pair.back(),
        }
    }

    fn judges(&mut self, end: usize, packet: &Packet) -> Result<Reason> {
        match (end == SERVER) == self.serves {
            true => self.kernel.leaves(packet),
            false => self.kernel.arrives(packet),
        }
    }

    /// Whether the client may connect to a port.
    fn is_open(&mut self, port: u16) -> Result<bool> {
        let syn = self.packet(CLIENT).tcp(41_000, port).syn();
        let reason = self.judges(CLIENT, &syn)?;
        let passes = if self.serves { Service } else { Left };
        assert!([passes, RpcNotNamed].contains(&reason), "{reason:?}");
        Ok(reason == passes)
    }

    fn connect(&mut self, port: u16) -> Result<Talk<'_>> {
        let [client, server] = FIRST;
        let mut talk = Talk {
            world: self,
            port,
            said: [0; 2],
        };
        let syn = talk.packet(CLIENT).sequence(client).syn();
        let answer = talk.packet(SERVER).sequence(server).syn().ack();
        let answer = answer.acknowledgement(client + 1);
        talk.world.judges(CLIENT, &syn)?;
        talk.world.judges(SERVER, &answer)?;
        talk.segment(CLIENT, 0, &[])?;
        Ok(talk)
    }

    /// A connection on which the mapper was bound and asked.
    fn ask(&mut self, port: u16) -> Result<Talk<'_>> {
        let mut talk = self.connect(port)?;
        talk.bind(rpc::MAPPER)?;
        talk.says(CLIENT, &rpc::request(Unit::new(0, 2), 0, 3, &[0; 40]))?;
        Ok(talk)
    }

    fn table(&self) -> Result<OpeningTable> {
        OpeningTable::open(self.kernel.pins())
    }

    /// What became of answers, by the programs and by the agent.
    fn outcomes(&self) -> Result<[Outcomes; 2]> {
        let table = self.table()?;
        let mut all = [table.outcomes()?, table.read_outcomes()?];
        for one in &mut all {
            one.retain(|(_, count)| *count > 0);
        }
        Ok(all)
    }

    fn openings(&self) -> Result<Vec<HandedOut>> {
        self.table()?.read()
    }

    /// A port is closed before the agent hears, and open after it, and the next is not.
    fn opens(&mut self, port: u16, how: How) -> Result<()> {
        assert!(!self.is_open(port)?);
        self.hear()?;
        assert!(self.is_open(port)?);
        assert!(!self.is_open(port + 1)?);
        let mut all = self.openings()?.into_iter();
        let found = all.find(|one| one.opening.port == port);
        let opening = found.context("not there")?.opening;
        assert_eq!(opening.how, Some(how));
        assert!(opening.by_agent && opening.used.is_some(), "{opening:?}");
        if how == How::Map {
            assert_eq!(opening.interface.to_string(), rpc::SERVICES);
        }
        Ok(())
    }

    /// Nothing is open, and the agent says why.
    fn refuses(&mut self, why: Refusal) -> Result<()> {
        self.hear()?;
        assert!(!self.is_open(PORT)?);
        assert!(self.openings()?.is_empty());
        let [_, read] = self.outcomes()?;
        assert_eq!(read, [(Err(why), 1)]);
        Ok(())
    }
}

impl Talk<'_> {
    fn packet(&self, end: usize) -> Packet {
        match end {
            CLIENT => self.world.packet(CLIENT).tcp(self.port, 135),
            _ => self.world.packet(SERVER).tcp(135, self.port),
        }
    }

    /// Bytes at a place of an end's stream.
    fn segment(&mut self, end: usize, place: u32, data: &[u8]) -> Result<()> {
        let number = |end: usize, place: u32| FIRST[end] + 1 + place;
        let packet = self.packet(end).psh().ack().sequence(number(end, place));
        let packet = packet.acknowledgement(number(1 - end, self.said[1 - end]));
        let reason = self.world.judges(end, &packet.data(data))?;
        assert!(reason.passes(), "{reason:?}");
        Ok(())
    }

    fn says(&mut self, end: usize, data: &[u8]) -> Result<()> {
        self.segment(end, self.said[end], data)?;
        self.said[end] += data.len() as u32;
        Ok(())
    }

    fn bind(&mut self, interface: rpc::Name<'_>) -> Result<()> {
        let contexts: [rpc::Context<'_>; 1] = [(0, interface, &[rpc::NDR32])];
        self.says(CLIENT, &rpc::proposal(Unit::new(11, 1), &contexts))?;
        self.says(
            SERVER,
            &rpc::agreement(Unit::new(12, 1), &[(0, rpc::NDR32)]),
        )
    }
}

/// Either family, and either end behind the programs.
fn worlds() -> impl Iterator<Item = Result<World>> {
    let sides = FAMILIES
        .into_iter()
        .flat_map(|pair| [(pair, true), (pair, false)]);
    sides.map(|(pair, serves)| World::new(pair, serves))
}

fn stub(port: u16) -> Vec<u8> {
    rpc::towers(false, false, &[rpc::tower(7, port, [0; 4])], 0)
}

fn answer(port: u16) -> Vec<u8> {
    rpc::response(Unit::new(2, 2), 0, &stub(port))
}

/// The parameters of an answer, in fragments.
fn fragments(stub: &[u8], parts: &[Range<usize>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let is_first = u8::from(number == 0);
        let is_last = if number + 1 == parts.len() { 2 } else { 0 };
        let unit = Unit {
            flags: is_first | is_last,
            ..Unit::new(2, 2)
        };
        all.push(rpc::response(unit, 0, &stub[part.clone()]));
    }
    all
}

fn unread(count: u64) -> Outcomes {
    vec![(Err(Refusal::Unread), count)]
}

#[test]
fn an_answer_in_two_segments_is_read_wherever_it_is_cut() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        for (number, cut) in [1, 23, 24, 60, 151].into_iter().enumerate() {
            let number = number as u16;
            let mut talk = world.ask(40_000 + number)?;
            let port = PORT + 2 * number;
            let answer = answer(port);
            talk.says(SERVER, &answer[..cut])?;
            talk.says(SERVER, &answer[cut..])?;
            world.opens(port, How::Map)?;
        }
        // Of two the program has not seen that they are answers.
        let expected = [unread(3), vec![(Ok(How::Map), 5)]];
        assert_eq!(world.outcomes()?, expected);
    }
    Ok(())
}

#[test]
fn an_answer_in_fragments_is_put_together() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        // One in each segment, and all in one.
        for (number, together) in [false, true].into_iter().enumerate() {
            let number = number as u16;
            let port = PORT + 2 * number;
            let stub = stub(port);
            let all = fragments(&stub, &[0..30, 30..100, 100..stub.len()]);
            let mut talk = world.ask(40_000 + number)?;
            match together {
                true => talk.says(SERVER, &all.concat())?,
                false => all.iter().try_for_each(|one| talk.says(SERVER, one))?,
            }
            world.opens(port, How::Map)?;
        }
        let [kernel, agent] = world.outcomes()?;
        assert!(kernel.iter().any(|one| one.0 == Err(Refusal::Unread)));
        assert_eq!(agent, [(Ok(How::Map), 2)]);
    }
    Ok(())
}

#[test]
fn an_answer_that_is_longer_than_the_program_reads_is_read() -> Result<()> {
    let host = format!("a-server-with-many-addresses.example.org[{PORT}]");
    let texts: Vec<(u16, &str)> = vec![(7, &host); 24];
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.connect(40_000)?;
        talk.bind(rpc::ACTIVATOR)?;
        talk.says(CLIENT, &rpc::request(Unit::new(0, 2), 0, 4, &[0; 40]))?;
        let answer = rpc::response(Unit::new(2, 2), 0, &rpc::activated(false, &texts, 0));
        assert!((2_100..3_300).contains(&answer.len()), "{}", answer.len());
        talk.says(SERVER, &answer)?;
        world.opens(PORT, How::Activation)?;
        let expected = [unread(1), vec![(Ok(How::Activation), 1)]];
        assert_eq!(world.outcomes()?, expected);
    }
    Ok(())
}

#[test]
fn a_big_endian_answer_is_read() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.ask(40_000)?;
        let unit = Unit {
            is_big: true,
            ..Unit::new(2, 2)
        };
        let stub = rpc::towers(true, false, &[rpc::tower(7, PORT, [0; 4])], 0);
        talk.says(SERVER, &rpc::response(unit, 0, &stub))?;
        world.opens(PORT, How::Map)?;
        assert_eq!(world.outcomes()?, [unread(1), vec![(Ok(How::Map), 1)]]);
    }
    Ok(())
}

#[test]
fn what_the_program_has_read_is_not_read_again() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.ask(40_000)?;
        talk.says(SERVER, &answer(PORT))?;
        let mut talk = world.ask(40_001)?;
        talk.says(SERVER, &answer(445))?;
        // SYN, answer, acknowledgement, bind, agreement, question, answer.
        assert_eq!(world.hear()?, 14);
        assert!(world.is_open(PORT)?);
        let told = vec![(Ok(How::Map), 1), (Err(Refusal::ForbiddenPort), 1)];
        assert_eq!(world.outcomes()?, [told, Vec::new()]);
        assert!(!world.openings()?[0].opening.by_agent);
    }
    Ok(())
}

#[test]
fn an_answer_that_nobody_asked_for_opens_nothing() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.connect(40_000)?;
        talk.bind(rpc::MAPPER)?;
        let answer = answer(PORT);
        talk.says(SERVER, &answer[..100])?;
        talk.says(SERVER, &answer[100..])?;
        world.refuses(Refusal::NoRequest)?;
    }
    Ok(())
}

#[test]
fn a_part_that_comes_again_with_other_bytes_opens_nothing_else() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.ask(40_000)?;
        let (honest, forged) = (answer(PORT + 1), answer(PORT));
        // The port lies in the first part.
        talk.says(SERVER, &honest[..150])?;
        let again = talk.said[SERVER] - 150;
        talk.segment(SERVER, again, &forged)?;
        world.refuses(Refusal::RetransmissionDiffers)?;
    }
    Ok(())
}

/// The rest was lost on its way to the programs.
#[test]
fn an_answer_that_comes_again_as_a_whole_is_read() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let mut talk = world.ask(40_000)?;
        let answer = answer(PORT);
        talk.says(SERVER, &answer[..100])?;
        let again = talk.said[SERVER] - 100;
        talk.segment(SERVER, again, &answer)?;
        world.opens(PORT, How::Map)?;
    }
    Ok(())
}

#[test]
fn the_rest_of_an_answer_on_another_connection_opens_nothing() -> Result<()> {
    for world in worlds() {
        let mut world = world?;
        let answer = answer(PORT);
        world.ask(40_000)?.says(SERVER, &answer[..100])?;
        // It has asked, too.
        world.ask(40_001)?.says(SERVER, &answer[100..])?;
        world.refuses(Refusal::MalformedPdu)?;
    }
    Ok(())
}

#[test]
fn an_answer_in_parts_is_held_to_the_rules_of_the_active_policy() -> Result<()> {
    for (port, why) in [
        (445, Refusal::ForbiddenPort),
        (80, Refusal::ForbiddenPort),
        (49_151, Refusal::OutsideRange),
    ] {
        let mut world = World::new(FAMILIES[0], true)?;
        let mut talk = world.ask(40_000)?;
        let answer = answer(port);
        talk.says(SERVER, &answer[..100])?;
        talk.says(SERVER, &answer[100..])?;
        world.refuses(why)?;
    }
    // The range is another by the time at which the answer is read.
    let mut world = World::new(FAMILIES[0], true)?;
    let answer = answer(PORT);
    let mut talk = world.ask(40_000)?;
    talk.says(SERVER, &answer[..100])?;
    talk.says(SERVER, &answer[100..])?;
    let narrow = Settings {
        allow: vec!["tcp/49700"],
        ..tracked(true)
    };
    world.kernel.publish(&narrow)?;
    world.hear()?;
    assert!(world.openings()?.is_empty());
    assert_eq!(world.outcomes()?[1], [(Err(Refusal::ForbiddenPort), 1)]);
    Ok(())
}

#[test]
fn only_what_counts_is_handed_over() -> Result<()> {
    // With the whole range open, nothing is.
    let mut world = World::of(FAMILIES[0], true, &Settings::roles(&["distribution-point"]))?;
    world.ask(40_000)?.says(SERVER, &answer(PORT))?;
    world.kernel.shadow(&tracked(true))?;
    world.ask(40_001)?.says(SERVER, &answer(PORT)[..100])?;
    assert_eq!(world.hear()?, 0, "a shadow opens nothing in this way");
    // Nor what a peer says of whom nobody has asked.
    let mut world = World::new(FAMILIES[0], false)?;
    let said = world.packet(SERVER).tcp(135, 40_000).psh().ack();
    let reason = world.judges(SERVER, &said.data(answer(PORT)))?;
    assert!(!reason.passes(), "{reason:?}");
    assert_eq!(world.hear()?, 0);
    Ok(())
}

#[test]
fn what_finds_no_room_is_counted_and_nothing_is_made_up_for_it() -> Result<()> {
    let mut world = World::new(FAMILIES[0], true)?;
    let mut talk = world.ask(40_000)?;
    let answer = answer(PORT);
    talk.says(SERVER, &answer[..100])?;
    // Somebody else talks, and nobody listens.
    for _ in 0..400 {
        talk.segment(CLIENT, 10_000, &[0; 1_000])?;
    }
    for _ in 0..20 {
        talk.segment(CLIENT, 10_000, &[0; 4])?;
    }
    talk.says(SERVER, &answer[100..])?;
    let lost = world.table()?.lost()?;
    assert!(lost > 100, "{lost}");
    world.hear()?;
    assert!(!world.is_open(PORT)?);
    // From then on it is heard again.
    let mut talk = world.ask(40_002)?;
    talk.says(SERVER, &answer[..100])?;
    talk.says(SERVER, &answer[100..])?;
    world.hear()?;
    assert!(world.is_open(PORT)?);
    assert_eq!(world.table()?.lost()?, lost);
    Ok(())
}
