//! What a scrape costs, with every series that there can be.
//!
//! Sixteen interfaces, a policy of every role, every counter of both directions and both modes
//! above zero, a shadow, a full table of blocked flows on each CPU and the most that
//! `--metrics-top-flows` allows. What is left out is HTTP, and, as nothing is attached, a question
//! about each hook.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use aya::Pod;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use sccm_agent::catalog::{Catalog, Edition};
use sccm_agent::interface::Netlink;
use sccm_agent::kernel::{FlowTable, Maps, PinDir, create_maps};
use sccm_agent::metrics::{Format, Metrics};
use sccm_agent::policy::ServiceNames;
use sccm_agent::record::Record;
use sccm_agent::state::Machine;
use sccm_common::abi::map;
use sccm_common::address::Address;
use sccm_common::blocked::{BlockedFlow, BlockedKey, SETS, Set};
use sccm_common::counter::{
    Counter, MAX_INTERFACES, PAGE_COUNTERS, PAGES, PEER_COUNTERS, SHADOW_PAGES, describe,
    describe_peer,
};
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_common::{Peer, Reason};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::datapath::Settings;
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// What every counter says.
const COUNTED: Counter = Counter {
    packets: 123_456_789,
    bytes: 123_456_789_012,
};

/// Scrapes, of which the best and the median count.
const RUNS: usize = 25;

/// What a scrape cost.
pub struct Scrape {
    /// What it was of.
    pub name: &'static str,
    /// Series.
    pub series: usize,
    /// Bytes of the text.
    pub bytes: usize,
    /// The shortest time.
    pub best: Duration,
    /// The median of the times.
    pub median: Duration,
}

impl Scrape {
    /// Fills the maps, and reads them; and once more, where everything was refused to every peer
    /// that can have a name.
    pub fn measure() -> Result<[Self; 2]> {
        let mount = BpfMount::new()?;
        let pins = PinDir::new(mount.path().join("agent"));
        pins.create()?;
        create_maps(&pins, DEFAULT_CAPACITY)?;
        let mut maps = Maps::open(&pins)?;
        fill(&mut maps, &pins)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let flows = FlowTable::open(&pins)?;
            let machine = Machine::open(pins, Netlink::connect()?)?;
            let metrics = Metrics {
                flows,
                machine: Arc::new(machine),
                record: Arc::new(Record::default()),
                top_flows: 100,
            };
            let nameless = Self::of("every series, no peers named", &metrics).await?;
            fill_peers(&mut maps, &metrics.machine.pins)?;
            let named = Self::of("and 20 peers, each refused everything", &metrics).await?;
            Ok([nameless, named])
        })
    }

    async fn of(name: &'static str, metrics: &Metrics) -> Result<Self> {
        let (mut times, mut text) = (Vec::new(), String::new());
        for _ in 0..RUNS {
            let start = Instant::now();
            text = metrics.render(Format::Text).await?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(Self {
            name,
            series: text.lines().filter(|line| !line.starts_with('#')).count(),
            bytes: text.len(),
            best: *times.first().context("no runs")?,
            median: *times.get(RUNS / 2).context("no runs")?,
        })
    }

    /// For tools, in nanoseconds.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "series": self.series,
            "bytes": self.bytes,
            "best_ns": self.best.as_nanos() as u64,
            "median_ns": self.median.as_nanos() as u64,
        })
    }
}

fn fill(maps: &mut Maps, pins: &PinDir) -> Result<()> {
    for number in 0..MAX_INTERFACES {
        maps.claim_slot(&format!("measured{number}"), number + 1)?;
    }
    let catalog = Catalog::of(Edition::V2007);
    let roles: Vec<&str> = catalog.roles.iter().map(|role| role.id.as_str()).collect();
    let compiled = Settings::roles(&roles).compile(ServiceNames::default())?;
    maps.publish(&compiled)?;
    maps.cast_shadow(&compiled)?;
    let names = maps.service_names()?;

    let mut page = [Counter::default(); PAGE_COUNTERS];
    for (index, counter) in page.iter_mut().enumerate() {
        let meaning = describe(index)
            .filter(|(_, class)| class.is_none_or(|class| names.get(class).is_some()));
        if meaning.is_some() {
            *counter = COUNTED;
        }
    }
    of_each_cpu(pins, map::COUNTERS.name, PAGES, |_| page)?;
    of_each_cpu(pins, map::SHADOW_COUNTERS.name, SHADOW_PAGES, |_| page)?;
    of_each_cpu(pins, map::BLOCKED.name, SETS, |set| -> Set {
        [set * 2, set * 2 + 1].map(|number| BlockedFlow {
            key: BlockedKey {
                source: Address::v4(number.to_be_bytes()),
                port: 445,
                protocol: 6,
                reason: Reason::NotAllowed as u8,
                ..BlockedKey::NONE
            },
            packets: u64::from(number),
            ..BlockedFlow::NONE
        })
    })
}

/// Names as many peers as there can be, and counts for each what has a name.
fn fill_peers(maps: &mut Maps, pins: &PinDir) -> Result<()> {
    let catalog = Catalog::of(Edition::V2007);
    let roles = catalog.roles.iter().take(Peer::COUNT);
    let peers = roles.zip(1..).map(|(role, number)| {
        // The settings of a test are literals; these few live as long as the program.
        let prefix: &str = format!("10.{number}.0.0/16").leak();
        let role: &str = role.id.to_string().leak();
        (role, prefix)
    });
    let settings = Settings {
        peers: peers.collect(),
        ..Settings::roles(&[])
    };
    maps.publish(&settings.compile(maps.service_names()?)?)?;
    let names = maps.service_names()?;
    let mut page = [Counter::default(); PEER_COUNTERS];
    for (index, counter) in page.iter_mut().enumerate() {
        let (peer, class) = describe_peer(index);
        if names.peers.get(peer).is_some() && names.get(class).is_some() {
            *counter = COUNTED;
        }
    }
    of_each_cpu(pins, map::PEER_COUNTERS.name, PAGES, |_| page)
}

/// Writes every element of a map, the same for each CPU.
fn of_each_cpu<V: Pod>(
    pins: &PinDir,
    name: &str,
    entries: u32,
    value: impl Fn(u32) -> V,
) -> Result<()> {
    let data = MapData::from_pin(pins.map(name))?;
    let mut map = PerCpuArray::<_, V>::try_from(aya::maps::Map::from_map_data(data)?)?;
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
    for entry in 0..entries {
        map.set(entry, PerCpuValues::try_from(vec![value(entry); cpus])?, 0)?;
    }
    Ok(())
}
