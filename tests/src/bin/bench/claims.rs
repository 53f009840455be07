//! What the project claims of its peers, beside what was measured.

use serde_json::{Value, json};

use crate::live::{Filter, Live, NftablesHook};

/// A ratio between two filters, and its limit.
pub struct Claim {
    /// In words.
    pub name: &'static str,
    /// What was measured.
    pub measured: f64,
    /// `at least 6.0`, or `at most 0.25`.
    pub limit: String,
}

impl Claim {
    /// All of them; those of which a side was not measured are left out.
    pub fn all(live: &[Live]) -> Vec<Self> {
        let of = |filter: Filter| live.iter().find(|live| live.filter == filter);
        let empty = of(Filter::Empty);
        let agent = of(Filter::Agent(None));
        let counting = of(Filter::AgentCounting);
        let ingress = of(Filter::Nftables(NftablesHook::Ingress));
        let everything = of(Filter::Agent(Some(100_000)));
        let xdp_filter = of(Filter::Xdp { all: true });
        let against_empty = || -> Option<Self> {
            Some(Self {
                name: "drop rate, counting alone, against the empty program",
                measured: counting?.rate_over(empty?),
                limit: "at least 0.93".into(),
            })
        };
        let against_nftables = || -> Option<Self> {
            Some(Self {
                name: "drop rate, role only, against nftables netdev ingress",
                measured: agent?.rate_over(ingress?),
                limit: "at least 6".into(),
            })
        };
        let at_tc = || -> Option<Self> {
            Some(Self {
                name: "drop rate at TC, role only, against nftables netdev ingress",
                measured: of(Filter::AgentAtTc)?.rate_over(ingress?),
                limit: "at least 1.3".into(),
            })
        };
        let against_xdp_filter = || -> Option<Self> {
            let floor = empty?.nanoseconds();
            let added = |live: &Live| live.nanoseconds() - floor;
            Some(Self {
                name: "added cost, 100,000 prefixes, against xdp-filter, all features",
                measured: added(everything?) / added(xdp_filter?),
                limit: "at most 0.25".into(),
            })
        };
        let claims = [
            against_empty(),
            against_nftables(),
            at_tc(),
            against_xdp_filter(),
        ];
        claims.into_iter().flatten().collect()
    }

    /// For tools.
    pub fn json(&self) -> Value {
        json!({ "name": self.name, "measured": self.measured, "limit": self.limit })
    }
}
