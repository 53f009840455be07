//! What an agent tells Prometheus, read from inside its namespace.
//!
//! HTTP/1.0 by hand and the text format 0.0.4: enough for a server that is ours, and no client
//! library hides what it really answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Namespace;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks the HTTP server at an address inside the namespace; returns the status and the body.
pub fn get(inside: &Namespace, address: SocketAddr, path: &str) -> Result<(u16, String)> {
    request(inside, address, "GET", path)
}

/// Sends a POST without a body, otherwise as [`get`].
pub fn post(inside: &Namespace, address: SocketAddr, path: &str) -> Result<(u16, String)> {
    request(inside, address, "POST", path)
}

fn request(
    inside: &Namespace,
    address: SocketAddr,
    method: &str,
    path: &str,
) -> Result<(u16, String)> {
    let answer = inside.enter(|| -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.with_context(|| format!("asking http://{address}{path}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("no HTTP: {answer:?}"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no HTTP status: {head:?}"))?;
    Ok((status, body.to_owned()))
}

/// One line of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value: 0 or above, and finite, as all of the agent's are.
    pub value: f64,
}

/// All metrics at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// In the order of the answer.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads the text format.
    ///
    /// # Errors
    /// A line that is not a comment and not a sample, or a series that is there twice.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples: Vec<Sample> = lines
            .map(|line| sample(line).with_context(|| format!("no sample: {line:?}")))
            .collect::<Result<_>>()?;
        let mut known = BTreeSet::new();
        for Sample { name, labels, .. } in &samples {
            ensure!(known.insert((name, labels)), "twice: {name} {labels:?}");
        }
        Ok(Self { samples })
    }

    /// Packets that were dropped and have all of these labels.
    pub fn dropped(&self, labels: &[(&str, &str)]) -> u64 {
        self.sum("sccm_dropped_packets_total", labels) as u64
    }

    /// Packets that were passed and have all of these labels.
    pub fn passed(&self, labels: &[(&str, &str)]) -> u64 {
        self.sum("sccm_passed_packets_total", labels) as u64
    }

    /// The sum of the samples of this name that have all of these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
            })
            .map(|sample| sample.value)
            .sum()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (metric, value) = line.rsplit_once(' ')?;
    let (name, labels) = match metric.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (metric, ""),
    };
    let value: f64 = value.parse().ok()?;
    if !value.is_finite() || value.is_sign_negative() {
        return None;
    }
    Some(Sample {
        name: name.to_owned(),
        labels: pairs(labels)?,
        value,
    })
}

/// `a="b",c="d"`; no label of the agent needs the format's escapes.
fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (label, behind) = rest.split_once("=\"")?;
        let (value, behind) = behind.split_once('"')?;
        pairs.insert(label.to_owned(), value.to_owned());
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE a counter\n\
                        a{reason=\"reply\",service=\"x,y=z\"} 3\n\
                        a{reason=\"service\",service=\"\"} 4\n\
                        b 0.25\n";

    #[test]
    fn samples_are_selected_by_name_and_labels() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("a", &[]), 7.0);
        assert_eq!(metrics.sum("a", &[("service", "x,y=z")]), 3.0);
        assert_eq!(metrics.sum("a", &[("reason", "service")]), 4.0);
        assert_eq!(metrics.sum("a", &[("else", "")]), 0.0);
        assert_eq!(metrics.sum("b", &[]), 0.25);
        assert_eq!(metrics.sum("c", &[]), 0.0);
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        for text in [
            "a",
            "a{b=\"c\" 1",
            "a{b=c} 1",
            "a -1",
            "a 1,5",
            "a NaN",
            "a{b=\"c\"}",
            "a{b=\"c\"} 1\na{b=\"d\"} 1\na{b=\"c\"} 2",
        ] {
            assert!(Metrics::parse(text).is_err(), "{text}");
        }
    }
}
