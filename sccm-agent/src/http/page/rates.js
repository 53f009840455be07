
// What has passed and was refused: totals, and rates from one snapshot to the next.

const REFUSED = ["dropped", "would-drop"];
const history = [];
let before = null;
// Which reason has which pattern: the first come keep theirs.
const patterns = new Map();

// Sums of a snapshot's counters, by outcome and reason: Map of { packets, bytes, ... }.
function sums(counts) {
  const all = new Map();
  counts.forEach((one) => {
    const key = `${one.outcome} ${one.reason}`;
    const sum = all.get(key) || { ...one, packets: 0n, bytes: 0n };
    sum.packets += BigInt(one.packets);
    sum.bytes += BigInt(one.bytes || 0);
    all.set(key, sum);
  });
  return all;
}

function patternOf(sum) {
  if (sum.outcome === "passed") return "passed";
  if (!patterns.has(sum.reason)) patterns.set(sum.reason, Math.min(patterns.size, OWN));
  return patterns.get(sum.reason);
}

// Takes note of a snapshot: rates since the one before, if that was a moment ago.
function takeRates(snapshot) {
  const now = { at: snapshot.taken, sums: sums(snapshot.counts) };
  const elapsed = before ? now.at - before.at : 0;
  if (elapsed > 0 && elapsed <= GAP) {
    const rates = new Map();
    now.sums.forEach((sum, key) => {
      const old = before.sums.get(key);
      const more = Number(sum.packets - (old ? old.packets : 0n));
      // Counters begin anew when enforcement does.
      rates.set(key, Math.max(0, more) * 1000 / elapsed);
    });
    history.push({ at: now.at, rates, elapsed });
  }
  while (history.length && history[0].at < now.at - WINDOW) history.shift();
  before = now;
  return now.sums;
}

// Begins with the counters that the agent has kept.
function takePast(moments) {
  history.length = 0;
  before = null;
  moments.forEach(takeRates);
}

function showTraffic(snapshot, totals) {
  const latest = history.length && history[history.length - 1].at === snapshot.taken
    ? history[history.length - 1].rates : null;
  const rows = [...totals.entries()]
    .sort(([, a], [, b]) => REFUSED.includes(b.outcome) - REFUSED.includes(a.outcome) ||
      (b.packets > a.packets ? 1 : b.packets < a.packets ? -1 : 0))
    .map(([key, sum]) => ({
      data: { outcome: sum.outcome, reason: sum.reason, packets: sum.packets, bytes: sum.bytes },
      cells: [
        { text: OUTCOMES[sum.outcome], badge: sum.outcome },
        { text: sum.reason, key: patternOf(sum), className: "nowrap" },
        { text: sum.why, className: "meaning" },
        { text: rate(latest ? latest.get(key) || 0 : null), className: "number" },
        { text: integer.format(recent(key)), className: "number" },
        { text: count(sum.packets), className: "number" },
        { text: bytes(sum.bytes), className: "number" },
      ],
    }));
  fill(byId("reasons").tBodies[0], rows, 1);
  const isObserving = ["observing", "warming-up"].includes(snapshot.overall);
  write(byId("drop-caption"), isObserving ? "Would be dropped, by reason" : "Dropped, by reason");
  [["rate-passed", ["passed"]], ["rate-dropped", REFUSED]].forEach(([id, outcomes]) => {
    write(byId(id), rate(latest ? sumOf(latest, outcomes) : null));
  });
  showCharts(snapshot.taken);
}

const OUTCOMES = { passed: "passed", dropped: "dropped", "would-drop": "would drop" };

const recent = (key) =>
  Math.round(history.reduce((sum, one) => sum + (one.rates.get(key) || 0) * one.elapsed / 1000, 0));

function sumOf(rates, outcomes) {
  let sum = 0;
  rates.forEach((value, key) => { if (outcomes.includes(key.split(" ")[0])) sum += value; });
  return sum;
}

function showCharts(now) {
  const passed = history.map(({ at, rates }) => ({ at, values: [sumOf(rates, ["passed"])] }));
  plot(byId("chart-passed"), passed, ["passed"], now);
  const refused = history.map(({ at, rates }) => {
    const values = Array(OWN + 1).fill(0);
    rates.forEach((value, key) => {
      const [outcome, reason] = key.split(" ");
      if (REFUSED.includes(outcome)) values[patterns.get(reason)] += value;
    });
    return { at, values };
  });
  plot(byId("chart-dropped"), refused, [0, 1, 2, 3, 4, 5], now);
}
