//! Single packets: a loaded program runs one frame many times in a row, attached to nothing.
//!
//! `BPF_PROG_TEST_RUN` says how long that took. The loop around it costs, too, so an empty program
//! is run in the same way right before, and only the difference is told. Programs, maps and
//! policies are the real ones.

use anyhow::Result;
use sccm_agent::kernel::IngressAt;
use sccm_agent::policy::{Outbound, Surroundings};
use sccm_common::Place;
use sccm_tests::datapath::Settings;
use sccm_tests::signals::Interrupt;

use crate::case::Case;
use crate::cases;
use crate::control::Control;
use crate::forwarded::Forwarded;
use crate::many::{self, Peers};
use crate::mapper;
use crate::opening::Opening;
use crate::scrape::Scrape;
use crate::series::Series;
use crate::world::World;

/// What was found out.
pub struct Packets {
    /// What each case cost, in the order of the table.
    pub series: Vec<Series>,
    /// Kernel memory of each map: name, bytes.
    pub memory: Vec<(&'static str, u64)>,
    /// What a new policy costs.
    pub control: Vec<Control>,
    /// What a scrape of every series costs.
    pub scrape: [Scrape; 2],
}

impl Packets {
    /// Measures.
    ///
    /// # Errors
    /// When the kernel refuses, and when a packet meets another fate than expected.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Self> {
        let role = Settings::roles(&cases::ROLES);
        let peers = Settings {
            allow: cases::prefixes(),
            ..role.clone()
        };
        let many = Settings {
            allow: many::prefixes(100_000),
            ..role.clone()
        };
        let counting = Settings {
            count_only: true,
            ..role.clone()
        };
        // A gateway knows at least its own addresses.
        let gateway = Settings {
            machine: Surroundings::gateway(&["192.0.2.1".parse()?, "2001:db8::1".parse()?]),
            ..role.clone()
        };
        let enforcing = Settings {
            outbound: Outbound::Enforce,
            ..gateway.clone()
        };
        let mut worlds = [
            (World::new(&role)?, measured(cases::of_a_role())),
            (World::new(&counting)?, measured(cases::counted_only())),
            (
                World::at(&role, Place::Host, IngressAt::Tc)?,
                measured(cases::at_tc()),
            ),
            (
                World::at(&gateway, Place::Segment, IngressAt::Xdp)?,
                measured(cases::at_a_segment()),
            ),
            (
                World::at(&enforcing, Place::Segment, IngressAt::Xdp)?,
                measured(cases::refused_at_a_segment()),
            ),
            (World::new(&peers)?, measured(cases::of_peers())),
            (World::new(&many)?, measured(many::cases())),
            (World::new(&role)?, measured(mapper::untracked())),
            (World::new(&mapper::tracked())?, measured(mapper::cases())),
        ];
        /// Where the last of them stands.
        const MANY: usize = 6;
        let mut cold = Peers::new();
        let mut opening = Opening::new();
        let mut first = mapper::First::new();
        let mut forwarded = Forwarded::new(&gateway)?;
        for round in 1..=rounds {
            eprintln!("==> packets: round {round} of {rounds}");
            for (world, cases) in &mut worlds {
                for (case, series) in cases {
                    interrupt.check()?;
                    let (floor, cost) = case.measure(world)?;
                    series.add(floor, cost);
                }
            }
            interrupt.check()?;
            cold.round(&mut worlds[MANY].0)?;
            opening.round(&role)?;
            first.round()?;
            forwarded.round()?;
        }
        let memory = worlds[0].0.memory()?;
        eprintln!("==> compiling and publishing");
        let control = Control::measure(&role)?;
        eprintln!("==> scraping");
        let scrape = Scrape::measure()?;
        let steady = worlds.into_iter().flat_map(|(_, cases)| cases);
        let steady = steady.map(|(_, series)| series);
        Ok(Self {
            series: steady
                .chain(cold.series())
                .chain(opening.series())
                .chain(first.series())
                .chain(forwarded.series())
                .collect(),
            memory,
            control,
            scrape,
        })
    }
}

fn measured(cases: Vec<Case>) -> Vec<(Case, Series)> {
    let cases = cases.into_iter();
    cases
        .map(|case| {
            let series = Series::new(case.title);
            (case, series)
        })
        .collect()
}
