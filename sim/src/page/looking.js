// What a reader does with it, and how the page begins.

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
