// The page asks the coordinator how things are, again and again, and shows what it says.

import { Chains } from "./chains.js";
import { Pool, byId, clock, make, setData, setHidden, setText, span } from "./dom.js";
import { Events } from "./events.js";
import { judge } from "./judge.js";
import { Nodes } from "./nodes.js";

/** Between two questions: a second, or more where an answer takes long, so that asking is a tenth of the time at most. */
const PAUSE_MS = 1000;
const SHARE = 10;
/** An answer that takes longer does not come. */
const PATIENCE_MS = 5000;

const chains = new Chains();
const nodes = new Nodes();
const events = new Events();
const problems = new Pool(byId("problems"), () => ({ element: make("li") }));

/** When the last answer came; none came yet: null. */
let last = null;
let failure = null;
let timer;

async function ask() {
  clearTimeout(timer);
  const began = performance.now();
  let took = 0;
  try {
    const answer = await fetch("/admin/v1/state", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await answer.text();
    took = performance.now() - began;
    const state = JSON.parse(text);
    [last, failure] = [Date.now(), null];
    const drawing = performance.now();
    show(state);
    figures(text.length, took, performance.now() - drawing);
  } catch (error) {
    failure = error.name === "TimeoutError" ? `no answer within ${span(PATIENCE_MS)}` : error.message;
  }
  showConnection();
  // Nobody looks: the next question is asked when somebody does.
  if (!document.hidden) timer = setTimeout(ask, Math.max(PAUSE_MS, SHARE * took));
}

function show(state) {
  const leads = state.leading === true;
  setText(byId("identity"), identity(state));
  for (const id of ["overview", "nodes", "chains"]) setHidden(byId(id), !leads);
  events.show(state.events ?? []);
  if (!leads) {
    const reason = state.leading === false ? "Only the coordinator that leads knows how the cluster is: look at the others' pages." : state.reason;
    verdict({ state: "unknown", word: state.leading === false ? "Does not lead" : "Not ready", text: reason ?? "" }, []);
    return;
  }
  const model = judge(state);
  verdict(model.verdict, model.problems);
  chains.show(model);
  nodes.show(model.domains);
}

function identity(state) {
  const epoch = state.epoch ? `, epoch ${state.epoch}` : "";
  return state.cluster ? `cluster ${state.cluster.slice(0, 8)}${epoch}` : "";
}

function verdict({ state, word, text }, found) {
  setData(byId("verdict"), "state", state);
  setText(byId("verdict-word"), word);
  setText(byId("verdict-text"), text);
  document.title = `${word} · Catena`;
  problems.show(problemsOf(found), ({ element }, problem) => {
    setText(element, problem.text);
    setData(element, "state", problem.state);
  });
}

/** As many as are read. */
function problemsOf(found) {
  const most = 6;
  if (found.length <= most) return found;
  return [...found.slice(0, most), { state: "repair", text: `and ${found.length - most} more: see the nodes below.` }];
}

function showConnection() {
  const lost = failure !== null;
  setData(document.body, "lost", lost ? "" : null);
  setHidden(byId("lost"), !lost);
  setText(byId("live"), lost ? "not live" : `live, ${clock(last)}`);
  if (!lost) return;
  const shown = last === null ? "Nothing was heard yet." : `What is shown is as of ${clock(last)}, ${span(Date.now() - last)} ago.`;
  setText(byId("lost"), `Connection lost (${failure}). ${shown} Trying again.`);
}

function figures(bytes, took, drawn) {
  const size = bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  setText(byId("figures"), `/admin/v1/state: ${size} in ${Math.round(took)} ms, drawn in ${Math.round(drawn)} ms. Which entries a replica has is in the state of its node.`);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) ask();
});
ask();
