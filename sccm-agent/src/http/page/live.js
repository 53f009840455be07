
// The connection to the agent: events while there is one, words while there is none.

// Without a snapshot for so long, the state is unknown; for longer, the connection is made anew.
const SILENCE = 3500;
const DEAF = 12000;

let stream = null, heard = performance.now(), last = null, begun = null;
let isPaused = false, isLost = false;

function connect() {
  if (stream) stream.close();
  stream = new EventSource("/events");
  stream.addEventListener("past", (event) => takePast(JSON.parse(event.data)));
  stream.addEventListener("rights", (event) => showRights(JSON.parse(event.data)));
  stream.addEventListener("snapshot", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("trouble", trouble);
  stream.addEventListener("error", () => {
    // It comes back by itself, unless it was answered with a refusal.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

function take(snapshot) {
  // The page of another version may read this wrongly.
  begun = begun || snapshot.version;
  if (begun !== snapshot.version) { location.reload(); return; }
  heard = performance.now();
  isLost = false;
  last = snapshot;
  const totals = takeRates(snapshot);
  if (isPaused) return;
  contact("live", "Live");
  write(byId("moment"), clock(snapshot.taken));
  show(totals);
}

function show(totals) {
  showState(last);
  showTraffic(last, totals);
  showBlocked(last);
  showChanges(last);
  showPorts(last);
}

function contact(name, words) {
  byId("dot").className = `dot ${name}`;
  write(byId("contact"), words);
}

function trouble() {
  heard = performance.now();
  contact("lost", "The agent cannot read the kernel");
  headline("unknown", "Unknown", "The agent runs and cannot read the kernel. Its log says why.");
}

function listen() {
  const silence = performance.now() - heard;
  if (silence > DEAF) {
    heard = performance.now() - SILENCE - 1;
    connect();
  }
  if (silence <= SILENCE || isLost) return;
  isLost = true;
  contact("lost", "No contact with the agent; trying again");
  const known = last ? `Last heard of at ${clock(last.taken)}: ${HEADLINES[last.overall][0].toLowerCase()}. ` : "";
  headline("unknown", "No contact", `${known}What is enforced goes on without the agent, unless ` +
    "it was told to let go: sccm-agent status says so.");
  write(byId("moment"), "");
}

byId("pause").addEventListener("click", (event) => {
  isPaused = !isPaused;
  const button = event.currentTarget;
  button.setAttribute("aria-pressed", `${isPaused}`);
  button.querySelector("use").setAttribute("href", isPaused ? "#icon-play" : "#icon-pause");
  contact(isPaused ? "" : "live", isPaused ? "Paused" : "Live");
  if (!isPaused && last && !isLost) show(before.sums);
});
document.querySelectorAll("input[name=order]").forEach((input) =>
  input.addEventListener("change", () => { if (last) showBlocked(last); }));
// Kept when the page is loaded again, where the browser lets pages keep anything.
const kept = (work) => { try { work(sessionStorage); } catch { /* It does not. */ } };
kept((storage) => { byId("filter").value = storage.getItem("filter") || ""; });
byId("filter").addEventListener("input", ({ target }) => {
  kept((storage) => storage.setItem("filter", target.value));
  if (last) showBlocked(last);
});
new ResizeObserver(() => { if (last) showCharts(last.taken); }).observe(byId("chart-passed"));

makeHatches();
connect();
setInterval(listen, 1000);
