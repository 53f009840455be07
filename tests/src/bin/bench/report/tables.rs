//! The tables for people.

use std::cmp::Reverse;

use comfy_table::{CellAlignment, Table};
use sccm_agent::output;

use crate::claims::Claim;
use crate::control::Control;
use crate::cores::Cores;
use crate::life::Life;
use crate::live::Live;
use crate::scrape::Scrape;
use crate::series::Series;
use crate::through::Through;

/// Maps below this have no line of their own, in bytes.
const SMALL_MAP: u64 = 1 << 17;

/// A table for each group of cases.
pub fn series(all: &[Series]) -> String {
    let groups = all.chunk_by(|one, next| one.title.group == next.title.group);
    let tables = groups.filter_map(|group| {
        let title = group.first()?.title.group;
        let mut table = output::list([title, "empty", "best", "median", "at most"]);
        for series in group {
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
        Some(lines(table))
    });
    let tables = tables.collect::<Vec<_>>().join("\n\n");
    format!("Single packets: ns over an empty program, by BPF_PROG_TEST_RUN\n{tables}\n")
}

/// The kernel's memory, largest maps first.
pub fn memory(maps: &[(&str, u64)], at_most: u64) -> String {
    let mut table = output::list(["kernel memory at the defaults", "MiB", "at most"]);
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let (mut large, small): (Vec<(&str, u64)>, Vec<_>) =
        maps.iter().partition(|(_, bytes)| *bytes >= SMALL_MAP);
    large.sort_by_key(|(_, bytes)| Reverse(*bytes));
    for (name, bytes) in large {
        table.add_row([name.to_owned(), mebibytes(bytes), String::new()]);
    }
    let rest = small.into_iter().map(|(_, bytes)| bytes).sum();
    table.add_row(["the others".to_owned(), mebibytes(rest), String::new()]);
    let total = mebibytes(maps.iter().map(|(_, bytes)| bytes).sum());
    table.add_row(["total".to_owned(), total, mebibytes(at_most)]);
    lines(table) + "\n"
}

/// What a new policy costs.
pub fn control(all: &[Control]) -> String {
    let [classes, compile, publish] = Control::COLUMNS;
    let mut table = output::list(["a new policy, ms; prefixes", classes, compile, publish]);
    for control in all {
        let [classes, compile, publish] = control.figures();
        table.add_row([control.prefixes.to_string(), classes, compile, publish]);
    }
    lines(table) + "\n"
}

/// What a scrape of every series costs.
pub fn scrape(scrapes: &[Scrape]) -> String {
    let title = "a scrape, ms";
    let mut table = output::list([title, "series", "MiB", "best", "median", "at most"]);
    for (scrape, at_most) in scrapes.iter().zip(["10", ""]) {
        let [best, median] = [scrape.best, scrape.median].map(|time| time.as_secs_f64() * 1e3);
        table.add_row([
            scrape.name.to_owned(),
            scrape.series.to_string(),
            format!("{:.1}", scrape.bytes as f64 / f64::from(1 << 20)),
            format!("{best:.1}"),
            format!("{median:.1}"),
            at_most.to_owned(),
        ]);
    }
    lines(table) + "\n"
}

/// What a packet costs while another processor is at work, too.
pub fn cores(all: &[Cores]) -> String {
    let title = "two processors at once, ns a packet";
    let mut table = output::list([title, "one alone", "both", "rate of two"]);
    for cores in all {
        table.add_row([
            cores.name.to_owned(),
            cores.alone.to_string(),
            format!("{:.1}", cores.both),
            format!("{:.2}", cores.gain()),
        ]);
    }
    lines(table) + "\n"
}

/// What a dropped frame costs each filter.
pub fn live(all: &[Live], floor: &Live) -> String {
    let title = "live frames, dropped";
    let mut table = output::list([title, "ns", "over empty", "rate of empty"]);
    for live in all {
        table.add_row([
            live.filter.name(),
            format!("{:.0}", live.nanoseconds()),
            format!("{:+.0}", live.nanoseconds() - floor.nanoseconds()),
            format!("{:.2}", live.rate_over(floor)),
        ]);
    }
    lines(table) + "\n"
}

/// What the project claims.
pub fn claims(all: &[Claim]) -> String {
    let mut table = output::list(["against others", "measured", "aim"]);
    for claim in all {
        table.add_row([
            claim.name.to_owned(),
            format!("{:.2}", claim.measured),
            claim.limit.clone(),
        ]);
    }
    lines(table) + "\n"
}

/// What comes through a router.
pub fn through(all: &[Through]) -> String {
    let mut table = output::list(Through::COLUMNS);
    for through in all {
        let (tcp, udp, [p50, p99]) = (through.tcp(), through.udp(), through.pings());
        let of_none = |(share, error): (f64, f64)| format!("{share:.2} ± {error:.2}");
        table.add_row([
            through.filter.name().to_owned(),
            format!("{:.2}", tcp.rate),
            format!("{:.2}", tcp.busy),
            of_none(tcp.of_none),
            format!("{:.0}", udp.rate),
            format!("{:.2}", udp.busy),
            of_none(udp.of_none),
            format!("{p50:.1}"),
            format!("{p99:.1}"),
        ]);
    }
    lines(table) + "\n"
}

/// The agent itself.
pub fn life(life: &Life) -> String {
    let mut table = output::list(["the agent itself", "measured", "at most"]);
    let mut row = |name: String, measured: String, at_most: &str| {
        table.add_row([name, measured, at_most.to_owned()]);
    };
    let first = format!("{:.0} ms", life.first_drop);
    let at_most = format!("{:.0} ms", Life::FIRST_DROP_AT_MOST);
    row("start to the first drop".into(), first, &at_most);
    let [role, many] = life.memory.map(|mebibytes| format!("{mebibytes:.1} MiB"));
    let at_most = format!("{:.0} MiB", Life::MEMORY_AT_MOST);
    row("memory, a role only".into(), role, &at_most);
    row("memory, after 100,000 prefixes".into(), many, "");
    let idle = format!("{:.2} %", life.idle * 100.0);
    row("one processor, while idle".into(), idle, "");
    for (prefixes, milliseconds) in &life.reloads {
        let measured = format!("{milliseconds:.0} ms");
        row(format!("reload, {prefixes} prefixes"), measured, "");
    }
    lines(table)
}

/// Figures to the right.
fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    output::lines(&table)
}
