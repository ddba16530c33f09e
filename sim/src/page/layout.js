// Which of it is shown, and where.

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
