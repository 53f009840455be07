
// What the policy lets in, as `sccm-agent check` prints it.

const SHOWN = 8;

function showRights(rights) {
  write(byId("edition"), `Configuration Manager ${rights.edition}`);
  showCoverage(rights.coverage);
  const place = byId("rights");
  // What somebody has opened stays open.
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.name));
  const isFirst = place.dataset.hash === undefined;
  place.dataset.hash = rights.hash;
  place.replaceChildren();
  if (rights.matrix === null) {
    place.append(element("p", "Another agent published this policy, and the kernel has its tables, " +
      "not its words. `sccm-agent reload` publishes one that this agent knows.", "quiet"));
    return;
  }
  const { protect, allow, outbound_allow: out, management, outbound } = rights.matrix;
  const sections = protect.map((entry) => system(entry, outbound));
  const all = "every protected system";
  if (allow.length) sections.push(rules("Rules of this site", allow, peers("from"), systems("to", all)));
  if (out.length) sections.push(rules("What rules of this site let out", out, systems("from", all), peers("to")));
  if (management.length) {
    sections.push(rules("At the gateway itself", management, peers("from"), systems("to", "itself")));
  }
  sections.forEach((section, at) => {
    section.open = isFirst ? at === 0 : open.has(section.dataset.name);
  });
  place.append(...sections);
}

// The matrix of `sccm-agent coverage`.
function showCoverage(coverage) {
  byId("coverage-section").hidden = !coverage;
  if (!coverage) return;
  const count = (verdict) => coverage.filter((one) => one.verdict === verdict).length;
  const summary = `Of ${coverage.length} known techniques, ${count("full")} stopped fully, ` +
    `${count("partly")} partly, ${count("none")} not. sccm-agent coverage says what would stop more.`;
  const rows = coverage.map((one) => [
    { text: one.id, className: "nowrap" },
    { text: one.title },
    { text: one.verdict, className: "nowrap" },
    { text: one.decides.join("\n"), className: "lines" },
  ]);
  const heads = ["Technique", "What it is about", "Stopped", "What decides"];
  byId("coverage").replaceChildren(element("p", summary, "quiet"), table("Attack techniques", heads, rows));
}

function section(name, more) {
  const details = element("details");
  details.dataset.name = name;
  const summary = element("summary");
  summary.append(element("h3", name), element("span", more, "quiet"));
  details.append(summary);
  return details;
}

function system(entry, outbound) {
  const details = section(entry.name, entry.roles.join(", "));
  const where = addresses(entry.addresses, "every address that no other entry names");
  details.append(element("p", `Addresses: ${where}`, "quiet"));
  details.append(element("h4", "What others may open there"));
  details.append(rightsTable(`Services at ${entry.name}`, "From", entry.inbound));
  details.append(element("h4", "What it may open"));
  details.append(outbound === "enforce"
    ? rightsTable(`Services that ${entry.name} may open`, "To", entry.outbound)
    : element("p", `Anything (outbound = "${outbound}").`, "quiet"));
  return details;
}

function rightsTable(caption, peer, rights) {
  if (rights.length === 0) return element("p", "Nothing.", "quiet");
  const rows = rights.map((right) => [
    { text: right.peer, className: "nowrap" },
    { text: right.holders, className: "nowrap" },
    { text: right.service, className: "nowrap" },
    { text: `${right.protocol} ${right.ports}${right.if_handed_out ? ", if handed out" : ""}` },
    { text: right.links.join(", ") },
  ]);
  return table(caption, [peer, "Who", "Service", "Ports", "Links"], rows);
}

// The ends of a rule, as text: the peers, who are under this key, and the systems.
const peers = (key) => (rule) => {
  if (!rule.internet) return addresses(rule[key], "anybody");
  return [...rule[key].length ? [addresses(rule[key], "")] : [], "internet"].join(", ");
};
const systems = (key, all) => (rule) => addresses(rule[key], all);

function rules(title, list, from, to) {
  const details = section(title, `${list.length}`);
  const rows = list.map((rule) => [
    { text: rule.name, className: "nowrap" },
    { text: rule.targets.join(", ") + (rule.if_handed_out ? "; of RPC, if handed out" : "") },
    { text: from(rule) },
    { text: to(rule) },
    { text: rule.reason },
  ]);
  details.append(table(title, ["Rule", "What", "From", "To", "Why"], rows));
  return details;
}

function table(caption, heads, rows) {
  const made = element("table"), head = element("tr");
  made.append(element("caption", caption));
  heads.forEach((text) => {
    const cell = head.appendChild(element("th", text));
    cell.scope = "col";
  });
  made.createTHead().append(head);
  fill(made.createTBody(), rows.map((cells) => ({ data: {}, cells })), 0);
  const region = element("div", undefined, "scroll");
  region.tabIndex = 0;
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", caption);
  region.append(made);
  return region;
}

function addresses(list, none) {
  if (list.length === 0) return none;
  const more = list.length - SHOWN;
  // A prefix of one address is that address.
  const shown = list.slice(0, SHOWN).map((one) => one.replace(/^([^:]*)\/32$|\/128$/, "$1"));
  return shown.join(", ") + (more > 0 ? ` and ${integer.format(more)} more` : "");
}
