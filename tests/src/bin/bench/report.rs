//! The figures, as tables for people and as JSON for tools.
//!
//! The JSON: `machine`, the object of the header; `rounds`; then one field for each part that was
//! measured. `cases`: a list of `group`, `name`, and nanoseconds; `memory`: bytes by map; `control`:
//! nanoseconds by number of prefixes; `scrape`: sizes and nanoseconds; `cores`: nanoseconds on one processor and on
//! two at once; `live`: nanoseconds per
//! dropped frame, by filter; `claims`;
//! `through`: rates and latencies, by filter; `life`. Names stay; fields may be added.

mod tables;

use anyhow::Result;
use sccm_agent::output;
use serde_json::{Map, Value, json};

use crate::claims::Claim;
use crate::control::Control;
use crate::cores::Cores;
use crate::life::Life;
use crate::live::{Filter, Live};
use crate::machine::Machine;
use crate::packets::Packets;
use crate::scrape::Scrape;
use crate::series::Series;
use crate::through::Through;

/// The memory that the maps may take at most, in bytes.
const MEMORY_AT_MOST: u64 = 48 << 20;

/// Everything that a run found out.
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// How often everything was measured.
    pub rounds: u32,
    /// Single packets.
    pub packets: Option<Packets>,
    /// Single packets on two processors.
    pub cores: Option<Vec<Cores>>,
    /// Live frames.
    pub live: Option<Vec<Live>>,
    /// Through a router.
    pub through: Option<Vec<Through>>,
    /// The agent itself.
    pub life: Option<Life>,
}

impl Report {
    /// For people.
    pub fn print(&self) -> Result<()> {
        output::print(self.text())
    }

    /// What [`Report::print`] prints.
    pub fn text(&self) -> String {
        let mut text = self.header();
        if let Some(packets) = &self.packets {
            text += &tables::series(&packets.series);
            text += &tables::memory(&packets.memory, MEMORY_AT_MOST);
            text += &tables::control(&packets.control);
            text += &tables::scrape(&packets.scrape);
        }
        if let Some(cores) = &self.cores {
            text += &tables::cores(cores);
        }
        if let Some((live, floor)) = self.live() {
            text += &tables::live(live, floor);
            text += &tables::claims(&Claim::all(live));
        }
        if let Some(through) = &self.through {
            text += &tables::through(through);
        }
        if let Some(life) = &self.life {
            text += &tables::life(life);
        }
        text
    }

    /// Live frames, and the empty program among them.
    pub fn live(&self) -> Option<(&[Live], &Live)> {
        let live = self.live.as_deref()?;
        let floor = live.iter().find(|live| live.filter == Filter::Empty)?;
        Some((live, floor))
    }

    /// For tools.
    pub fn print_json(&self) -> Result<()> {
        let machine = &self.machine;
        let mut report = json!({
            "machine": {
                "processor": machine.processor,
                "processors": machine.processors,
                "virtual": machine.is_virtual,
                "kernel": machine.kernel,
                "load": machine.load,
            },
            "rounds": self.rounds,
        });
        if let Some(packets) = &self.packets {
            let maps = packets.memory.iter();
            let maps: Map<String, Value> = maps
                .map(|(name, bytes)| ((*name).to_owned(), json!(bytes)))
                .collect();
            let total: u64 = packets.memory.iter().map(|(_, bytes)| bytes).sum();
            report["cases"] = packets.series.iter().map(Series::json).collect();
            report["memory"] = json!({ "maps": maps, "total": total, "at_most": MEMORY_AT_MOST });
            report["control"] = packets.control.iter().map(Control::json).collect();
            report["scrape"] = packets.scrape.each_ref().map(Scrape::json).into();
        }
        if let Some(cores) = &self.cores {
            report["cores"] = cores.iter().map(Cores::json).collect();
        }
        if let Some((live, floor)) = self.live() {
            report["live"] = live.iter().map(|live| live.json(floor)).collect();
            report["claims"] = Claim::all(live).iter().map(Claim::json).collect();
        }
        if let Some(through) = &self.through {
            report["through"] = through.iter().map(Through::json).collect();
        }
        if let Some(life) = &self.life {
            report["life"] = life.json();
        }
        output::print_json(&report)
    }

    fn header(&self) -> String {
        let machine = &self.machine;
        let kind = if machine.is_virtual {
            "virtual machine"
        } else {
            "machine"
        };
        format!(
            "{} ({} processors, {kind}), Linux {}, load {}, {} rounds\n\n",
            machine.processor, machine.processors, machine.kernel, machine.load, self.rounds
        )
    }
}
