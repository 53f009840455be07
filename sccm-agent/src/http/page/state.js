
// Whether it is enforcing, where, by which policy, and whom it refused.

const HEADLINES = {
  enforcing: ["Enforcing", "Packets that the policy does not allow are dropped at the network card."],
  partly: ["Partly enforcing", "Not every interface has all of its programs: see the network cards."],
  observing: ["Observing", "Every packet is judged and counted, and none is dropped."],
  "warming-up": ["Warming up", "Nothing is dropped for a while after the first start, so that what is under way is learned."],
  "not-enforcing": ["Not enforcing", "Nothing is dropped."],
};
const STATES = {
  enforcing: "enforcing", generic: "enforcing, slower: in generic mode", observing: "observing",
  "warming-up": "warming up: nothing is dropped yet",
  detached: "let go", "foreign-program": "open: somebody else's program is there",
  "egress-lost": "drops, but no longer sees what leaves",
  "egress-behind": "drops, but others see first what leaves", missing: "open: not there yet, or the log says why", "stale-pin": "open: the card has lost its program",
};

function headline(state, title, summary) {
  byId("state").dataset.state = state;
  byId("emblem").setAttribute("href", `#icon-${state}`);
  write(byId("headline"), title);
  write(byId("summary"), summary);
  document.title = `${title}${byId("host").textContent ? ` – ${byId("host").textContent}` : ""} – sccm-agent`;
}

function showState(snapshot) {
  const { policy, shadow } = snapshot, now = snapshot.taken / 1000;
  write(byId("host"), snapshot.host);
  write(byId("version"), snapshot.version);
  headline(snapshot.overall, ...HEADLINES[snapshot.overall]);
  write(byId("roles"), policy.roles.join(", "));
  write(byId("hash"), policy.hash.slice(0, 12));
  byId("hash").title = policy.hash;
  write(byId("generation"), integer.format(policy.generation));
  write(byId("published"), `${duration(now - policy.published)} ago`);
  write(byId("trial"), trial(policy.confirm_by, now));
  write(byId("shadow"), shadow
    ? `${shadow.hash.slice(0, 12)}, since ${duration(now - shadow.since)}: would pass ` +
      `${count(shadow.would_pass)} and drop ${count(shadow.would_drop)} packets more`
    : "none");
  const remarks = [];
  if (policy.confirm_by !== null) remarks.push("The policy is on trial: run sccm-agent confirm to keep it.");
  if (snapshot.file_differs) remarks.push("The policy file holds something else than what is enforced: run sccm-agent reload, or change it.");
  const isGeneric = (one) => one.state === "generic";
  if (snapshot.interfaces.some(isGeneric)) remarks.push("Generic mode judges in the kernel's stack, about four times slower.");
  for (const one of snapshot.interfaces) {
    if (one.before.length > 0) remarks.push(`On ${one.interface}, outgoing packets are seen first by ${one.before.join(", ")}.`);
  }
  const list = byId("remarks");
  if ([...list.children].map((one) => one.textContent).join() !== remarks.join()) {
    list.replaceChildren(...remarks.map((text) => element("li", text)));
  }
  showInterfaces(snapshot);
}

function trial(end, now) {
  if (end === null) return "no";
  return end >= now ? `ends in ${duration(end - now)}` : `ended ${duration(now - end)} ago`;
}

function showInterfaces({ interfaces, counts }) {
  const packets = (name, outcome) => counts
    .filter((one) => one.interface === name && one.outcome === outcome)
    .reduce((sum, one) => sum + BigInt(one.packets), 0n);
  fill(byId("interfaces").tBodies[0], interfaces.map((one) => ({
    data: { interface: one.interface, state: one.state },
    cells: [
      { text: one.interface },
      { text: STATES[one.state], badge: one.state },
      { text: one.mode || "–" },
      ...["passed", "dropped", "would-drop"].map((outcome) =>
        ({ text: count(packets(one.interface, outcome)), className: "number" })),
    ],
  })), 0);
}

function showBlocked({ blocked, taken }) {
  const order = document.querySelector("input[name=order]:checked").value;
  const isMore = (a, b) => (BigInt(b[order]) > BigInt(a[order]) ? 1 : BigInt(b[order]) < BigInt(a[order]) ? -1 : 0);
  const flows = [...blocked.flows].sort(isMore).slice(0, 50);
  byId("blocked-none").hidden = flows.length > 0;
  byId("blocked-region").hidden = flows.length === 0;
  const known = `${integer.format(flows.length)} of ${integer.format(blocked.known)} flows that the kernel remembers`;
  const suppressed = blocked.suppressed_packets === "0" ? "" :
    `; ${count(blocked.suppressed_packets)} packets of further flows were blocked and not noted`;
  write(byId("blocked-caption"), known + suppressed);
  fill(byId("blocked").tBodies[0], flows.map((flow) => ({
    data: { packets: flow.packets, source: flow.source, reason: flow.reason },
    cells: [
      { text: count(flow.packets), className: "number" },
      { text: `${duration(taken / 1000 - flow.last_seen)} ago`, className: "nowrap" },
      { text: flow.source },
      { text: flow.destination },
      { text: what(flow), className: "lines" },
      { text: `${flow.why}\n${flow.reason}${flow.observed ? " (observed)" : ""}, ${flow.interface} ${flow.direction}`, className: "meaning lines" },
      { text: wouldAllow(flow), className: "lines allows" },
    ],
  })), 2);
}

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
