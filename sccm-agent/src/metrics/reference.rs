//! The table of all metrics.
//!
//! Whatever Prometheus gets is a line here: nothing else can be registered,
//! and `docs/metrics.md` is written from it (a test sees that it is not stale). To
//! add one: append a line to the list below, [`add`](super::series::Series::add) its
//! values where they are known, and run the tests of this crate with `UPDATE_DOCS=1`.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: base units, and
//! `_total` on counters only. No label takes what a stranger can choose.

/// What a value does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the maps or the agent begin anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A label.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it takes, and so how many values there can be.
    pub values: &'static str,
}

/// One metric with all its series.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, unit and `_total` included.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [&'static Label],
    /// One sentence for people.
    pub help: &'static str,
}

macro_rules! labels {
    ($($label:ident = $name:literal, $values:literal;)+) => {
        $(pub(super) static $label: Label = Label { name: $name, values: $values };)+

        /// Every label.
        pub const LABELS: &[&Label] = &[$(&$label,)+];
    };
}

labels! {
    INTERFACE = "interface", "an interface that is enforced, or was by these maps; at most 16";
    DIRECTION = "direction", "`inbound` or `outbound`, seen from the protected systems";
    REASON = "reason", "why a packet passed or not: one of [reasons.md](reasons.md); of a rule, what the policy file says";
    PROTOCOL = "protocol", "`tcp`, `udp` ... of the service; empty where the reason has none";
    SERVICE = "service", "a service that policies since the maps began named, or `none`; at most 256";
    PEER = "peer", "the roles of the other end's address by the policy's `[peers]`, as `a+b`, or `other`, where such a right was missing; else empty; at most 22";
    MODE = "mode", "`native`, `generic`, or `none` where no program is attached";
    HASH = "hash", "SHA-256 of the policy; one at a time";
    ROLES = "roles", "the policy's roles, as `a,b`; one at a time";
    EDITION = "edition", "the product edition whose port table the policy was compiled from";
    OUTCOME = "outcome", "`ept_map`, `activation` or `resolve_oxid` for a port that was opened, else why an answer opened nothing: one of [rpc.md](rpc.md#what-opens-nothing-and-why); 29";
    BY = "by", "`kernel`, or `agent` for answers that the kernel program left to it; 2";
    RELEASE = "version", "the agent's version; one at a time";
    ABI = "abi", "the layout version of its pinned maps; one at a time";
    PART = "part", "a part of the agent that goes on after an error: `blocked-log`, `metrics`, `page`, `rpc`, `trial` or `watcher`";
    RULE = "rule", "a rule of the running policy, by its name";
    SOURCE = "source", "an IP or hardware address; only with `--metrics-top-flows`";
    DESTINATION = "destination", "an IP or hardware address; only with `--metrics-top-flows`";
    PORT = "port", "a port, the type of an ICMP message, or an ethertype; only with `--metrics-top-flows`";
}

/// What packets are counted by.
pub(super) const COUNTED: &[&Label] = &[&INTERFACE, &DIRECTION, &REASON, &PROTOCOL, &SERVICE];

/// What is refused is counted by its peer too.
pub(super) const REFUSED: &[&Label] =
    &[&INTERFACE, &DIRECTION, &REASON, &PROTOCOL, &SERVICE, &PEER];

macro_rules! families {
    ($($family:ident = $kind:ident $name:literal, $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $family: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: $labels,
                help: $help,
            };
        )+

        /// Every metric.
        pub const FAMILIES: &[&Family] = &[$(&$family,)+];
    };
}

families! {
    PASSED_PACKETS = Counter "sccm_passed_packets_total", COUNTED,
        "Packets that went on to the kernel.";
    PASSED_BYTES = Counter "sccm_passed_bytes_total", COUNTED,
        "Bytes of packets that went on to the kernel.";
    DROPPED_PACKETS = Counter "sccm_dropped_packets_total", REFUSED,
        "Packets that were dropped.";
    DROPPED_BYTES = Counter "sccm_dropped_bytes_total", REFUSED,
        "Bytes of packets that were dropped.";
    WOULD_DROP_PACKETS = Counter "sccm_would_drop_packets_total", REFUSED,
        "Packets that observe mode let pass.";
    WOULD_DROP_BYTES = Counter "sccm_would_drop_bytes_total", REFUSED,
        "Bytes of packets that observe mode let pass.";

    SHADOW_PASSED_PACKETS = Counter "sccm_shadow_passed_packets_total", COUNTED,
        "Packets that the shadow passes and the active policy drops.";
    SHADOW_PASSED_BYTES = Counter "sccm_shadow_passed_bytes_total", COUNTED,
        "Bytes of packets that the shadow passes and the active policy drops.";
    SHADOW_DROPPED_PACKETS = Counter "sccm_shadow_dropped_packets_total", COUNTED,
        "Packets that the shadow drops and the active policy passes.";
    SHADOW_DROPPED_BYTES = Counter "sccm_shadow_dropped_bytes_total", COUNTED,
        "Bytes of packets that the shadow drops and the active policy passes.";

    BLOCKED_FLOWS = Gauge "sccm_blocked_flows", &[],
        "Flows in the table of blocked flows.";
    BLOCKED_FLOW_PACKETS = Counter "sccm_blocked_flow_packets_total",
        &[&SOURCE, &DESTINATION, &PROTOCOL, &PORT, &REASON, &INTERFACE],
        "Packets of the most blocked flows, as many as `--metrics-top-flows` says.";
    EVENTS_SUPPRESSED = Counter "sccm_events_suppressed_total", &[&REASON],
        "Blocked packets of flows that were not noted, because too many were new at once.";
    EVENTS_LOST = Counter "sccm_events_lost_total", &[],
        "New blocked flows that the agent was too slow, or not there, to log.";

    ENFORCING = Gauge "sccm_enforcing", &[&INTERFACE, &MODE],
        "1 where packets are dropped, read back from the kernel.";
    WARM_UP = Gauge "sccm_warm_up_seconds", &[],
        "What is left of the warm-up after a first start, in which nothing is dropped; 0 without one. Not above 0 in observe mode.";
    EGRESS_BEFORE = Gauge "sccm_egress_programs_before", &[&INTERFACE],
        "TC programs and filters of others that run before the agent's at TC, and may hide packets from them.";
    INTERFACE_GAP = Counter "sccm_interface_gap_seconds_total", &[&INTERFACE],
        "Time that an interface was at most without its programs, since the agent began.";

    POLICY_INFO = Gauge "sccm_policy_info", &[&HASH, &ROLES, &EDITION],
        "Always 1; the labels say which policy is active.";
    POLICY_GENERATION = Gauge "sccm_policy_generation", &[],
        "Counts up with every published policy.";
    POLICY_UNCONFIRMED = Gauge "sccm_policy_unconfirmed", &[],
        "1 while the active policy waits to be confirmed.";
    POLICY_FILE_DIFFERS = Gauge "sccm_policy_file_differs", &[],
        "1 if the policy's file holds something else than what is enforced, or cannot be read; looked at every quarter of a minute.";
    POLICY_RULE_INFO = Gauge "sccm_policy_rule_info", &[&RULE, &REASON],
        "Always 1; why the policy has each rule, in the operator's words.";
    RIGHTS = Gauge "sccm_rights", &[&DIRECTION],
        "Rights of the active policy whose use is counted: services of a kind of peers at a kind of protected systems.";
    RIGHTS_UNUSED = Gauge "sccm_rights_unused", &[&DIRECTION],
        "How many of them nothing has used since they are counted; `sccm-agent unused` lists them.";
    SERVICE_LAST_USED = Gauge "sccm_service_last_used_timestamp_seconds", &[&DIRECTION, &PROTOCOL, &SERVICE],
        "When a right to this service was last used; 0: never, since it is counted.";
    LAST_RELOAD_SUCCESSFUL = Gauge "sccm_policy_last_reload_successful", &[],
        "1 if the last reload, or the start, made its policy the active one.";
    LAST_RELOAD_SUCCESS = Gauge "sccm_policy_last_reload_success_timestamp_seconds", &[],
        "When a reload, or the start, last did so.";

    SHADOW_INFO = Gauge "sccm_shadow_info", &[&HASH, &ROLES],
        "Always 1, while a candidate judges beside the active policy.";
    SHADOW_START = Gauge "sccm_shadow_start_timestamp_seconds", &[],
        "Since when it does.";

    FLOW_ENTRIES = Gauge "sccm_flow_entries", &[],
        "Flows in the kernel's table that have not expired; of a table for more than 131,072, estimated from a part.";
    FLOW_EVICTIONS = Counter "sccm_flow_evictions_total", &[],
        "Flows that had not expired and made way for new ones in the kernel's table.";
    FLOWS_MISSED = Counter "sccm_flows_missed_total", &[],
        "Flows that are not remembered, because other processors were writing at their place.";
    FLOW_CAPACITY = Gauge "sccm_flow_capacity", &[],
        "Flows that the kernel's table has room for.";

    RPC_OPENINGS = Gauge "sccm_rpc_openings", &[],
        "Ports that are open because the endpoint mapper of RPC handed them out.";
    RPC_ANSWERS = Counter "sccm_rpc_answers_total", &[&OUTCOME, &BY],
        "What became of the endpoint mapper's answers, and of the ports in them.";
    RPC_SEGMENTS_LOST = Counter "sccm_rpc_segments_lost_total", &[],
        "Segments to and from endpoint mappers that the agent was too slow, or not there, to read.";

    BUILD_INFO = Gauge "sccm_agent_build_info", &[&RELEASE, &ABI],
        "Always 1; the labels say what is running.";
    AGENT_ERRORS = Counter "sccm_agent_errors_total", &[&PART],
        "Errors after which a part of the agent went on and tried again, since the agent began.";
    CERTIFICATE_EXPIRY = Gauge "sccm_agent_certificate_expiry_timestamp_seconds", &[],
        "When the HTTP server's certificate expires, in seconds since 1970; 0 without TLS.";
    PROCESS_CPU = Counter "process_cpu_seconds_total", &[],
        "Processor time of the agent, in user and kernel mode.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes", &[],
        "Memory of the agent, without the kernel's maps.";
    PROCESS_FDS = Gauge "process_open_fds", &[],
        "File descriptors that the agent has open.";
    PROCESS_START = Gauge "process_start_time_seconds", &[],
        "When the agent started, in seconds since 1970.";
}

#[cfg(test)]
mod tests;
