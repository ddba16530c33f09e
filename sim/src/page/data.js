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
