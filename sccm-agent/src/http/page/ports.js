
// Which ports the endpoint mapper of RPC has handed to whom.

function showPorts({ handed_out: all }) {
  byId("ports-section").hidden = !all;
  if (!all) return;
  const opened = all.outcomes.filter((one) => one.why === null).reduce((sum, one) => sum + one.count, 0);
  const refused = all.outcomes.filter((one) => one.why !== null);
  const byAgent = (one) => (one.by === "agent" ? " (read by the agent)" : "");
  write(byId("ports-summary"), `${integer.format(all.open)} open now, ${integer.format(opened)} opened since counting began.` +
    (refused.length ? " What opened nothing, and why:" : ""));
  const list = byId("ports-refused"), terms = refused.map((one) => `${one.outcome}: ${integer.format(one.count)}${byAgent(one)}`);
  if (list.dataset.terms !== terms.join()) {
    list.dataset.terms = terms.join();
    list.replaceChildren(...refused.flatMap((one, at) => [element("dt", terms[at]), element("dd", one.why)]));
  }
  byId("ports-region").hidden = all.openings.length === 0;
  const ago = (seconds) => (seconds === null ? "never" : `${duration(seconds)} ago`);
  fill(byId("ports").tBodies[0], all.openings.map((one) => ({
    data: { port: one.port },
    cells: [
      { text: one.client },
      { text: one.server },
      { text: `${one.port}${one.shadow ? " (candidate only)" : ""}`, className: "number" },
      { text: one.interface_name || one.interface },
      { text: one.how + byAgent(one) },
      { text: ago(one.age_seconds), className: "nowrap" },
      { text: ago(one.used_seconds), className: "nowrap" },
      { text: duration(one.left_seconds), className: "nowrap" },
    ],
  })), 0);
}
