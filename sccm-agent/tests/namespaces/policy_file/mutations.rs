//! A thousand broken files: each is refused with a place and a reason, or still a policy.

use super::mutator::{Random, mutate};
use super::{EXAMPLE, Folder};
use anyhow::Result;
use sccm_agent::check::Report;
use sccm_agent::config::Problems;

/// A second good file, with the forms that the example does not use.
const OTHER: &str = r#"
site = { edition = "2007", outbound = "track", http-port = 8080, enable = ["named-pipes"] }
timeouts = { tcp-opening = 30, tcp-established = 3600, tcp-closing = 10, other = 60 }
peers.client = "any"
peers.site-server = ["10.1.0.5", "2001:db8:1::5"]
peers.console = ["10.9.0.0/28"]
[[protect]]
name = "everything"
roles = ["software-update-point", "management-point"]
[[protect]]
name = "db"
roles = ["sql-server"]
addresses = ["10.2.0.0/24", "2001:db8:2::/64"]
[[allow]]
name = "tunnel"
protocol = "gre"
from = ["192.0.2.1"]
to = ["db"]
reason = "old branch office"
[[allow]]
name = "routing"
protocol = "ip"
ports = [89, 103]
from = ["192.0.2.0/24"]
reason = "routers"
[[management.allow]]
name = "ssh"
protocol = "tcp"
ports = ["22", "2222-2229"]
from = ["10.9.0.0/28"]
reason = "administrators"
"#;

const FILES: usize = 1000;

#[test]
fn a_thousand_broken_files_are_refused_with_place_and_reason() -> Result<()> {
    let folder = Folder::new()?;
    let mut random = Random::new(0x5cc0);
    let mut refused = 0;
    let mut distinct = std::collections::BTreeSet::new();
    for number in 0..FILES {
        let good = if number % 2 == 0 { EXAMPLE } else { OTHER };
        let broken = mutate(good, &mut random);
        folder.write("policy.toml", &broken)?;
        match folder.load() {
            Ok(policy) => {
                // Compiling takes the most time by far; some will do.
                if number % 10 == 0 {
                    Report::new(&policy)?;
                }
            }
            Err(error) => {
                let problems: &Problems = error.downcast_ref().expect("problems with places");
                for problem in problems.list() {
                    let text = String::from_utf8_lossy(&broken);
                    assert_eq!(problem.location.file, folder.policy());
                    let (line, column) = problem.location.position.expect("a location");
                    let lines = text.split('\n').count();
                    assert!(
                        (1..=lines).contains(&line) && column >= 1,
                        "{problem}\n{text}"
                    );
                    assert!(problem.message.len() > 10, "{problem}\n{text}");
                    distinct.insert(problem.message.clone());
                }
                refused += 1;
            }
        }
    }
    println!(
        "{refused} of {FILES} refused, {} different reasons",
        distinct.len()
    );
    assert!(refused > FILES * 3 / 4, "only {refused} of {FILES} refused");
    assert!(
        distinct.len() > 100,
        "only {} different reasons",
        distinct.len()
    );
    Ok(())
}

#[test]
fn both_files_are_good_before_they_are_broken() -> Result<()> {
    let folder = Folder::new()?;
    for good in [EXAMPLE, OTHER] {
        folder.write("policy.toml", good)?;
        Report::new(&folder.load()?)?;
    }
    Ok(())
}
