use super::*;
use crate::config::parse;
use crate::policy::{Request, ServiceNames, Surroundings};

const DAY: u64 = 86_400;
const NOW: u64 = 2_000_000_000;

const POLICY: &str = r#"
[site]
outbound = "enforce"

[peers]
client = ["10.64.0.0/12", "10.80.0.0/16"]
site-server = ["10.2.0.5"]

[[protect]]
name = "content"
roles = ["distribution-point"]
addresses = ["10.2.0.20"]

[[allow]]
name = "odd"
protocol = "tcp"
ports = [7777]
from = ["192.0.2.1", "10.64.1.1"]
reason = "a test"

[[allow]]
name = "even"
protocol = "tcp"
ports = [8888]
from = ["192.0.2.1"]
reason = "a test"

[[outbound.allow]]
name = "web"
protocol = "tcp"
ports = [8443]
to = ["192.0.2.7"]
reason = "a test"
"#;

/// The rights of a policy that is counted for 100 days, of which `used` says when each was used.
fn rights(words: &Words<'_>, used: impl Fn(&Right) -> Option<u64>) -> Rights {
    let compiled = &words.kinds.compiled;
    let inbound: Vec<_> = compiled
        .policy
        .rows
        .iter()
        .map(|rows| rows.inbound)
        .collect();
    let mut counted = Vec::new();
    for row in &compiled.rows {
        for class in crate::policy::counted(row.granted) {
            let mut right = Right {
                direction: match inbound.contains(&row.row) {
                    true => Direction::Inbound,
                    false => Direction::Outbound,
                },
                systems: row.systems.clone(),
                peers: row.peers.clone(),
                class,
                service: compiled.services.get(class).unwrap().clone(),
                row: row.row,
                packets: 7,
                last: None,
                since: NOW - 100 * DAY,
            };
            right.last = used(&right);
            counted.push(right);
        }
    }
    Rights {
        counted,
        uncounted: 0,
        policy: compiled.policy.clone(),
    }
}

fn unused(within: u64, used: impl Fn(&Right) -> Option<u64>) -> Unused {
    let policy = parse(POLICY).unwrap();
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    let kinds = Kinds::numbered(&request, ServiceNames::default()).unwrap();
    let words = Words {
        policy: &policy,
        kinds,
    };
    let info = words.kinds.compiled.info;
    let rights = rights(&words, used);
    Unused::new(&info, &rights, Some(&words), (NOW, within))
}

fn names(words: Option<&Vec<UnusedWord>>) -> Vec<String> {
    let words = words.unwrap().iter();
    words
        .map(|word| format!("{}: {}", word.stands_in, word.name))
        .collect()
}

#[test]
fn what_was_used_in_the_time_is_not_listed_and_what_was_used_before_is() {
    let all = unused(90 * DAY, |_| None);
    assert_eq!(all.unused.len(), all.rights);
    assert!(all.is_certain() && all.uncounted == 0);
    let none = unused(90 * DAY, |_| Some(NOW - 89 * DAY));
    assert!(none.unused.is_empty() && !none.is_certain());
    assert_eq!(names(none.rules.as_ref()), [""; 0]);
    assert_eq!(names(none.prefixes.as_ref()), [""; 0]);
    let before = unused(90 * DAY, |_| Some(NOW - 91 * DAY));
    assert_eq!(before.unused.len(), all.rights);
    let young = unused(101 * DAY, |_| None);
    assert_eq!(young.unused.len(), all.rights);
    assert!(!young.is_certain(), "it is counted for 100 days only");
}

#[test]
fn rules_and_prefixes_are_told_by_the_rights_that_they_give() {
    let http = |right: &Right| right.service.service.contains("http") && right.peers == "client";
    let found = unused(90 * DAY, |right| (http(right)).then_some(NOW));
    assert_eq!(
        names(found.rules.as_ref()),
        ["allow: odd", "allow: even", "outbound.allow: web"]
    );
    assert_eq!(
        names(found.prefixes.as_ref()),
        ["peers site-server: 10.2.0.5/32"]
    );

    let odd = |right: &Right| right.service.service == "tcp/7777" && right.peers == "client";
    let found = unused(90 * DAY, |right| (odd(right)).then_some(NOW));
    assert_eq!(
        names(found.rules.as_ref()),
        ["allow: even", "outbound.allow: web"]
    );
    assert_eq!(
        names(found.prefixes.as_ref()),
        [
            "peers client: 10.80.0.0/16",
            "peers site-server: 10.2.0.5/32",
            "allow odd: 192.0.2.1/32"
        ]
    );
}
