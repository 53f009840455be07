//! Every query of the dashboard, its variables filled in.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::server::{Prometheus, escape};

/// What Grafana puts in place of a variable where all is chosen, and of its own ones.
const FILLED: [(&str, &str); 5] = [
    ("$__rate_interval", "1m"),
    ("$__range", "5m"),
    ("$job", ".+"),
    ("$instance", ".+"),
    ("$interface", ".+"),
];

/// Asserts that each query, and each list to choose from, finds something.
pub fn assert_finds_data(prometheus: &Prometheus) -> Result<()> {
    let dashboard: Value = serde_json::from_str(&super::read("grafana/sccm-agent.json")?)?;
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    ensure!(queries.len() > 25, "{queries:?}");
    let mut failures = Vec::new();
    for query in queries {
        let filled = fill(query)?;
        match prometheus.query(&filled) {
            Ok(found) if found.is_empty() => failures.push(format!("{filled}: nothing")),
            Ok(_) => {}
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    let variables = dashboard["templating"]["list"]
        .as_array()
        .context("no variables")?;
    for variable in variables.iter().filter(|one| one["type"] == "query") {
        let query = variable["query"]["query"].as_str().context("no query")?;
        let (series, label) = fill(query)?
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
            .map(|(series, label)| (escape(series), label.to_owned()))
            .with_context(|| format!("{query} is no label_values()"))?;
        let values = prometheus.ask(&format!("label/{label}/values?match%5B%5D={series}"))?;
        if values.as_array().is_none_or(Vec::is_empty) {
            failures.push(format!("{query}: {values}"));
        }
    }
    ensure!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

fn fill(query: &str) -> Result<String> {
    let filled = FILLED
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        });
    ensure!(!filled.contains('$'), "a variable is unknown: {filled}");
    Ok(filled)
}

/// Every `expr`, wherever it stands.
fn collect<'d>(value: &'d Value, queries: &mut Vec<&'d str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("expr", Value::String(query)) => queries.push(query),
                    _ => collect(value, queries),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}
