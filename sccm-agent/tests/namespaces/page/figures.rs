//! What is written on the page is what the kernel says.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use sccm_common::Disposition;
use sccm_tests::agent::mode;
use sccm_tests::packet::Packet;
use serde_json::{Value, json};

use super::browser::Browser;
use super::stage::{HOST, Stage};

/// Packets and bytes by outcome and reason.
type Figures = BTreeMap<(String, String), (u64, u64)>;

fn in_kernel(stage: &Stage) -> Result<Figures> {
    let mut figures = Figures::new();
    for reading in stage.counters()? {
        let outcome = match (reading.reason.disposition(), reading.observing) {
            (Disposition::Pass, _) => "passed",
            (Disposition::Drop, false) => "dropped",
            (Disposition::Drop, true) => "would-drop",
        };
        let key = (outcome.to_owned(), reading.reason.label().to_owned());
        let sum = figures.entry(key).or_default();
        sum.0 += reading.count.packets;
        sum.1 += reading.count.bytes;
    }
    Ok(figures)
}

/// What the table of reasons says, in its cells and, for bytes, exactly.
fn on_page(browser: &Browser) -> Result<Figures> {
    let script = "return [...document.querySelectorAll('#reasons tbody tr')].map((row) =>
        [row.dataset.outcome, row.cells[1].textContent, row.cells[5].textContent, row.dataset.bytes])";
    let rows = browser.script(script, &[])?;
    let row = |row: &Value| -> Option<_> {
        let text = |at: usize| row[at].as_str().map(str::to_owned);
        let packets = text(2)?.replace(',', "").parse().ok()?;
        Some(((text(0)?, text(1)?), (packets, text(3)?.parse().ok()?)))
    };
    let rows = rows.as_array().context("no rows")?.iter();
    rows.map(|one| row(one).with_context(|| one.to_string()))
        .collect()
}

fn cells(browser: &Browser, table: &str) -> Result<Vec<Vec<String>>> {
    let script = "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map((row) =>
        [...row.cells].map((cell) => cell.textContent))";
    Ok(serde_json::from_value(
        browser.script(script, &[json!(table)])?,
    )?)
}

/// What the table of cards says of these numbers.
fn row(kernel: &Figures) -> Vec<String> {
    let sum = |outcome: &str| -> u64 {
        let alike = kernel.iter().filter(|((own, _), _)| own == outcome);
        alike.map(|(_, (packets, _))| packets).sum()
    };
    let (passed, dropped) = (sum("passed").to_string(), sum("dropped").to_string());
    ["eth0", "enforcing", mode(), &passed, &dropped, "0"]
        .map(str::to_owned)
        .into()
}

#[test]
fn the_numbers_are_the_kernels() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.enforce("")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open_enforcing()?;
    for times in [7, 20] {
        let before = in_kernel(&stage)?;
        stage.send(times)?;
        // Answers of the point come a moment later, and its neighbours ask when they like.
        let mut kernel = Figures::default();
        browser.wait_for("the numbers of the kernel", || {
            kernel = in_kernel(&stage)?;
            let same = on_page(&browser)? == kernel
                && cells(&browser, "#interfaces")? == [row(&kernel)]
                && in_kernel(&stage)? == kernel;
            Ok(kernel != before && same)
        })?;
        let more = |outcome: &str, reason: &str| {
            let key = (outcome.to_owned(), reason.to_owned());
            let of = |figures: &Figures| figures.get(&key).map_or(0, |figure| figure.0);
            of(&kernel) - of(&before)
        };
        assert_eq!(more("passed", "service"), times);
        assert_eq!(more("dropped", "not-allowed"), 4 * times);
        assert_eq!(more("dropped", "ipv4-truncated"), times);
    }
    drop(agent);
    Ok(())
}

/// The agent counts also while nobody looks.
#[test]
fn a_page_that_has_just_been_opened_tells_of_the_last_minutes() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    // The agent's first reading is from before.
    stage.send(7)?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open_enforcing()?;
    browser.wait_for("the packets from before", || {
        let rows = cells(&browser, "#reasons")?;
        let refused = rows.iter().find(|row| row[1] == "not-allowed");
        Ok(refused.is_some_and(|row| row[4] == "28" && row[5] == "28"))
    })
}

#[test]
fn a_frame_without_an_ip_packet_is_shown_by_its_hardware_addresses() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open()?;
    let rarp = Packet::ethertype(0x8035).payload(46);
    stage.hosts.send(&rarp.build(), 3)?;
    let is_it = |row: &Vec<String>| {
        let expected = [
            "3",
            "02:00:00:00:00:01",
            "02:00:00:00:00:02",
            "ethernet/0x8035",
        ];
        [0, 2, 3, 4].map(|cell| row[cell].as_str()) == expected && row[5].contains("eth0 inbound")
    };
    browser.wait_for("the frame", || {
        Ok(cells(&browser, "#blocked")?.iter().any(is_it))
    })
}

#[test]
fn the_policy_and_the_blocked_flows_are_those_of_the_commands() -> Result<()> {
    let stage = Stage::new()?;
    let written = fs::read_to_string(stage.policy())?;
    let hostile = "<script>document.title='owned'</script><b>bold</b>";
    let written = written.replace("the nightly backup", hostile);
    fs::write(stage.policy(), &written)?;
    let agent = stage.enforce("--confirm-within 10m")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open()?;
    stage.send(3)?;
    browser.wait_for("five flows", || Ok(cells(&browser, "#blocked")?.len() == 5))?;

    let status = stage.hosts.status()?.json;
    let policy = &status["policy"];
    let hash = policy["hash"].as_str().context("no hash")?;
    assert_eq!(browser.text("#hash")?, hash[..12]);
    assert_eq!(
        browser.text("#generation")?,
        policy["generation"].to_string()
    );
    assert_eq!(browser.text("#roles")?, "distribution-point");
    assert_eq!(browser.text("#host")?, HOST);
    assert!(browser.text("#edition")?.contains("2007"));
    assert!(browser.text("#trial")?.starts_with("ends in 9 min"));
    assert_eq!(browser.text("#shadow")?, "none");

    // The page knows the policy.
    let command = format!("blocked -o json --config {}", stage.policy().display());
    let listing = stage.hosts.run(&command)?.stdout;
    let listing: Value = serde_json::from_str(&listing)?;
    let flows = listing["flows"].as_array().context("no flows")?;
    assert_eq!(flows.len(), 5);
    let rows = cells(&browser, "#blocked")?;
    for flow in flows {
        let text = |key: &str| flow[key].as_str().unwrap_or_default();
        // A frame that is cut off has an ethertype.
        let number = match flow["port"].as_u64() {
            Some(port) => port.to_string(),
            None => text("ethertype").to_owned(),
        };
        let what = format!("{}/{number}", text("protocol"));
        // With what the policy calls it, on the next line.
        let end = |key: &str| match flow[format!("{key}_name")].as_str() {
            Some(name) => format!("{}\n{name}", text(key)),
            None => text(key).to_owned(),
        };
        let is_it = |row: &&Vec<String>| {
            row[0].parse().ok() == flow["packets"].as_u64()
                && row[2] == end("source")
                && row[3] == end("destination")
                && row[4].starts_with(&what)
                && row[5].starts_with(text("reason"))
        };
        let row = rows.iter().find(is_it);
        let row = row.with_context(|| format!("{flow} is not in {rows:#?}"))?;
        let would = match (flow["would_allow"][0]["link"].as_str(), &flow["hints"][0]) {
            (Some(link), _) => format!("link {link}: "),
            (None, hint) => hint["brief"].as_str().unwrap_or("–").to_owned(),
        };
        assert!(row[6].starts_with(&would), "{row:?}: {would}");
    }
    assert!(
        rows.iter().any(|row| row[6].starts_with("link")),
        "{rows:?}"
    );
    each_reason_is_explained_once(&browser, flows)?;
    matrix_is_that_of_check(&stage, &browser)?;

    // What the operator wrote is text, whatever it looks like.
    assert!(browser.text("#rights")?.contains(hostile));
    assert!(browser.is("document.querySelectorAll('#rights script, #rights b').length === 0")?);

    stage.hosts.run("confirm")?;
    browser.wait_for("the confirmation", || Ok(browser.text("#trial")? == "no"))?;
    let candidate = stage.policy().with_file_name("policy.candidate.toml");
    let shadow = written
        .replace("192.0.2.251", "192.0.2.1")
        .replace("ports = [10000]", "ports = [1433]");
    fs::write(candidate, shadow)?;
    assert_eq!(stage.hosts.run("reload --shadow")?.code, Some(0));
    stage.send(2)?;
    browser.wait_for("the shadow", || {
        Ok(browser
            .text("#shadow")?
            .ends_with("would pass 2 and drop 0 packets more"))
    })?;
    browser.wait_for("the flow that the candidate would pass", || {
        Ok(cells(&browser, "#changes")?.iter().any(|row| {
            [0, 2, 4].map(|cell| row[cell].as_str()) == ["2", "192.0.2.1", "tcp/1433\nsql"]
                && row[5] == "would pass; now not-allowed\neth0 inbound"
        }))
    })?;
    assert!(browser.text("#changes-reasons")?.contains("not-allowed"));
    assert_eq!(stage.hosts.run("promote")?.code, Some(0));
    browser.wait_for("the new policy", || {
        let rights = browser.text("#rights")?;
        Ok(browser.text("#generation")? == "2" && rights.contains("tcp/1433"))
    })?;
    assert!(browser.is("document.getElementById('changes-section').hidden")?);
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    drop(agent);
    Ok(())
}

/// Beside the table, and on no row.
fn each_reason_is_explained_once(browser: &Browser, flows: &[Value]) -> Result<()> {
    let shown = browser.text("#blocked-reasons")?;
    let table = browser.text("#blocked")?;
    for flow in flows {
        let why = flow["why"].as_str().context("no explanation")?;
        assert_eq!(shown.matches(why).count(), 1, "{why}: {shown}");
        assert!(!table.contains(why), "{why}: {table}");
    }
    Ok(())
}

#[test]
fn a_filter_chooses_flows_and_is_kept() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open()?;
    stage.send(3)?;
    browser.wait_for("five flows", || Ok(cells(&browser, "#blocked")?.len() == 5))?;
    let enter = |words: &str| {
        let script = "const box = document.getElementById('filter'); box.value = arguments[0];
            box.dispatchEvent(new Event('input', { bubbles: true }))";
        browser.script(script, &[json!(words)])
    };
    let ports = || -> Result<Vec<String>> {
        let rows = cells(&browser, "#blocked")?.into_iter();
        let mut what: Vec<String> = rows.map(|row| row[4].clone()).collect();
        what.sort();
        Ok(what)
    };
    let sql = "tcp/1433\nsql";
    for (words, expected) in [
        ("sql", vec![sql]),
        ("1433", vec![sql]),
        ("2001:DB8::1", vec!["tcp/3389\nremote-assistance"]),
        ("  TCP not-allowed 192.0.2.1 ", vec![sql]),
        ("ipv4-truncated", vec!["ethernet/0x0800"]),
        ("198.51.100.77", vec!["tcp/22"]),
        ("nobody", vec![]),
    ] {
        enter(words)?;
        assert_eq!(ports()?, expected, "{words}");
    }
    assert!(browser.text("#blocked-none")?.contains("matches"));
    enter("sql")?;
    // Through the next snapshots, and when the page is loaded again.
    stage.send(1)?;
    browser.wait_for("the next packet", || {
        Ok(cells(&browser, "#blocked")?.iter().any(|row| row[0] == "4"))
    })?;
    assert_eq!(ports()?, [sql]);
    assert!(
        browser
            .text("#blocked-caption")?
            .starts_with("1 of the 5 flows")
    );
    browser.open_enforcing()?;
    browser.wait_for("the flow", || Ok(ports()? == [sql]))?;
    enter("")?;
    assert_eq!(ports()?.len(), 5);
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    Ok(())
}

/// Every right of `check` has its row, and there are no more rows.
fn matrix_is_that_of_check(stage: &Stage, browser: &Browser) -> Result<()> {
    let policy = stage.policy().display().to_string();
    let report = stage.hosts.run(&format!("check {policy} -o json"))?.stdout;
    let report: Value = serde_json::from_str(&report)?;
    let entry = &report["protect"][0];
    let mut expected = Vec::new();
    for way in ["inbound", "outbound"] {
        for right in entry[way].as_array().context("no rights")? {
            let text = |key: &str| right[key].as_str().unwrap_or_default().to_owned();
            let links: Vec<_> = right["links"].as_array().into_iter().flatten().collect();
            let links: Vec<_> = links.iter().filter_map(|link| link.as_str()).collect();
            let ports = format!("{} {}", text("protocol"), text("ports"));
            let row = [text("peer"), text("holders"), text("service"), ports];
            expected.push([&row[..], &[links.join(", ")]].concat());
        }
    }
    let shown = cells(browser, "#rights details:first-child table")?;
    assert!(!expected.is_empty());
    assert_eq!(shown, expected);
    let rules = cells(browser, "#rights details:last-child table")?;
    let names: Vec<&str> = rules.iter().map(|row| row[0].as_str()).collect();
    let allow = report["allow"].as_array().context("no rules")?;
    let known: Vec<&str> = allow
        .iter()
        .filter_map(|rule| rule["name"].as_str())
        .collect();
    assert_eq!(names, known);
    Ok(())
}

#[test]
fn observing_is_not_called_enforcing() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("--observe")?;
    stage.send(5)?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open()?;
    let mut kernel = Figures::default();
    browser.wait_for("the numbers of the kernel", || {
        kernel = in_kernel(&stage)?;
        Ok(on_page(&browser)? == kernel)
    })?;
    assert!(kernel.contains_key(&("would-drop".to_owned(), "not-allowed".to_owned())));
    assert_eq!(browser.text("#headline")?, "Observing");
    assert!(browser.text("title")?.starts_with("Observing"));
    assert!(browser.text("#blocked")?.contains("(observed)"));

    // Somebody takes the program off: the page does not go on as if nothing were.
    stage.hosts.point.ip("link set eth0 down")?;
    let state = || browser.script("return document.getElementById('state').dataset.state", &[]);
    assert_eq!(state()?, "observing");
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    Ok(())
}
