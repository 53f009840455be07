//! Debian's Prometheus in a namespace, with the shipped rules, and its HTTP API.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sccm_tests::agent::{METRICS, Process};
use sccm_tests::netns::Namespace;
use sccm_tests::scrape;
use serde_json::Value;
use tempfile::TempDir;

use super::deploy;

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// How long it may take until something is true.
const LIMIT: Duration = Duration::from_secs(60);

/// A running Prometheus that scrapes the agent every second; dropping it kills it and removes
/// its files.
pub struct Prometheus<'n> {
    inside: &'n Namespace,
    process: Process,
    _directory: TempDir,
}

impl<'n> Prometheus<'n> {
    /// Starts it and waits until it answers.
    pub fn start(inside: &'n Namespace) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let rules = deploy().join("prometheus");
        let file = directory.path().join("prometheus.yml");
        fs::write(
            &file,
            format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [\"{0}/rules.yml\", \"{0}/alerts.yml\"]\n\
                 scrape_configs:\n- job_name: sccm-agent\n  static_configs:\n  \
                 - targets: [\"{METRICS}\"]\n",
                rules.display()
            ),
        )?;
        let mut command = inside.command("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={ADDRESS}"));
        let process = Process::spawn(command).context("`cargo xtask test` installs it")?;
        let mut this = Self {
            inside,
            process,
            _directory: directory,
        };
        let end = Instant::now() + LIMIT;
        while !matches!(scrape::get(inside, ADDRESS, "/-/ready"), Ok((200, _))) {
            let ended = this.process.has_ended()?;
            if ended.is_some() || Instant::now() > end {
                bail!(
                    "Prometheus is not ready ({ended:?}): {}",
                    this.process.stderr()?
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// The `data` of an answer of the API (prometheus.io/docs/prometheus/latest/querying/api).
    pub fn ask(&self, path: &str) -> Result<Value> {
        let (status, body) = scrape::get(self.inside, ADDRESS, &format!("/api/v1/{path}"))?;
        ensure!(status == 200, "{path}: {status}: {body}");
        let mut answer: Value = serde_json::from_str(&body)?;
        ensure!(answer["status"] == "success", "{path}: {body}");
        Ok(answer["data"].take())
    }

    /// The values that a query finds now; one that is no number is an error.
    pub fn query(&self, query: &str) -> Result<Vec<f64>> {
        let data = self.ask(&format!("query?query={}", escape(query)))?;
        let found = data["result"].as_array().context("no list of results")?;
        let value = |one: &Value| -> Result<f64> {
            let text = one["value"][1].as_str().context("no value")?;
            let value: f64 = text.parse()?;
            ensure!(value.is_finite(), "{query}: {one}");
            Ok(value)
        };
        found.iter().map(value).collect()
    }

    /// Waits until a query finds something.
    pub fn await_some(&self, query: &str) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while self.query(query)?.is_empty() {
            if Instant::now() > end {
                bail!("{query} finds nothing: {}", self.process.stderr()?);
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Asserts that every shipped rule is evaluated without an error, that what is recorded is
    /// there, that all that the alerts look at is there, and that one sees what has happened.
    pub fn assert_rules_hold(&self) -> Result<()> {
        self.await_some("ALERTS{alertname=\"SccmInterfaceGap\", alertstate=\"firing\"}")?;
        let data = self.ask("rules")?;
        let groups = data["groups"].as_array().context("no groups")?;
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let mut seen = 0;
        for rule in rules {
            ensure!(rule["health"] == "ok", "{rule}");
            if rule["type"] == "recording" {
                self.await_some(rule["name"].as_str().context("no name")?)?;
            }
            let query = rule["query"].as_str().context("no query")?;
            let in_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
            let words = query.split(|letter| !in_name(letter));
            for metric in words.filter(|word| word.starts_with("sccm_")) {
                self.await_some(metric)?;
            }
            seen += 1;
        }
        ensure!(seen > 8, "{data}");
        Ok(())
    }
}

/// Percent-encoding (RFC 3986, section 2.1) of all that is not a letter or a digit.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
