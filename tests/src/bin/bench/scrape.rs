//! What a scrape costs, with every series that there can be.
//!
//! Sixteen interfaces, a policy of every role, every counter of both directions and both modes
//! above zero, a shadow, a full table of blocked flows on each CPU and the most that
//! `--metrics-top-flows` allows. What is left out is HTTP, and, as nothing is attached, a question
//! about each hook.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use aya::Pod;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use sccm_agent::catalog::Catalog;
use sccm_agent::interface::Netlink;
use sccm_agent::kernel::{Loader, Maps, PinDir};
use sccm_agent::metrics::{Flows, Format, Gaps, Reloads, Rules, Source};
use sccm_agent::policy::ServiceNames;
use sccm_common::Reason;
use sccm_common::abi::map;
use sccm_common::address::Address;
use sccm_common::blocked::{BlockedFlow, BlockedKey, SETS, Set};
use sccm_common::counter::{Counter, MAX_INTERFACES, PAGE_COUNTERS, PAGES, SHADOW_PAGES, describe};
use sccm_common::flow::DEFAULT_CAPACITY;
use sccm_tests::bpffs::BpfMount;
use sccm_tests::datapath::Settings;
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// Scrapes, of which the best and the median count.
const RUNS: usize = 25;

/// What a scrape cost.
pub struct Scrape {
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
    /// Fills the maps, and reads them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn measure() -> Result<Self> {
        let mount = BpfMount::new()?;
        let pins = PinDir::new(mount.path().join("agent"));
        pins.create()?;
        Loader::new(&pins).create_maps(DEFAULT_CAPACITY)?;
        let maps = Maps::open(&pins)?;
        fill(maps, &pins)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let source = Source {
                maps: Mutex::new(Maps::open(&pins)?),
                pins,
                netlink: Netlink::connect()?,
                gaps: Gaps::default(),
                flows: Flows::default(),
                reloads: Reloads::default(),
                rules: Rules::default(),
                top_flows: 100,
                edition: Catalog::edition_2007()?.edition,
            };
            let (mut times, mut text) = (Vec::new(), String::new());
            for _ in 0..RUNS {
                let start = Instant::now();
                text = source.render(Format::Text).await?;
                times.push(start.elapsed());
            }
            times.sort();
            Ok(Self {
                series: text.lines().filter(|line| !line.starts_with('#')).count(),
                bytes: text.len(),
                best: *times.first().context("no runs")?,
                median: *times.get(RUNS / 2).context("no runs")?,
            })
        })
    }

    /// For tools, in nanoseconds.
    pub fn json(&self) -> Value {
        json!({
            "series": self.series,
            "bytes": self.bytes,
            "best_ns": self.best.as_nanos() as u64,
            "median_ns": self.median.as_nanos() as u64,
        })
    }
}

fn fill(mut maps: Maps, pins: &PinDir) -> Result<()> {
    for number in 0..MAX_INTERFACES {
        maps.claim_slot(&format!("measured{number}"), number + 1)?;
    }
    let catalog = Catalog::edition_2007()?;
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
            *counter = Counter {
                packets: 123_456_789,
                bytes: 123_456_789_012,
            };
        }
    }
    of_each_cpu(pins, map::COUNTERS, PAGES, |_| page)?;
    of_each_cpu(pins, map::SHADOW_COUNTERS, SHADOW_PAGES, |_| page)?;
    of_each_cpu(pins, map::BLOCKED, SETS, |set| -> Set {
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
