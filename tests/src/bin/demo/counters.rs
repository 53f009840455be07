//! What the agent counted, out of the Prometheus text of its `/metrics`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// One line of the table: what became of which packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Dropped; otherwise passed.
    pub dropped: bool,
    /// From the host; otherwise towards it.
    pub outbound: bool,
    /// The agent's name of the reason.
    pub reason: String,
    /// Such as `tcp`; empty where the reason says it all.
    pub protocol: String,
    /// Such as `http`; empty as above.
    pub service: String,
}

/// How much of it there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
}

/// Everything that was counted, without what stayed at zero.
#[derive(Debug, Default)]
pub struct Counters {
    /// The counts of all interfaces.
    pub counts: BTreeMap<Kind, Count>,
    /// How the agent's program hangs on the interface, if it drops: `native` or `generic`.
    pub enforcing: Option<String>,
}

impl Counters {
    /// Reads the text format 0.0.4.
    pub fn parse(text: &str) -> Result<Self> {
        let mut counters = Self::default();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (metric, value) = line
                .rsplit_once(' ')
                .with_context(|| format!("no metric: {line:?}"))?;
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            let labels = parse_labels(labels);
            let label = |name: &str| labels.get(name).copied().unwrap_or_default().to_owned();
            let (dropped, bytes) = match name {
                "sccm_passed_packets_total" => (false, false),
                "sccm_passed_bytes_total" => (false, true),
                "sccm_dropped_packets_total" => (true, false),
                "sccm_dropped_bytes_total" => (true, true),
                "sccm_enforcing" if value == "1" => {
                    counters.enforcing = Some(label("mode"));
                    continue;
                }
                _ => continue,
            };
            let kind = Kind {
                dropped,
                outbound: label("direction") == "outbound",
                reason: label("reason"),
                protocol: label("protocol"),
                service: label("service"),
            };
            let number: u64 = value
                .parse()
                .with_context(|| format!("no number: {line:?}"))?;
            let count = counters.counts.entry(kind).or_default();
            if bytes {
                count.bytes += number;
            } else {
                count.packets += number;
            }
        }
        counters.counts.retain(|_, count| count.packets > 0);
        ensure!(!counters.counts.is_empty(), "/metrics has no counters");
        Ok(counters)
    }

    /// All packets of some kinds.
    pub fn packets(&self, which: impl Fn(&Kind) -> bool) -> u64 {
        let counts = self.counts.iter().filter(|(kind, _)| which(kind));
        counts.map(|(_, count)| count.packets).sum()
    }
}

/// `a="b",c="d"}` as pairs. The agent's values have neither quotes nor commas in them.
fn parse_labels(labels: &str) -> BTreeMap<&str, &str> {
    labels
        .trim_end_matches('}')
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE sccm_dropped_packets_total counter\n\
        sccm_dropped_packets_total{direction=\"inbound\",interface=\"eth0\",protocol=\"udp\",\
        reason=\"not-allowed\",service=\"tftp\"} 3\n\
        sccm_dropped_bytes_total{direction=\"inbound\",interface=\"eth0\",protocol=\"udp\",\
        reason=\"not-allowed\",service=\"tftp\"} 180\n\
        sccm_passed_packets_total{direction=\"inbound\",interface=\"eth0\",protocol=\"\",\
        reason=\"arp\",service=\"\"} 0\n\
        sccm_enforcing{interface=\"eth0\",mode=\"native\"} 1\n\
        sccm_policy_generation 1\n";

    #[test]
    fn counts_are_read_and_zeros_left_out() {
        let counters = Counters::parse(TEXT).unwrap();
        let (kind, count) = counters.counts.first_key_value().unwrap();
        assert_eq!(counters.counts.len(), 1);
        assert!(kind.dropped && !kind.outbound);
        assert_eq!(
            (kind.protocol.as_str(), kind.service.as_str()),
            ("udp", "tftp")
        );
        assert_eq!((count.packets, count.bytes), (3, 180));
        assert_eq!(counters.enforcing.as_deref(), Some("native"));
        assert_eq!(counters.packets(|kind| kind.dropped), 3);
    }

    #[test]
    fn text_without_counters_is_an_error() {
        assert!(Counters::parse("sccm_policy_generation 1\n").is_err());
        assert!(Counters::parse(&TEXT.replace(" 180", " many")).is_err());
    }
}
