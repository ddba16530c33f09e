// The diagram, on a canvas.

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

/** Marks at the places where something happens; watermarks beside replicas. How many are of what was violated is said on the body. */
function drawNotes() {
  pen.font = "10px system-ui, sans-serif";
  let highlighted = 0;
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
        else if (note.kind === "violation") ring(x, y), highlighted++;
        else if (note.state && note.state.is === "down") cross(x, y);
        else if (note.kind === "process" || note.kind === "operator") dot(x, y, COLOURS.process, 4);
        else if (note.kind === "coordinator") dot(x, y, COLOURS.coordinator, 3);
        else if (note.kind === "call") {
          const bad = atFault.calls.has(note.calls[0]);
          dot(x + (calls.get(note.calls[0])?.lane || 0) * 8, y, bad ? "#c53030" : "#2c5282", 4);
          highlighted += bad;
        }
        if (note.state && note.state.is === "replica") drawMarks(note, x, y);
      });
    });
  });
  document.body.dataset.highlighted = highlighted;
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
