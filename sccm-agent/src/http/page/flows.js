
// Whom the policy refused, and whose traffic a candidate would change.

const SHOWN_FLOWS = 50;

function showBlocked({ blocked, taken }) {
  const order = document.querySelector("input[name=order]:checked").value;
  const all = blocked.flows, known = integer.format(blocked.known), filter = byId("filter").value.trim();
  const flows = all.filter((flow) => matches(flow, filter)).sort(more(order)).slice(0, SHOWN_FLOWS);
  write(byId("blocked-none"), all.length === 0 ? "Nothing has been blocked." :
    `None of the ${integer.format(all.length)} flows listed here matches; sccm-agent blocked lists all ${known}.`);
  write(byId("blocked-caption"), (filter === ""
    ? `${integer.format(flows.length)} of ${known} flows that the kernel remembers`
    : `${integer.format(flows.length)} of the ${integer.format(all.length)} flows listed here; ` +
      `sccm-agent blocked lists all ${known}`) + suppressed(blocked, "blocked"));
  showFlows("blocked", flows, taken, (flow) => [
    { text: `${flow.reason}${where(flow)}${techniques(flow)}`, className: "lines" },
    { text: wouldAllow(flow), className: "lines allows" },
  ]);
}

function showChanges({ shadow, taken }) {
  byId("changes-section").hidden = !shadow;
  if (!shadow) return;
  const { changes } = shadow;
  const flows = changes.flows.sort(more("packets")).slice(0, SHOWN_FLOWS);
  write(byId("changes-caption"), `${integer.format(flows.length)} of ${integer.format(changes.known)} flows that the ` +
    `candidate judges otherwise${suppressed(changes, "judged otherwise")}`);
  showFlows("changes", flows, taken, (flow) => [
    { text: (flow.change === "would-drop" ? `would drop: ${flow.reason}` : `would pass; now ${flow.reason}`) + where(flow),
      className: "lines" },
  ]);
}

// Attack techniques that have such a flow.
function techniques({ techniques: all }) {
  if (all.length === 0) return "";
  const rest = all.length > 3 ? ` and ${all.length - 3} more` : "";
  return `\nas in ${all.slice(0, 3).join(", ")}${rest}`;
}

const more = (order) => (a, b) => (BigInt(b[order]) > BigInt(a[order]) ? 1 : BigInt(b[order]) < BigInt(a[order]) ? -1 : 0);

const suppressed = ({ suppressed_packets: packets }, words) => (packets === "0" ? "" :
  `; ${count(packets)} packets of further flows were ${words} and not noted`);

// Every word of the filter is somewhere in the flow.
function matches(flow, filter) {
  const text = [...ends(flow), what(flow), flow.reason].join("\n").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

// A table of flows, and before it once what their reasons mean.
function showFlows(name, flows, taken, last) {
  const isEmpty = flows.length === 0;
  byId(`${name}-none`).hidden = !isEmpty;
  byId(`${name}-region`).hidden = isEmpty;
  const meanings = new Map(flows.map((flow) => [flow.reason, flow.why]));
  const list = byId(`${name}-reasons`), reasons = [...meanings.keys()].sort();
  if (list.dataset.reasons !== reasons.join()) {
    list.dataset.reasons = reasons.join();
    list.replaceChildren(...reasons.flatMap((reason) => [element("dt", reason), element("dd", meanings.get(reason))]));
  }
  const end = (text) => ({ text, className: "lines" });
  fill(byId(name).tBodies[0], flows.map((flow) => ({
    data: { packets: flow.packets, source: flow.source, reason: flow.reason },
    cells: [
      { text: count(flow.packets), className: "number" },
      { text: `${duration(taken / 1000 - flow.last_seen)} ago`, className: "nowrap" },
      ...ends(flow).map(end),
      { text: what(flow), className: "lines" },
      ...last(flow),
    ],
  })), 2);
}

// Source and destination, each with what the policy calls it.
const ends = (flow) => [[flow.source, flow.source_name], [flow.destination, flow.destination_name]]
  .map(([address, name]) => (name === null ? address : `${address}\n${name}`));

const where = (flow) => `${flow.observed ? " (observed)" : ""}\n${flow.interface} ${flow.direction}`;

function what(flow) {
  const number = flow.port ?? flow.icmp_type ?? flow.ethertype ?? flow.snap ?? flow.llc;
  const service = flow.service === "none" ? "" : `\n${flow.service}`;
  return `${flow.protocol}${number === null ? "" : `/${number}`}${service}`;
}

// What to write where a role is lacking, else the links, else the rule: as `blocked` says it.
function wouldAllow(flow) {
  const brief = (hint) => hint.brief;
  const roles = flow.hints.filter((hint) => !hint.table.endsWith("allow]]"));
  const links = flow.would_allow.map((one) => `link ${one.link}: ${one.from} → ${one.to}`);
  const [lines, more] = roles.length ? [roles.map(brief), flow.hints_more] :
    links.length ? [links, flow.would_allow_more] : [flow.hints.map(brief), 0];
  return [...lines, ...(more ? [`and ${more} more`] : [])].join("\n") || "–";
}
