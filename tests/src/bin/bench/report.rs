//! The figures, as a table for people and as JSON for tools.
//!
//! The JSON: `machine`, the object of the header; `cases`, a list of `group`, `name`, and
//! nanoseconds; `memory`, bytes by map; `control`, nanoseconds by number of prefixes; `scrape`, its
//! size and nanoseconds. Names stay; fields may be added.

use std::cmp::Reverse;
use std::iter;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use sccm_agent::output;
use serde_json::{Value, json};

use crate::control::Control;
use crate::machine::Machine;
use crate::scrape::Scrape;
use crate::series::Series;

/// The memory that the maps may take at most, in bytes.
const MEMORY_AT_MOST: u64 = 64 << 20;

/// The milliseconds that a scrape may take at most.
const SCRAPE_AT_MOST: u32 = 10;

/// Maps below this have no line of their own, in bytes.
const SMALL_MAP: u64 = 1 << 17;

/// Everything that a run found out.
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// How often each case was measured.
    pub rounds: u32,
    /// What each case cost, in the order of the table.
    pub series: Vec<Series>,
    /// Kernel memory of each map: name, bytes.
    pub memory: Vec<(&'static str, u64)>,
    /// What a new policy costs.
    pub control: Vec<Control>,
    /// What a scrape of every series costs.
    pub scrape: Scrape,
}

impl Report {
    /// For people.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn print(&self) -> Result<()> {
        output::print(self.header())?;
        let mut group = "";
        let mut table = None;
        for series in &self.series {
            if series.title.group != group {
                self.finish(table.take())?;
                group = series.title.group;
            }
            let table = table.get_or_insert_with(|| figures(group));
            let over = [series.best_over_floor(), series.median_over_floor()];
            let [best, median] = over.map(|figure| format!("{figure:+}"));
            let at_most = series.title.at_most.map(|limit| format!("{limit:+}"));
            table.add_row([
                series.title.name.to_owned(),
                format!("{}", series.best_floor()),
                best,
                median,
                at_most.unwrap_or_default(),
            ]);
        }
        self.finish(table)?;
        output::print(self.memory_table())?;
        output::print(self.control_table())?;
        output::print(self.scrape_table())
    }

    /// For tools.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn print_json(&self) -> Result<()> {
        let cases = self.series.iter().map(|series| {
            json!({
                "group": series.title.group,
                "name": series.title.name,
                "floor_best_ns": series.best_floor(),
                "floor_median_ns": series.median_floor(),
                "over_floor_best_ns": series.best_over_floor(),
                "over_floor_median_ns": series.median_over_floor(),
                "over_floor_at_most_ns": series.title.at_most,
            })
        });
        let machine = &self.machine;
        let memory: serde_json::Map<String, Value> = self
            .memory
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), json!(bytes)))
            .collect();
        output::print_json(&json!({
            "machine": {
                "processor": machine.processor,
                "processors": machine.processors,
                "virtual": machine.is_virtual,
                "kernel": machine.kernel,
                "load": machine.load,
            },
            "rounds": self.rounds,
            "cases": cases.collect::<Vec<_>>(),
            "memory": { "maps": memory, "total": self.memory_total(), "at_most": MEMORY_AT_MOST },
            "control": self.control.iter().map(Control::json).collect::<Vec<_>>(),
            "scrape": self.scrape.json(),
        }))
    }

    fn header(&self) -> String {
        let machine = &self.machine;
        let kind = if machine.is_virtual {
            "virtual machine"
        } else {
            "machine"
        };
        format!(
            "{} ({} processors, {kind}), Linux {}, load {}\n\
             ns per packet over an empty program, by BPF_PROG_TEST_RUN, {} rounds\n",
            machine.processor, machine.processors, machine.kernel, machine.load, self.rounds
        )
    }

    fn finish(&self, table: Option<Table>) -> Result<()> {
        table.map_or(Ok(()), |table| output::print(output::lines(&table)))
    }

    fn memory_total(&self) -> u64 {
        self.memory.iter().map(|(_, bytes)| bytes).sum()
    }

    fn control_table(&self) -> String {
        let [classes, compile, publish] = Control::COLUMNS;
        let mut table = output::list(["a new policy, ms; prefixes", classes, compile, publish]);
        for control in &self.control {
            let [classes, compile, publish] = control.figures();
            table.add_row([control.prefixes.to_string(), classes, compile, publish]);
        }
        align(&mut table);
        output::lines(&table)
    }

    fn scrape_table(&self) -> String {
        let Scrape {
            series,
            bytes,
            best,
            median,
        } = &self.scrape;
        let mut table =
            output::list(["a scrape, ms", "series", "MiB", "best", "median", "at most"]);
        let milliseconds = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let [best, median] = [best, median].map(milliseconds);
        let mebibytes = format!("{:.1}", *bytes as f64 / f64::from(1 << 20));
        let row = [
            series.to_string(),
            mebibytes,
            best,
            median,
            SCRAPE_AT_MOST.to_string(),
        ];
        table.add_row(iter::once("every series".to_owned()).chain(row));
        align(&mut table);
        output::lines(&table)
    }

    fn memory_table(&self) -> String {
        let mut table = output::list(["kernel memory at the defaults", "MiB", "at most"]);
        let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let (mut large, small): (Vec<(&str, u64)>, Vec<_>) = self
            .memory
            .iter()
            .partition(|(_, bytes)| *bytes >= SMALL_MAP);
        large.sort_by_key(|(_, bytes)| Reverse(*bytes));
        for (name, bytes) in large {
            table.add_row([name.to_owned(), mebibytes(bytes), String::new()]);
        }
        let rest = small.into_iter().map(|(_, bytes)| bytes).sum();
        table.add_row(["the others".to_owned(), mebibytes(rest), String::new()]);
        let total = mebibytes(self.memory_total());
        table.add_row(["total".to_owned(), total, mebibytes(MEMORY_AT_MOST)]);
        align(&mut table);
        output::lines(&table)
    }
}

fn figures(group: &str) -> Table {
    let mut table = output::list([group, "empty", "best", "median", "at most"]);
    align(&mut table);
    table
}

/// Figures to the right.
fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
