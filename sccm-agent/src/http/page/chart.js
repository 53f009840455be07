
// Charts: stacked areas over the last minutes, told apart by pattern as well as by colour.

const SVG = "http://www.w3.org/2000/svg";
const WINDOW = 300000;
// Longer without a snapshot, and the line is broken.
const GAP = 15000;
// Reasons that have an area of their own; the rest share the last one.
const OWN = 5;
// One tile of each series' pattern, 8 wide and 8 high.
const HATCHES = ["", "M-2 6 6-2M2 10 10 2", "M-2 2 6 10M2-2 10 6", "M0 4h8", "M4 0v8", "M0 4h8M4 0v8"];

function draw(parent, name, attributes) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return parent.appendChild(made);
}

function makeHatches() {
  const sprite = document.querySelector(".sprite");
  HATCHES.forEach((path, at) => {
    const tile = { id: `hatch-${at}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" };
    draw(draw(sprite, "pattern", tile), "path", { d: path, class: "hatch" });
  });
}

// The key of a series, in the table below the charts.
function drawKey() {
  const key = document.createElementNS(SVG, "svg");
  key.setAttribute("class", "key");
  key.setAttribute("aria-hidden", "true");
  ["", "hatch-fill"].forEach(() => draw(key, "rect", { width: "100%", height: "100%" }));
  return key;
}

function mark(key, series) {
  const [colour, hatch] = key.children;
  colour.setAttribute("class", series === "passed" ? "passed-fill" : `drop-${series}`);
  hatch.setAttribute("fill", series === "passed" ? "none" : `url(#hatch-${series})`);
}

// The next number of the form 1, 2 or 5 times a power of ten.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) || 1;
}

// `points` are { at, values: one for each series }, the oldest first.
function plot(chart, points, series, now) {
  const width = chart.clientWidth || 300, height = chart.clientHeight || 170;
  const left = 44, bottom = height - 20, top = 8;
  const total = (point) => point.values.reduce((sum, value) => sum + value, 0);
  const highest = roundUp(points.reduce((most, point) => Math.max(most, total(point)), 1));
  // A page that has just been opened looks back a minute.
  const span = Math.min(WINDOW, Math.max(60000, points.length ? now - points[0].at : 0));
  const x = (at) => left + (width - left) * (1 - (now - at) / span);
  const y = (value) => bottom - (bottom - top) * value / highest;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren();
  [0, 0.5, 1].forEach((part) => {
    const line = Math.round(y(part * highest)) + 0.5;
    draw(chart, "line", { class: "grid", x1: left, x2: width, y1: line, y2: line });
    const label = draw(chart, "text", { x: left - 8, y: line + 4, "text-anchor": "end" });
    label.textContent = compact(part * highest);
  });
  [[`${duration(span / 1000)} ago`, left, "start"], ["now", width, "end"]].forEach(([text, at, anchor]) => {
    draw(chart, "text", { x: at, y: height - 4, "text-anchor": anchor }).textContent = text;
  });
  const below = points.map(() => 0);
  series.forEach((name, at) => {
    const floor = below.slice();
    points.forEach((point, index) => { below[index] += point.values[at]; });
    const area = outline(points, floor, below, x, y);
    if (area === "") return;
    draw(chart, "path", { d: area, class: name === "passed" ? "passed-fill" : `drop-${name}` });
    if (name !== "passed") draw(chart, "path", { d: area, fill: `url(#hatch-${name})` });
  });
}

function outline(points, floor, ceiling, x, y) {
  let path = "", begin = 0;
  points.forEach((point, at) => {
    const next = points[at + 1];
    if (next && next.at - point.at <= GAP) return;
    const part = points.slice(begin, at + 1).map((_, offset) => begin + offset);
    const spot = (levels) => (one) => `${x(points[one].at).toFixed(1)} ${y(levels[one]).toFixed(1)}`;
    const isEmpty = part.every((one) => ceiling[one] === floor[one]);
    if (part.length > 1 && !isEmpty) {
      path += `M${part.map(spot(ceiling)).join("L")}L${part.reverse().map(spot(floor)).join("L")}Z`;
    }
    begin = at + 1;
  });
  return path;
}

function compact(value) {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1e3 ? `${value / 1e3}k` : `${value}`;
}
