//! The cost of a dropped frame against the number of rules and prefixes, as a picture.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::live::{Filter, Live};

/// Pixels.
const SIZE: (u32, u32) = (860, 480);

/// The lowest cost that the logarithmic axis shows, in nanoseconds.
const LEAST: f64 = 1.0;

/// A line of the picture: its name, its colour, and what is on it.
type Curve = (&'static str, RGBColor, fn(Filter) -> bool);

const CURVES: [Curve; 3] = [
    (
        "nftables ingress, a rule each",
        RGBColor(0xc0, 0x39, 0x2b),
        |filter| matches!(filter, Filter::NftablesRules(_)),
    ),
    (
        "nftables ingress, prefixes in a set",
        RGBColor(0xd6, 0x8a, 0x10),
        |filter| matches!(filter, Filter::NftablesPrefixes(_)),
    ),
    (
        "sccm-agent, prefixes",
        RGBColor(0x1f, 0x6f, 0xb2),
        |filter| matches!(filter, Filter::Agent(Some(_))),
    ),
];

/// Draws it into an SVG file.
pub fn draw(live: &[Live], floor: &Live, path: &Path) -> Result<()> {
    let over = |live: &Live| (live.nanoseconds() - floor.nanoseconds()).max(LEAST);
    let highest = live.iter().map(over).fold(LEAST, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failure)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "A dropped frame, over an empty XDP program",
            ("sans-serif", 20),
        )
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (1_f64..100_000_f64).log_scale(),
            (LEAST..highest * 2.0).log_scale(),
        )
        .map_err(failure)?;
    chart
        .configure_mesh()
        .x_desc("rules or prefixes")
        .y_desc("nanoseconds per frame")
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|cost| format!("{cost:.0}"))
        .light_line_style(WHITE)
        .draw()
        .map_err(failure)?;
    for (name, colour, is_on_it) in CURVES {
        let points: Vec<(f64, f64)> = live
            .iter()
            .filter(|live| is_on_it(live.filter))
            .filter_map(|live| Some((f64::from(live.filter.size()?), over(live))))
            .collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))
            .map_err(failure)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()
        .map_err(failure)?;
    area.present().map_err(failure)
}

fn failure(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing the picture: {error}")
}
