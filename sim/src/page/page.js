// The page draws one row for each step in which anything visible happens, in the order of time: so a burst of microseconds
// takes as much room as it has events, and a second of silence next to none.

const fail = (text) => {
  const place = document.getElementById("error");
  place.hidden = false;
  place.textContent += text + "\n";
  document.body.dataset.error = text;
};
window.addEventListener("error", (event) => fail(event.message));

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// ---- What there is ------------------------------------------------------------------------------------------------------

const KINDS = {
  fault: ["faults", true], process: ["processes", true], chain: ["chains", true], coordinator: ["coordinators", true],
  operator: ["operators", true], call: ["calls", true], request: ["requests", true], reply: ["replies", true],
  replica: ["replicas", true], disk: ["syncs", true], replication: ["replication", true],
  matching: ["matching of logs", true], snapshot: ["snapshots", true], decision: ["decisions", true],
  heartbeat: ["heartbeats", false], answer: ["their answers", false], lease: ["leases", false], route: ["routes", false],
};
const COLOURS = {
  fault: "#b7410e", process: "#b7410e", chain: "#553c9a", coordinator: "#553c9a", operator: "#b7410e", call: "#1a202c",
  request: "#2c5282", reply: "#2b6cb0", replica: "#4a5568", disk: "#975a16", replication: "#2f855a", matching: "#81a88d", snapshot: "#b7791f", decision: "#6b46c1",
  heartbeat: "#a0aec0", answer: "#a0aec0", lease: "#38a169", route: "#cbd5e0", violation: "#c53030",
};
const ROLES = { head: "#2b6cb0", middle: "#718096", tail: "#2f855a", only: "#2c7a7b", joining: "#d69e2e" };

const violation = data.violation;
const atFault = {
  calls: new Set(violation ? violation.calls : []),
  places: new Set(violation ? violation.places : []),
};
const marked = data.notes.find((note) => note.kind === "violation");
if (marked) {
  (marked.calls || []).forEach((call) => atFault.calls.add(call));
  if (/^[nc]\d+$/.test(marked.at)) atFault.places.add(marked.at);
}

/** Everything that stands in a row: notes, and the two ends of messages. */
const items = [];
data.notes.forEach((note) => items.push({ step: note.step, t: note.t, note, kind: note.kind, of: note }));
data.messages.forEach((message) => {
  items.push({ step: message.step, t: message.t, message, end: "sent", kind: message.kind, of: message });
  if (message.arrived !== undefined) {
    items.push({ step: message.arrived, t: message.due, message, end: "arrives", kind: message.kind, of: message });
  }
});
const RANK = (item) => (item.kind === "violation" ? 0 : item.end === "arrives" ? 1 : item.note ? 2 : 3);
items.sort((a, b) => a.step - b.step || RANK(a) - RANK(b));

const callers = new Set();
data.notes.forEach((note) => { if (note.kind === "call") callers.add(note.at); });
const columns = [
  ...[...callers].sort((a, b) => Number(a.slice(7)) - Number(b.slice(7))),
  ...Array.from({ length: data.nodes }, (_, index) => "n" + (index + 1)),
  ...Array.from({ length: data.coordinators }, (_, index) => "c" + (index + 1)),
];
const columnOf = new Map(columns.map((name, index) => [name, index]));
const isNode = (name) => name[0] === "n";
const isClient = (name) => name.startsWith("client");

/** Calls, each with its two steps. */
const calls = new Map();
data.notes.forEach((note) => {
  if (!note.state || note.kind !== "call") return;
  if (note.state.is === "begins") {
    calls.set(note.state.call, { call: note.state.call, at: note.at, begins: note, ends: null });
  } else if (calls.has(note.state.call)) {
    calls.get(note.state.call).ends = note;
  }
});
calls.forEach((call) => { // calls of a client that overlap stand side by side
  const taken = new Set();
  calls.forEach((other) => {
    if (other !== call && other.at === call.at && other.lane !== undefined && other.begins.step <= call.begins.step
      && (!other.ends || other.ends.step >= call.begins.step)) taken.add(other.lane);
  });
  call.lane = 0;
  while (taken.has(call.lane)) call.lane += 1;
});

// ---- Filters ------------------------------------------------------------------------------------------------------------

const shown = {};
Object.entries(KINDS).forEach(([kind, [, on]]) => { shown[kind] = on; });
if (violation && ["serving", "configurations", "continuity", "silence"].includes(violation.checker)) shown.lease = true;
let slotShown = violation && violation.slots.length === 1 && data.slots > 1 ? violation.slots[0] : null;
let keyShown = "";
// What a look at whole histories finds is violated where it was done, and not where it is found.
let callsShown = marked && marked.at === "world" && atFault.calls.size ? atFault.calls : null;
const GENERAL = new Set(["fault", "process", "operator", "violation", "coordinator", "chain", "decision"]);

function isShown(item) {
  const { kind, of } = item;
  if (kind === "violation") return true;
  if (!shown[kind]) return false;
  if (slotShown !== null && of.slot !== undefined && of.slot !== slotShown) return false;
  if (keyShown && !GENERAL.has(kind) && !(of.keys || []).includes(keyShown)) return false;
  if (callsShown && !GENERAL.has(kind) && !(of.calls || []).some((call) => callsShown.has(call)) && !moves(item)) return false;
  if (callsShown && (kind === "decision" || kind === "coordinator")) return false;
  if (item.message) return columnOf.has(of.from) && columnOf.has(of.to);
  return true;
}

/** Whether a replica's log or standing changes, in a slot of the calls that are shown. */
function moves(item) {
  if (item.kind !== "replica" || !item.note.state || item.note.state.version === undefined) return false;
  if (![...callsShown].some((call) => calls.has(call) && calls.get(call).begins.slot === item.note.slot)) return false;
  const now = item.note.state, before = previous(item.note);
  return !before || ["version", "role", "last", "committed", "fenced"].some((name) => before[name] !== now[name]);
}

function buildFilters() {
  const form = byId("filters");
  Object.entries(KINDS).forEach(([kind, [name]]) => {
    if (!items.some((item) => item.kind === kind)) return;
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown[kind];
    box.name = kind;
    box.addEventListener("change", () => { shown[kind] = box.checked; layOut(); });
    const text = document.createElement("span");
    text.textContent = name;
    text.style.color = COLOURS[kind] === "#cbd5e0" ? "#718096" : COLOURS[kind];
    label.append(box, " ", text);
    form.append(label);
  });
  const choose = (name, options, chosen, act) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    options.forEach(([value, text]) => select.append(new Option(text, value, false, value === String(chosen ?? ""))));
    select.name = name;
    select.addEventListener("change", () => { act(select.value); layOut(); });
    label.append(name + " ", select);
    form.append(label);
  };
  const slots = Array.from({ length: data.slots }, (_, slot) => [String(slot), String(slot)]);
  choose("slot", [["", "all"], ...slots], slotShown, (value) => { slotShown = value === "" ? null : Number(value); });
  const keys = [...new Set(items.flatMap((item) => item.of.keys || []))].sort();
  const named = atFault.calls.size ? [["named", "named above"]] : [];
  const each = [...calls.keys()].slice(0, 500).map((call) => [String(call), String(call)]);
  choose("call", [["", "all"], ...named, ...each], callsShown ? "named" : "", (value) => {
    callsShown = value === "" ? null : value === "named" ? atFault.calls : new Set([Number(value)]);
  });
  choose("key", [["", "all"], ...keys.map((key) => [key, key])], keyShown, (value) => { keyShown = value; });
}

// ---- Rows ---------------------------------------------------------------------------------------------------------------

const HEAD = 26, ROW = 19, GAP = 16;
let rows = []; // { step, t, y, items }
let rowOf = new Map(); // by step
let height = 0;

function layOut() {
  const before = rows[selected];
  rows = [];
  rowOf = new Map();
  items.filter(isShown).forEach((item) => {
    let row = rowOf.get(item.step);
    if (!row) {
      row = { step: item.step, t: item.t, items: [] };
      rowOf.set(item.step, row);
      rows.push(row);
    }
    row.items.push(item);
  });
  let y = HEAD + ROW;
  rows.forEach((row, index) => {
    row.pause = index > 0 ? row.t - rows[index - 1].t : 0;
    if (row.pause > 30e6) y += GAP;
    row.y = y;
    row.index = index;
    y += ROW;
  });
  height = y + ROW;
  byId("tall").style.height = height + "px";
  byId("counts").textContent = `${data.notes.length} notes and ${data.messages.length} messages in all`
    + (data.forgotten ? `, ${data.forgotten} earlier ones left out` : "") + `; ${rows.length} rows shown`;
  document.body.dataset.notes = data.notes.length;
  document.body.dataset.messages = data.messages.length;
  document.body.dataset.rows = rows.length;
  const again = before ? rows.findIndex((row) => row.step >= before.step) : -1;
  select(again >= 0 ? again : rows.length - 1, false);
  draw();
}

/** Where a step is, or would be. */
function yOfStep(step) {
  const row = rowOf.get(step);
  if (row) return row.y;
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].step < step) low = middle + 1; else high = middle;
  }
  return low < rows.length ? rows[low].y - ROW / 2 : height - ROW / 2;
}

/** Where a time is, between the rows before and after it. */
function yOfTime(t) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].t < t) low = middle + 1; else high = middle;
  }
  if (low === 0) return HEAD;
  if (low === rows.length) return height;
  const [before, after] = [rows[low - 1], rows[low]];
  return before.y + (after.y - before.y) * (t - before.t) / Math.max(1, after.t - before.t);
}

// ---- What lasts ---------------------------------------------------------------------------------------------------------

/** By column: changes of its process, of its lease, and by slot of its replica. */
const lives = new Map(columns.map((name) => [name, { process: [], leases: [], replicas: [], leads: [] }]));
data.notes.forEach((note) => {
  const life = lives.get(note.at);
  if (!life || !note.state) return;
  const { is } = note.state;
  if (is === "up" || is === "down" || is === "paused") life.process.push(note);
  if (is === "leads" || is === "follows" || is === "down") life.leads.push(note);
  if (is === "leased") life.leases.push(note);
  if (is === "replica") (life.replicas[note.slot] ||= []).push(note);
  if (is === "down") {
    life.replicas.forEach((changes) => changes.push({ ...note, state: { is: "replica", role: "none" } }));
    life.leases.push({ ...note, state: { is: "leased", until: note.t } });
  }
});

/** Calls `act(y from, y to, note)` for each stretch that is in view. */
function stretches(changes, act) {
  changes.forEach((note, index) => {
    const from = yOfStep(note.step);
    const to = index + 1 < changes.length ? yOfStep(changes[index + 1].step) : height;
    if (to >= top - 50 && from <= top + view.height + 50 && to > from) act(from - top, to - top, note);
  });
}

// ---- Drawing ------------------------------------------------------------------------------------------------------------

const canvas = byId("canvas"), scroll = byId("scroll"), pen = canvas.getContext("2d");
const TIMES = 92;
let view = { width: 0, height: 0 }, top = 0, selected = -1, hovered = null, chosenCalls = new Set();
let width = 0; // of a column

const xOf = (name) => TIMES + (columnOf.get(name) + 0.5) * width;
const textLeft = () => TIMES + columns.length * width + 8;

function draw() {
  const ratio = window.devicePixelRatio || 1;
  view = { width: scroll.clientWidth, height: scroll.clientHeight };
  if (canvas.width !== view.width * ratio || canvas.height !== view.height * ratio) {
    canvas.width = view.width * ratio;
    canvas.height = view.height * ratio;
    canvas.style.width = view.width + "px";
    canvas.style.height = view.height + "px";
  }
  top = scroll.scrollTop;
  width = Math.max(62, Math.min(130, (view.width - TIMES - 420) / columns.length));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, view.width, view.height);
  pen.textBaseline = "middle";
  drawRows();
  columns.forEach(drawColumn);
  calls.forEach(drawCall);
  drawMessages();
  drawNotes();
  drawHead();
}

const inView = (row) => row.y >= top - ROW && row.y <= top + view.height + ROW;

function seconds(t) {
  return (t / 1e9).toFixed(6) + " s";
}

function pauseText(pause) {
  if (pause >= 1e9) return "+" + (pause / 1e9).toFixed(2) + " s";
  return "+" + (pause / 1e6).toFixed(0) + " ms";
}

function drawRows() {
  pen.font = "11px system-ui, sans-serif";
  rows.forEach((row) => {
    if (!inView(row)) return;
    const y = row.y - top;
    const bad = row.items.some((item) => item.kind === "violation");
    if (bad || row.index === selected) {
      pen.fillStyle = bad ? "#fed7d7" : "#ebf8ff";
      pen.fillRect(0, y - ROW / 2, view.width, ROW);
    }
    if (row.pause > 30e6) {
      pen.fillStyle = "#edf2f7";
      pen.fillRect(0, y - ROW / 2 - GAP + 2, view.width, GAP - 4);
      pen.fillStyle = "#a0aec0";
      pen.fillText(pauseText(row.pause), 8, y - ROW / 2 - GAP / 2);
    }
    pen.fillStyle = bad ? "#c53030" : "#718096";
    pen.fillText(seconds(row.t), 8, y);
    drawText(row, y);
  });
}

/** What happens in a row, in words. */
function drawText(row, y) {
  let x = textLeft();
  pen.font = "12px system-ui, sans-serif";
  row.items.forEach((item) => {
    if (x > view.width) return;
    const text = inShort(item, row);
    pen.fillStyle = item.kind === "route" ? "#718096" : COLOURS[item.kind];
    if (concerns(item)) pen.font = "600 12px system-ui, sans-serif";
    pen.fillText(text, x, y);
    x += pen.measureText(text).width + 14;
    pen.font = "12px system-ui, sans-serif";
  });
}

/** As short as goes: what another item of the row says, and a slot that is the only one, need not be said. */
function inShort(item, row) {
  let text = words(item);
  if (item.kind === "replica") {
    const parts = item.note.text.split(" | ");
    const told = row.items.some((other) => other.end === "arrives" && other.message.to === item.note.at);
    if (parts.length === 3) text = `${item.note.at} ${parts[0]}: ${told ? "" : parts[1] + ": "}${parts[2]}`;
  }
  return data.slots === 1 ? text.replace(/slot 0:? /g, "") : text;
}

function words(item) {
  if (item.message) {
    const { from, to, text, lost } = item.message;
    if (item.end === "arrives") return `${to} ← ${from}: ${text}`;
    return `${from} → ${to}${lost ? " (never arrives: " + lost + ")" : ""}: ${text}`;
  }
  if (item.kind === "violation") return "VIOLATED: " + item.note.text;
  return (item.note.at === "world" ? "" : item.note.at + " ") + item.note.text;
}

const concerns = (item) => (item.of.calls || []).some((call) => chosenCalls.has(call));

function drawColumn(name) {
  const x = xOf(name), life = lives.get(name);
  if (isClient(name)) {
    line(x, HEAD, x, Math.min(view.height, height - top), "#e2e8f0", 1);
    return;
  }
  stretches(life.leads, (from, to, note) => { if (note.state.is === "leads") line(x, from, x, to, "#6b46c1", 5); });
  stretches(life.process, (from, to, note) => {
    const is = note.state.is;
    if (is === "up") line(x, from, x, to, "#4a5568", 2);
    if (is === "down") line(x, from, x, to, "#e53e3e", 1, [2, 5]);
    if (is === "paused") line(x, from, x, to, "#ecc94b", 8);
  });
  life.leases.forEach((note, index) => {
    const from = yOfStep(note.step), next = life.leases[index + 1];
    const end = yOfTime(note.state.until);
    const to = next ? Math.min(end, yOfStep(next.step)) : end;
    if (to < top || from > top + view.height) return;
    line(x - 7, from - top, x - 7, to - top, "#68d391", 4);
    if (!next || end < yOfStep(next.step)) {
      line(x - 13, to - top, x - 1, to - top, "#276749", 2);
      label("lease ends", x - 16, to - top, "#276749", "right");
    }
  });
  life.replicas.forEach((changes, slot) => {
    if (slotShown !== null && slot !== slotShown) return;
    const lane = x + 6 + (slotShown === null ? slot : 0) * 8;
    stretches(changes, (from, to, note) => {
      const marks = note.state;
      if (!ROLES[marks.role]) return;
      pen.globalAlpha = marks.acting && marks.matched ? 1 : 0.35;
      line(lane, from, lane, to, ROLES[marks.role], 6, marks.role === "joining" ? [4, 3] : []);
      pen.globalAlpha = 1;
      if (marks.fenced) line(lane + 4, from, lane + 4, to, "#e53e3e", 2);
    });
  });
}

function drawCall(call) {
  if (slotShown !== null && call.begins.slot !== slotShown) return;
  if (keyShown && !(call.begins.keys || []).includes(keyShown)) return;
  const from = yOfStep(call.begins.step), to = call.ends ? yOfStep(call.ends.step) : height;
  if (to < top || from > top + view.height) return;
  const x = xOf(call.at) + call.lane * 8;
  const bad = atFault.calls.has(call.call);
  line(x, from - top, x, Math.min(to - top, view.height + 20), bad ? "#c53030" : "#90cdf4", bad ? 8 : 6);
}

function drawMessages() {
  const low = top - ROW, high = top + view.height + ROW;
  data.messages.forEach((message) => {
    message.line = null;
    const item = { kind: message.kind, of: message, message };
    if (!isShown(item)) return;
    const from = rowOf.get(message.step);
    if (!from || from.y > high) return;
    const arrived = message.arrived !== undefined ? yOfStep(message.arrived) : null;
    const end = arrived ?? (message.lost ? from.y + ROW * 1.4 : height);
    if (end < low) return;
    const x1 = xOf(message.from), x2 = xOf(message.to), y1 = from.y - top;
    const part = message.lost ? 0.6 : 1;
    const to = { x: x1 + (x2 - x1) * part, y: message.lost ? y1 + ROW * 0.8 : end - top };
    const chosen = concerns(item);
    message.line = [x1, y1, to.x, to.y];
    pen.globalAlpha = chosenCalls.size && !chosen && !message.lost ? 0.45 : 1;
    const weight = message === hovered ? 3.5 : chosen ? 2.6 : 1.2;
    line(x1, y1, to.x, to.y, COLOURS[message.kind], weight, arrived === null ? [5, 4] : []);
    if (message.lost) cross(to.x, to.y); else if (arrived !== null) arrowHead(x1, y1, to.x, to.y, COLOURS[message.kind], weight);
    pen.globalAlpha = 1;
  });
}

/** Marks at the places where something happens; watermarks beside replicas. */
function drawNotes() {
  pen.font = "10px system-ui, sans-serif";
  rows.forEach((row) => {
    if (!inView(row)) return;
    row.items.forEach((item) => {
      if (!item.note) return;
      const note = item.note, y = row.y - top;
      const places = note.at.split(">").filter((place) => columnOf.has(place));
      if (note.kind === "chain") {
        line(TIMES, y, textLeft() - 8, y, "#d6bcfa", 7);
        label(note.text, TIMES + 4, y, "#44337a", "left");
      }
      places.forEach((place) => {
        const x = xOf(place);
        if (note.kind === "fault") bolt(x, y);
        else if (note.kind === "violation") ring(x, y);
        else if (note.state && note.state.is === "down") cross(x, y);
        else if (note.kind === "process" || note.kind === "operator") dot(x, y, COLOURS.process, 4);
        else if (note.kind === "coordinator") dot(x, y, COLOURS.coordinator, 3);
        else if (note.kind === "call") dot(x + (calls.get(note.calls[0])?.lane || 0) * 8, y, atFault.calls.has(note.calls[0]) ? "#c53030" : "#2c5282", 4);
        if (note.state && note.state.is === "replica") drawMarks(note, x, y);
      });
    });
  });
}

function drawMarks(note, x, y) {
  const marks = note.state;
  if (marks.version === undefined || marks.role === "none") return;
  const lanes = slotShown === null ? data.slots : 1;
  const before = previous(note);
  const parts = [];
  if (!before || before.version !== marks.version || before.role !== marks.role) parts.push(`v${marks.version} ${marks.role}`);
  if (marks.fenced && !(before && before.fenced)) parts.push("fenced");
  const seq = (id) => id.replace(/.*, (\d+)\)/, "$1");
  if (!before || seq(before.last) !== seq(marks.last)) parts.push("last " + seq(marks.last));
  if (!before || before.committed !== marks.committed) parts.push("com " + marks.committed);
  if (!before || before.applied !== marks.applied) parts.push("app " + marks.applied);
  if (!before || before.synced !== marks.synced) parts.push("syn " + seq(marks.synced));
  if (parts.length) label(parts.join(" "), x + 10 + lanes * 8, y, "#2d3748", "left");
}

const previousMarks = new Map();
lives.forEach((life) => life.replicas.forEach((changes) => changes.forEach((note, index) => {
  previousMarks.set(note, index ? changes[index - 1].state : null);
})));
const previous = (note) => {
  const state = previousMarks.get(note);
  return state && state.version !== undefined ? state : null;
};

function drawHead() {
  pen.fillStyle = "#f7fafc";
  pen.fillRect(0, 0, view.width, HEAD);
  line(0, HEAD, view.width, HEAD, "#cbd5e0", 1);
  pen.textAlign = "center";
  columns.forEach((name) => {
    pen.font = (atFault.places.has(name) ? "700 " : "") + "12px system-ui, sans-serif";
    pen.fillStyle = atFault.places.has(name) ? "#c53030" : isNode(name) ? "#1a202c" : "#4a5568";
    pen.fillText(name, xOf(name), HEAD / 2);
  });
  pen.textAlign = "left";
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = "#4a5568";
  pen.fillText("time", 8, HEAD / 2);
  pen.fillText("what happens", textLeft(), HEAD / 2);
}

function line(x1, y1, x2, y2, colour, weight, dash) {
  pen.strokeStyle = colour;
  pen.lineWidth = weight;
  pen.setLineDash(dash || []);
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
  pen.setLineDash([]);
}

function arrowHead(x1, y1, x2, y2, colour, weight) {
  const angle = Math.atan2(y2 - y1, x2 - x1), size = 6 + weight;
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - size * Math.cos(angle - 0.4), y2 - size * Math.sin(angle - 0.4));
  pen.lineTo(x2 - size * Math.cos(angle + 0.4), y2 - size * Math.sin(angle + 0.4));
  pen.fill();
}

function cross(x, y) {
  line(x - 5, y - 5, x + 5, y + 5, "#e53e3e", 2.5);
  line(x - 5, y + 5, x + 5, y - 5, "#e53e3e", 2.5);
}

function dot(x, y, colour, size) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, size, 0, 7);
  pen.fill();
}

function ring(x, y) {
  pen.strokeStyle = "#c53030";
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(x, y, 9, 0, 7);
  pen.stroke();
}

function bolt(x, y) {
  pen.fillStyle = "#dd6b20";
  pen.beginPath();
  pen.moveTo(x + 2, y - 9);
  pen.lineTo(x - 6, y + 2);
  pen.lineTo(x - 1, y + 2);
  pen.lineTo(x - 3, y + 9);
  pen.lineTo(x + 6, y - 2);
  pen.lineTo(x + 1, y - 2);
  pen.fill();
}

function label(text, x, y, colour, align) {
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = align;
  const size = pen.measureText(text).width;
  pen.fillStyle = "rgba(255,255,255,0.8)";
  pen.fillRect(align === "right" ? x - size - 1 : x - 1, y - 6, size + 2, 12);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
  pen.textAlign = "left";
}

// ---- Looking closer -----------------------------------------------------------------------------------------------------

function select(index, bringIntoView = true) {
  selected = index;
  const row = rows[index], place = byId("details");
  place.textContent = "";
  chosenCalls = new Set();
  if (!row) return;
  row.items.forEach((item) => (item.of.calls || []).forEach((call) => chosenCalls.add(call)));
  if (row.items.some((item) => item.kind === "violation")) atFault.calls.forEach((call) => chosenCalls.add(call));
  paragraph(place, `step ${row.step}, ${(row.t / 1e9).toFixed(9)} s`, "kind");
  row.items.forEach((item) => paragraph(place, describe(item), item.kind));
  if (bringIntoView && (row.y < scroll.scrollTop + HEAD + ROW || row.y > scroll.scrollTop + scroll.clientHeight - ROW)) {
    scroll.scrollTop = row.y - scroll.clientHeight / 2;
  }
}

function paragraph(place, text, kind) {
  const paragraph = document.createElement("p");
  paragraph.className = kind;
  paragraph.textContent = text;
  place.append(paragraph);
}

function describe(item) {
  let text = words(item);
  if (item.message) {
    const { t, due, arrived, lost } = item.message;
    text += `\nsent at ${seconds(t)}` + (arrived !== undefined ? `, arrives at ${seconds(due)}` : lost ? "" : ", on its way at the end");
  }
  const state = item.note && item.note.state;
  if (state && state.is === "replica" && state.version !== undefined) {
    const how = [state.acting ? "acts" : "does not act", state.matched ? "matched" : "not matched"];
    if (state.fenced) how.push("fenced");
    text += `\n${state.role} of v${state.version}: ${how.join(", ")}\napplied ${state.applied}, committed ${state.committed}, `
      + `known durable above ${state.durable}, synced here up to ${state.synced}, last ${state.last}`;
  }
  if (item.of.calls && item.of.calls.length) text += `\ncalls ${item.of.calls.join(", ")}`;
  return text;
}

function rowAt(event) {
  const y = event.clientY - scroll.getBoundingClientRect().top + scroll.scrollTop;
  return rows.findIndex((row) => Math.abs(row.y - y) <= ROW / 2);
}

function messageAt(event) {
  const box = scroll.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = null, nearest = 6;
  data.messages.forEach((message) => {
    if (!message.line) return;
    const [x1, y1, x2, y2] = message.line, length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const along = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length ** 2));
    const distance = Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1));
    if (distance < nearest) [best, nearest] = [message, distance];
  });
  return best;
}

scroll.addEventListener("scroll", draw);
window.addEventListener("resize", draw);
scroll.addEventListener("mousemove", (event) => {
  const message = messageAt(event), row = rows[rowAt(event)];
  const texts = message ? [describe({ message, of: message, end: "sent" })] : row ? row.items.map(describe) : [];
  scroll.title = texts.join("\n\n");
  if (message !== hovered) { hovered = message; draw(); }
});
scroll.addEventListener("click", (event) => {
  const message = messageAt(event), index = message ? rowOf.get(message.step).index : rowAt(event);
  if (index >= 0) { select(index, false); draw(); }
});
window.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || /select|input/i.test(event.target.tagName)) return;
  event.preventDefault();
  select(Math.max(0, Math.min(rows.length - 1, selected + by)));
  draw();
});

// ---- The page -----------------------------------------------------------------------------------------------------------

function goTo(step) {
  const index = rows.findIndex((row) => row.step >= step);
  select(index < 0 ? rows.length - 1 : index);
  draw();
}

function tellStory() {
  const story = byId("story");
  const told = data.notes.filter((note) => ["fault", "operator", "violation"].includes(note.kind)
    || (note.kind === "call" && note.state && note.state.is === "begins"));
  told.slice(-400).forEach((note) => {
    const entry = document.createElement("li"), time = document.createElement("time");
    time.textContent = seconds(note.t);
    entry.className = note.kind;
    entry.append(time, note.kind === "violation" ? "violated" : (note.at === "world" ? "" : note.at + " ") + note.text);
    entry.addEventListener("click", () => goTo(note.step));
    story.append(entry);
  });
}

function tellLegend() {
  const legend = [
    ["#2b6cb0", "head of its chain"], ["#718096", "middle"], ["#2f855a", "tail"], ["#2c7a7b", "alone"], ["#d69e2e", "joining"],
    ["#cbd5e0", "pale: does not act, or its log is not matched yet"], ["#68d391", "lease, left of the process"],
    ["#e53e3e", "fenced; down; lost"], ["#ecc94b", "stands still"], ["#6b46c1", "coordinator that leads"],
    ["#90cdf4", "call under way"], ["#c53030", "what was violated"],
  ];
  legend.forEach(([colour, text]) => {
    const entry = document.createElement("li"), patch = document.createElement("i");
    patch.style.background = colour;
    entry.append(patch, text);
    byId("legend").append(entry);
  });
  const entry = document.createElement("li");
  entry.textContent = "last: newest entry in the log; com: committed; app: applied; syn: synced on this disk. Arrow keys step through rows.";
  byId("legend").append(entry);
}

document.title = "catena-sim: " + data.title;
byId("title").textContent = data.title;
if (violation) {
  const checker = document.createElement("b");
  checker.textContent = `${violation.checker} (${violation.rule}): `;
  byId("violation").append(checker, violation.sentence);
}
byId("mutant").textContent = data.mutant ? "Planted: " + data.mutant : "";
byId("ending").textContent = `${data.ending}. Again: ${data.command}`;
byId("options").textContent = data.options;
const begun = performance.now();
buildFilters();
tellStory();
tellLegend();
layOut();
goTo(callsShown ? Math.min(...[...callsShown].map((call) => calls.get(call)?.begins.step ?? Infinity)) : marked ? marked.step : 0);
document.body.dataset.took = Math.round(performance.now() - begun);
document.body.dataset.ready = "yes";
