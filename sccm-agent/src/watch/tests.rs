//! The figures, and what keys do, without a terminal.

use super::fixture::{LENGTH, count, flow, long_flow, series, service, snapshot};
use super::view::Wish;
use super::{Outcome, Rates, Sort, View};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sccm_common::Reason;
use std::time::{Duration, Instant};

fn later(seconds: f64) -> [super::Snapshot; 2] {
    let start = Instant::now();
    [start, start + Duration::from_secs_f64(seconds)].map(snapshot)
}

/// What the view says about each series: outcome, reason, packets, packets in a second.
fn told(rates: &Rates) -> Vec<(Outcome, Reason, u64, f64)> {
    let series = rates.series.iter();
    series
        .map(|one| {
            let flowing = one.flowing;
            (
                one.outcome,
                one.reason,
                flowing.total.packets,
                flowing.pace.packets,
            )
        })
        .collect()
}

#[test]
fn one_snapshot_has_totals_and_no_rates() {
    let rates = Rates::between(None, &snapshot(Instant::now()));
    assert_eq!(rates.seconds, None);
    assert_eq!(
        told(&rates),
        [
            (Outcome::Dropped, Reason::NotAllowed, 100, 0.0),
            (Outcome::Dropped, Reason::Ipv4Version, 7, 0.0),
            (Outcome::Passed, Reason::Service, 5000, 0.0),
        ]
    );
    assert_eq!(rates.totals[&Outcome::Dropped].total, count(107));
    assert_eq!(rates.totals[&Outcome::Passed].total, count(5000));
}

#[test]
fn what_is_new_is_divided_by_the_time_it_took() {
    let [before, mut now] = later(2.0);
    let none = Some(service("tcp", "none"));
    for (interface, packets) in [("eth0", 50), ("eth1", 90)] {
        let one = series(interface, Reason::NotAllowed, none.clone());
        *now.counters.get_mut(&one).unwrap() = count(packets);
    }
    // A counter that was zero before.
    now.counters
        .insert(series("eth1", Reason::Arp, None), count(4));
    now.flows.insert(flow(7, 445, 0).key, flow(7, 445, 206));
    now.flows.insert(flow(9, 22, 0).key, flow(9, 22, 1));
    let rates = Rates::between(Some(&before), &now);
    assert_eq!(rates.seconds, Some(2.0));
    assert_eq!(
        told(&rates),
        [
            (Outcome::Dropped, Reason::NotAllowed, 140, 20.0),
            (Outcome::Dropped, Reason::Ipv4Version, 7, 0.0),
            (Outcome::Passed, Reason::Service, 5000, 0.0),
            (Outcome::Passed, Reason::Arp, 4, 2.0),
        ]
    );
    let bytes = rates.series[0].flowing.pace.bytes;
    assert_eq!(bytes, 20.0 * LENGTH as f64);
    let of = |interface: &str, outcome| {
        let flowing = rates.interfaces[&(interface.to_owned(), outcome)];
        (flowing.total.packets, flowing.pace.packets)
    };
    assert_eq!(of("eth0", Outcome::Dropped), (57, 5.0));
    assert_eq!(of("eth1", Outcome::Dropped), (90, 15.0));
    assert_eq!(of("eth1", Outcome::Passed), (4, 2.0));
    let pace = |flow: &super::FlowRate| (flow.flow.key.port, flow.flowing.pace.packets);
    let mut flows: Vec<_> = rates.flows.iter().map(pace).collect();
    flows.sort_by_key(|flow| flow.0);
    assert_eq!(flows, [(22, 0.5), (161, 0.0), (445, 3.0), (3389, 0.0)]);
}

#[test]
fn a_counter_that_began_anew_is_all_new() {
    let [before, mut now] = later(1.0);
    let one = series("eth0", Reason::Ipv4Version, None);
    *now.counters.get_mut(&one).unwrap() = count(3);
    let rates = Rates::between(Some(&before), &now);
    assert_eq!(told(&rates)[1].3, 3.0);
}

#[test]
fn observed_drops_are_told_apart() {
    let mut now = snapshot(Instant::now());
    let mut one = series("eth0", Reason::NotAllowed, Some(service("tcp", "none")));
    one.observing = true;
    now.counters.insert(one, count(9));
    let rates = Rates::between(None, &now);
    assert_eq!(rates.totals[&Outcome::WouldDrop].total, count(9));
    assert_eq!(rates.totals[&Outcome::Dropped].total, count(107));
}

fn press(view: &mut View, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            letter => KeyCode::Char(letter),
        };
        let wish = view.press(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(wish, Wish::GoOn, "{key:?}");
    }
}

#[test]
fn keys_sort_filter_pause_and_quit() {
    let mut view = View::default();
    for sort in [Sort::Packets, Sort::Bytes, Sort::Rate] {
        press(&mut view, "s");
        assert_eq!(view.sort, sort);
    }
    press(&mut view, "p");
    assert!(view.paused);
    press(&mut view, " ");
    assert!(!view.paused);
    // While a filter is typed, all letters are its own.
    press(&mut view, "/qsp\x08x");
    assert_eq!((view.filter.as_str(), view.typing), ("qsx", true));
    press(&mut view, "\n");
    assert_eq!((view.filter.as_str(), view.typing), ("qsx", false));
    press(&mut view, "/\x1b");
    assert_eq!(view, View::default());
    press(&mut view, "/");
    press(&mut view, &"é".repeat(1000));
    assert!(view.filter.len() <= 51);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.press(control_c), Wish::Quit);
    for code in [KeyCode::Char('q'), KeyCode::Esc] {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        assert_eq!(View::default().press(key), Wish::Quit);
    }
}

#[test]
fn both_lists_are_sorted_and_filtered() {
    let [before, mut now] = later(1.0);
    let mut slow = long_flow(4);
    slow.bytes = 1_000_000;
    now.flows.insert(slow.key, slow);
    let rates = Rates::between(Some(&before), &now);
    let ports = |view: &View, most| -> Vec<u16> {
        let flows = view.flows(&rates, &now.names, most);
        flows.iter().map(|rate| rate.flow.key.port).collect()
    };
    let mut view = View::default();
    assert_eq!(ports(&view, 9), [161, 445, 3389]);
    assert_eq!(ports(&view, 2), [161, 445]);
    view.sort = Sort::Packets;
    assert_eq!(ports(&view, 9), [445, 3389, 161]);
    view.sort = Sort::Bytes;
    assert_eq!(ports(&view, 9), [161, 445, 3389]);

    for (filter, expected) in [
        ("NOT-allowed", &[445, 3389][..]),
        ("192.0.2.7", &[445]),
        ("tcp/3389 eth0", &[3389]),
        ("udp nonsense", &[]),
        ("dropped", &[161, 445, 3389]),
        ("would", &[]),
    ] {
        view.filter = filter.to_owned();
        assert_eq!(ports(&view, 9), expected, "{filter}");
    }
    view.filter = "passed http".to_owned();
    let series = view.series(&rates);
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].reason, Reason::Service);
}
