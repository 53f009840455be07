
// Whether it is enforcing, where, and by which policy.

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
