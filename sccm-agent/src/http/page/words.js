
// Numbers, times and rows: how things are written into the page.

const byId = (id) => document.getElementById(id);
const integer = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

// Counters come as strings of digits: they may be larger than a script's numbers.
const count = (digits) => integer.format(BigInt(digits));

function bytes(digits) {
  let value = Number(digits), unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}

function rate(perSecond) {
  if (perSecond === null) return "–";
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : integer.format(Math.round(perSecond));
}

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

// Writes only what is new, so that neither a selection nor a screen reader loses its place.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Makes a table body show these rows: { data: attributes, cells: [{ text, className, badge }] }.
// The cell at `head` is the row's header.
function fill(body, rows, head) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, at) => {
    const shown = body.rows[at] || body.appendChild(emptyRow(row.cells, head));
    Object.entries(row.data).forEach(([key, value]) => { shown.dataset[key] = value; });
    row.cells.forEach((cell, column) => {
      const place = shown.cells[column];
      if (cell.badge) {
        write(place.lastChild, cell.text);
        place.lastChild.className = `badge ${cell.badge}`;
      } else if (cell.key !== undefined) {
        mark(place.firstChild, cell.key);
        write(place.lastChild, cell.text);
      } else {
        write(place, cell.text);
      }
    });
  });
}

function emptyRow(cells, head) {
  const row = element("tr");
  cells.forEach((cell, column) => {
    const place = element(column === head ? "th" : "td", undefined, cell.className);
    if (column === head) place.scope = "row";
    if (cell.key !== undefined) place.append(drawKey());
    if (cell.badge || cell.key !== undefined) place.append(element("span"));
    row.append(place);
  });
  return row;
}
