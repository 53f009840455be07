//! OpenMetrics 1.0.0, from the same families as the text format.
//!
//! It differs from text 0.0.4 in four ways: a counter's family has no `_total`,
//! only its samples have; a family whose name ends in a base unit says so; quotes
//! are escaped in help, too; and the text has an end, so that half a text is known
//! as such. (OpenMetrics, "Text format" and "Metric Types".)

use super::Format;
use super::reference::Family;
use anyhow::{Result, bail};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use std::fmt::Write as _;

const TOTAL: &str = "_total";

/// The base units that are in use here; a name that ends otherwise has no unit.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Writes all families, and the end.
///
/// # Errors
/// A counter without `_total`, or a family that is neither counter nor gauge:
/// there are none here.
pub(super) fn encode(text: &mut String, families: &[MetricFamily]) -> Result<()> {
    for family in families {
        let (name, kind, suffix) = match (family.get_field_type(), family.name()) {
            (MetricType::GAUGE, name) => (name, "gauge", ""),
            (MetricType::COUNTER, name) => match name.strip_suffix(TOTAL) {
                Some(name) => (name, "counter", TOTAL),
                None => bail!("the counter {name} does not end in {TOTAL}"),
            },
            (_, name) => bail!("{name} is neither a counter nor a gauge"),
        };
        open_head(text, name, kind, family.help())?;
        for metric in family.get_metric() {
            let value = match suffix {
                TOTAL => metric.get_counter().get_value(),
                _ => metric.get_gauge().get_value(),
            };
            let labels = labels(metric.get_label());
            writeln!(text, "{name}{suffix}{labels} {}", number(value))?;
        }
    }
    text.push_str("# EOF\n");
    Ok(())
}

/// Writes what stands before the samples of a counter of the table, in either format.
pub(super) fn head(text: &mut String, format: Format, family: &Family) -> Result<()> {
    let Family { name, help, .. } = family;
    match format {
        Format::OpenMetrics => {
            let name = name.strip_suffix(TOTAL).unwrap_or(name);
            open_head(text, name, "counter", help)
        }
        Format::Text => Ok(writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} counter"
        )?),
    }
}

fn open_head(text: &mut String, name: &str, kind: &str, help: &str) -> Result<()> {
    writeln!(text, "# TYPE {name} {kind}")?;
    let is_in = |unit: &&&str| name.rsplit_once('_').is_some_and(|(_, end)| end == **unit);
    if let Some(unit) = UNITS.iter().find(is_in) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    Ok(writeln!(text, "# HELP {name} {}", escape(help))?)
}

fn labels(pairs: &[LabelPair]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = pairs
        .iter()
        .map(|pair| format!("{}=\"{}\"", pair.name(), escape(pair.value())))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// A value of a label, or help, with the escapes of both formats.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{CounterVec, Gauge, IntCounter, IntGaugeVec, Opts, Registry};

    #[test]
    fn families_are_written_as_the_specification_says() {
        let registry = Registry::new();
        let bytes = CounterVec::new(
            Opts::new("x_bytes_total", "A \"quoted\" \\ help\nof two lines."),
            &["a", "b"],
        )
        .unwrap();
        bytes.with_label_values(&["\\ \" \n", "z"]).inc_by(1.5);
        let packets = IntCounter::new("x_packets_total", "Packets.").unwrap();
        packets.inc_by(123_456_789_012);
        let info = IntGaugeVec::new(Opts::new("x_info", "Always 1."), &["hash"]).unwrap();
        info.with_label_values(&["é"]).set(1);
        let seconds = Gauge::new("x_age_seconds", "Age.").unwrap();
        seconds.set(f64::INFINITY);
        registry.register(Box::new(bytes)).unwrap();
        registry.register(Box::new(packets)).unwrap();
        registry.register(Box::new(info)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        let expected = r#"# TYPE x_age_seconds gauge
# UNIT x_age_seconds seconds
# HELP x_age_seconds Age.
x_age_seconds +Inf
# TYPE x_bytes counter
# UNIT x_bytes bytes
# HELP x_bytes A \"quoted\" \\ help\nof two lines.
x_bytes_total{a="\\ \" \n",b="z"} 1.5
# TYPE x_info gauge
# HELP x_info Always 1.
x_info{hash="é"} 1
# TYPE x_packets counter
# HELP x_packets Packets.
x_packets_total 123456789012
# EOF
"#;
        let mut text = String::new();
        encode(&mut text, &registry.gather()).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_counter_must_be_called_total() {
        let registry = Registry::new();
        let counter = IntCounter::new("x_packets", "Packets.").unwrap();
        registry.register(Box::new(counter)).unwrap();
        let error = encode(&mut String::new(), &registry.gather()).unwrap_err();
        assert!(error.to_string().contains("x_packets"), "{error}");
    }
}
