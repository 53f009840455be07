//! What is on the screen, cell by cell.

use super::{Palette, Scene, draw};
use crate::blocked::Explainer;
use crate::openings::{Counted, Reader};
use crate::policy::{Labels, SitePolicy};
use crate::watch::fixture::snapshot;
use crate::watch::{Rates, Snapshot, View};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use sccm_common::policy::flag;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PLAIN: Palette = Palette { colours: false };

fn drawn((width, height): (u16, u16), scene: &Scene<'_>) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut explainer = Explainer::default();
    explainer.set_policy(&scene.now.policy);
    terminal
        .draw(|frame| draw(frame, scene, &mut explainer))
        .unwrap();
    terminal.backend().clone()
}

fn text(backend: &TestBackend) -> Vec<String> {
    let buffer = backend.buffer();
    let width = usize::from(buffer.area.width);
    buffer
        .content
        .chunks(width)
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn scene<'s>(now: &'s Snapshot, rates: &'s Rates, view: &'s View) -> Scene<'s> {
    Scene {
        now,
        rates,
        view,
        problem: None,
        palette: PLAIN,
    }
}

fn a_second_later() -> (Snapshot, Rates) {
    let start = Instant::now();
    let (before, mut now) = (snapshot(start), snapshot(start + Duration::from_secs(1)));
    for counter in now.counters.values_mut() {
        counter.packets += 12;
        counter.bytes += 1200;
    }
    for flow in now.flows.values_mut() {
        flow.packets += 2;
    }
    let rates = Rates::between(Some(&before), &now);
    (now, rates)
}

#[test]
fn flows_have_names_where_there_is_room() {
    let (mut now, rates) = a_second_later();
    let flow = now.flows.values().next().unwrap();
    let source = now.names.of(&flow.key).source;
    let named = SitePolicy {
        names: [(
            "kiosk-of-the-entrance-hall.example.com".to_owned(),
            vec![source.ip().unwrap().into()],
        )]
        .into(),
        ..SitePolicy::default()
    };
    now.names.labels = Arc::new(Labels::of(&named));
    let view = View::default();
    for (width, is_named) in [(160, true), (80, false)] {
        let lines = text(&drawn((width, 24), &scene(&now, &rates, &view)));
        let with_name = format!("{source} (kiosk-of-the-entrance-hall.example.com) -> ");
        let with_name = lines.iter().any(|line| line.contains(&with_name));
        assert_eq!(with_name, is_named, "{lines:#?}");
    }
}

#[test]
fn all_of_it_fits_into_the_smallest_terminal() {
    let (now, rates) = a_second_later();
    let view = View::default();
    let lines = text(&drawn((80, 24), &scene(&now, &rates, &view)));
    assert_eq!(
        lines,
        [
            "Policy  enforcing 5c5c5c5c5c5c, generation 3, published 0s ago",
            "Roles   distribution-point",
            "Agent   running",
            "Total   dropped 143 (36/s, 29kbit/s); passed 5012 (12/s, 9.6kbit/s)",
            "Interface        State           Mode    Refused/s    Refused Passed/s    Passed",
            "eth0             enforcing       native         24         71       12      5012",
            "eth1             egress-lost     native         12         72        0         0",
            " Per s  bit/s    Packets Outcome    Way      Reason and service",
            "    24    19k        124 dropped    inbound  not-allowed tcp none",
            "    12   9.6k         19 dropped    inbound  ipv4-version",
            "    12   9.6k       5012 passed     inbound  service tcp http",
            "",
            "",
            " Per s    Packets     Last  Blocked flow, why, and what would allow it",
            "   2.0        202       0s  192.0.2.7 -> 192.0.2.2 tcp/445",
            "        not-allowed eth0; [[allow]] tcp/445 from 192.0.2.7",
            "   2.0         32       0s  192.0.2.1 -> 192.0.2.2 tcp/3389",
            "        not-allowed eth0; [[allow]] tcp/3389 from 192.0.2.1",
            "   2.0          5       0s  udp/161, ipv6-extension-order eth0",
            "2001:db80:1111:2222:3333:4444:5555:aaaa->2001:db80:1111:2222:3333:4444:5555:bbbb",
            "",
            "",
            "",
            "q quit  s sort: rate  / filter  p pause",
        ]
    );
}

#[test]
fn every_size_has_the_important_and_nothing_panics() {
    let (now, rates) = a_second_later();
    let view = View::default();
    for size in [
        (80, 24),
        (81, 25),
        (132, 43),
        (250, 24),
        (80, 200),
        (500, 200),
    ] {
        let screen = text(&drawn(size, &scene(&now, &rates, &view))).join("\n");
        for part in [
            "enforcing 5c5c5c5c5c5c",
            "egress-lost",
            "ipv4-version",
            "192.0.2.1 -> 192.0.2.2 tcp/3389",
            "q quit",
        ] {
            assert!(screen.contains(part), "{size:?}: no {part} in {screen}");
        }
    }
    for size in [(79, 24), (80, 23), (1, 1), (5, 100), (100, 2), (20, 3)] {
        let screen = text(&drawn(size, &scene(&now, &rates, &view))).join("\n");
        assert!(!screen.contains("Policy"), "{size:?}");
        if size.0 > 15 {
            assert!(screen.starts_with("80x24 needed"), "{size:?}: {screen}");
        }
    }
}

#[test]
fn what_has_no_place_is_counted() {
    let (mut now, _) = a_second_later();
    let template = now.interfaces[0].clone();
    now.interfaces = vec![template; 16];
    let series = now.counters.keys().next().unwrap().clone();
    for reason in &sccm_common::Reason::ALL[30..45] {
        let mut one = series.clone();
        (one.reason, one.service) = (*reason, None);
        now.counters.insert(one, Default::default());
    }
    let rates = Rates::between(None, &now);
    let view = View::default();
    let lines = text(&drawn((80, 24), &scene(&now, &rates, &view)));
    assert_eq!(lines[8], "and 13 more", "{lines:#?}");
    assert!(lines.iter().any(|line| line == "and 14 more"), "{lines:#?}");
    assert!(lines[9].starts_with(" Per s"), "{lines:#?}");
}

#[test]
fn what_is_unusual_is_said() {
    let (mut now, rates) = a_second_later();
    let usual = text(&drawn((80, 24), &scene(&now, &rates, &View::default()))).join("\n");
    now.policy.flags |= flag::OBSERVE;
    now.policy.confirm_by = now.clock.wall() + 42;
    now.shadow = Some(now.policy);
    now.agent_runs = false;
    now.suppressed = 17;
    let counted = |outcome, why, count| Counted {
        outcome,
        by: Reader::Kernel,
        why,
        count,
    };
    now.handed_out.outcomes = vec![
        counted("ept_map", None, 9),
        counted("privacy", Some("the answer is encrypted"), 4),
    ];
    let view = View {
        paused: true,
        filter: "445".to_owned(),
        ..View::default()
    };
    let unusual = Scene {
        problem: Some("nothing is enforced"),
        ..scene(&now, &rates, &view)
    };
    let screen = text(&drawn((80, 24), &unusual)).join("\n");
    for part in [
        "observing",
        "PAUSED",
        "none is running: the kernel goes on",
        "ends in 42s, unless `sccm-agent confirm`",
        "judges beside it",
        "Stale   nothing is enforced",
        "/ filter: 445",
        "p go on",
        "17 packets of unlisted flows",
        "RPC     0 ports open now; 9 handed out, 4 times nothing was opened",
    ] {
        assert!(screen.contains(part), "no {part} in {screen}");
        assert!(!usual.contains(part), "{part} in {usual}");
    }
    assert!(!screen.contains("tcp/3389"), "{screen}");
}

#[test]
fn colours_are_of_the_sixteen_and_can_be_refused() {
    let (now, rates) = a_second_later();
    let view = View::default();
    let colours = |colours| {
        let coloured = Scene {
            palette: Palette { colours },
            ..scene(&now, &rates, &view)
        };
        let screen = drawn((80, 24), &coloured);
        let cells = screen.buffer().content.iter();
        let mut colours: Vec<_> = cells.flat_map(|cell| [cell.fg, cell.bg]).collect();
        colours.retain(|colour| *colour != Color::Reset);
        colours
    };
    assert_eq!(colours(false), []);
    let used = colours(true);
    assert!(!used.is_empty());
    let named = |colour: &Color| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
    assert!(used.iter().all(named), "{used:?}");
}
