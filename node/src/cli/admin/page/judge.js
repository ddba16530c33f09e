// From a coordinator's state to what a person wants to know of it. Nothing here touches the page.

import { count, span } from "./dom.js";

/** States of chains, the worst first. */
export const STATES = ["stuck", "repair", "moving", "whole"];
export const NAMES = { stuck: "stuck", repair: "under repair", moving: "moving", whole: "whole" };

/** What a chain waits for; `stuck`: for a person. */
const WAITS = {
  "no-candidate": { stuck: true, text: "no other node with fitting labels is there", todo: "add a node, or bring one back" },
  "last-copy": { stuck: true, text: "its only whole copy does not answer", todo: "bring that node back" },
  restrained: { stuck: true, text: "too many nodes are gone at once", todo: "look at the network; bring them back, or evict by hand" },
  joining: { text: "a copy is being filled" },
  fencing: { text: "a member is being taken out" },
  turn: { text: "waits for its turn" },
  absence: { text: "a node that stopped in order is waited for" },
};

/** What a replica that cannot take part lacks. */
const UNAVAILABLE = {
  damaged: "is damaged",
  fenced: "is fenced",
  restarted: "has restarted",
  astray: "is astray",
  removed: "is no replica of it any more",
  dropped: "has dropped its data",
  dead: "is dead",
  suspect: "is suspect",
  stopped: "has stopped",
  unheard: "has not been heard yet",
};

/** Everything that is shown of a leader's state. */
export function judge(state) {
  const nodes = new Map(state.nodes.map((node) => [node.id, node]));
  const unavailable = Map.groupBy(state.unavailable_replicas, (replica) => replica.slot);
  const chains = state.routing.chains.map((chain) => judgeChain(chain, state.config.replicas, unavailable.get(chain.slot) ?? []));
  const counts = Object.fromEntries(STATES.map((name) => [name, 0]));
  for (const chain of chains) counts[chain.state] += 1;
  const lacking = Map.groupBy(state.unavailable_replicas, (replica) => replica.node_id);
  const revision = state.routing.revision;
  const judged = state.nodes.map((node) => judgeNode(node, revision, lacking.get(node.id) ?? []));
  const problems = problemsOf(chains, judged);
  return { chains, counts, nodes, domains: domainsOf(judged), problems, verdict: verdictOf(state, chains, counts, judged) };
}

function judgeChain(chain, replicas, unavailable) {
  const missing = Math.max(0, replicas - chain.members.length);
  const lacking = unavailable.filter((replica) => replica.node_id !== chain.joining);
  const wait = chain.wait === null ? null : (WAITS[chain.wait] ?? { text: chain.wait });
  let verdict = "whole";
  if (wait?.stuck) verdict = "stuck";
  else if (missing > 0 || lacking.length > 0 || !chain.tail_ready) verdict = "repair";
  else if (wait !== null || chain.joining !== null) verdict = "moving";
  return { ...chain, state: verdict, missing, unavailable, why: wait };
}

/** What a node said last of a slot; its reports are by slot. */
function reportOf(node, slot) {
  let [low, high] = [0, node.reports.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (node.reports[middle].slot < slot) low = middle + 1;
    else high = middle;
  }
  const found = node.reports[low];
  return found?.slot === slot ? found : undefined;
}

/** What goes on in a chain, in words; looked up only for chains that are shown. */
export function remarks(chain, nodes) {
  const said = [];
  // Of one that is being filled more is said below.
  if (chain.why !== null && chain.wait !== "joining") {
    said.push(chain.why.todo ? `${chain.why.text}: ${chain.why.todo}` : chain.why.text);
  }
  for (const replica of chain.unavailable) said.push(`${replica.node_id} ${UNAVAILABLE[replica.why] ?? replica.why}`);
  if (chain.joining !== null) {
    const report = nodes.has(chain.joining) ? reportOf(nodes.get(chain.joining), chain.slot) : undefined;
    const begun = report?.version === chain.version;
    const how = begun ? (report.state === "caught-up" ? "has nearly all" : "copies") : "begins to copy";
    said.push(chain.age_ms === null ? `${chain.joining} ${how}` : `${chain.joining} ${how}, ${span(chain.age_ms)} so far`);
  } else if (chain.state !== "whole" && chain.age_ms !== null) {
    said.push(`so for ${span(chain.age_ms)}`);
  }
  const isBehind = (id) => {
    const report = nodes.has(id) ? reportOf(nodes.get(id), chain.slot) : undefined;
    return nodes.get(id)?.health === "healthy" && report !== undefined && report.version < chain.version;
  };
  const behind = chain.members.filter(isBehind);
  if (behind.length > 0) said.push(`${behind.join(", ")} not yet in v${chain.version}`);
  if (!chain.tail_ready) said.push("its tail is not ready: no reads yet");
  return said.join("; ");
}

function judgeNode(node, revision, lacking) {
  const { applied_revision: applied, silence_ms: silence } = node.heartbeat;
  const lag = applied === null ? null : Math.max(0, revision - applied);
  const damaged = node.reports.filter((report) => report.damaged).length;
  const evicted = node.standing.startsWith("evicted");
  let state = "whole";
  if (node.health === "dead" || evicted || node.spared) state = "stuck";
  else if (node.health !== "healthy" || damaged > 0) state = "repair";
  else if (node.standing === "draining") state = "moving";
  const notes = [];
  if (silence >= 1000) notes.push(node.heartbeat.heard ? `silent for ${span(silence)}` : "never heard by this leader");
  if (node.standing !== "member") notes.push(standing(node.standing));
  if (node.spared) notes.push("left in its chains: too many went at once");
  if (lag !== null && lag > 0) notes.push(`${count(lag, "decision")} behind`);
  if (lacking.length > 0 && node.health === "healthy") notes.push(`${count(lacking.length, "replica")} cannot take part`);
  if (damaged > 0) notes.push(`${count(damaged, "replica")} damaged`);
  if (node.drops > 0) notes.push(`drops ${count(node.drops, "slot")}`);
  return { ...node, state, notes };
}

function standing(word) {
  return { draining: "is drained", "evicted-flapping": "evicted for flapping", "evicted-ordered": "evicted by order" }[word] ?? word;
}

/** Nodes by what fails together. */
function domainsOf(nodes) {
  const labels = (node) => Object.entries(node.labels).map(([key, value]) => `${key}=${value}`).join("  ");
  const domains = [...Map.groupBy(nodes, labels)].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  return domains.map(([name, members]) => ({ name, nodes: members }));
}

/** What is wrong, in sentences, the worst first. */
function problemsOf(chains, nodes) {
  const problems = [];
  const stuck = Map.groupBy(chains.filter((chain) => chain.state === "stuck"), (chain) => chain.wait);
  for (const [wait, its] of stuck) {
    const { text, todo } = WAITS[wait];
    problems.push({ state: "stuck", text: `${slots(its)}: ${text}: ${todo}.` });
  }
  for (const node of nodes) {
    if (node.state !== "stuck" && node.state !== "repair") continue;
    const sick = node.health !== "healthy";
    const left = node.replicas > 0 ? `${count(node.replicas, "chain")} still with it` : "no chain counts on it";
    const said = [...(sick ? [`is ${node.health}`] : []), ...node.notes, ...(sick ? [left] : [])];
    problems.push({ state: node.state, text: `${node.id} ${said.join("; ")}.` });
  }
  return problems;
}

function slots(chains) {
  if (chains.length > 3) return `${count(chains.length, "chain")} (slots ${chains.slice(0, 3).map((chain) => chain.slot).join(", ")} …)`;
  return `Slot ${chains.map((chain) => chain.slot).join(", ")}`;
}

function verdictOf(state, chains, counts, nodes) {
  const healthy = nodes.filter((node) => node.health === "healthy").length;
  const { replicas, founders, slots: wanted } = state.config;
  if (chains.length < wanted) {
    return { state: "repair", word: "No chains yet", text: `They are laid once ${count(founders, "node")} ${founders === 1 ? "has" : "have"} registered; ${nodes.length} by now.` };
  }
  const nodesText = `${healthy} of ${count(nodes.length, "node")} healthy`;
  const all = count(chains.length, "chain");
  if (counts.stuck > 0) {
    return { state: "stuck", word: "Needs you", text: `${counts.stuck.toLocaleString("en")} of ${all} cannot be made whole without help; ${nodesText}.` };
  }
  if (counts.repair > 0) {
    const working = chains.filter((chain) => chain.joining !== null).length;
    return { state: "repair", word: "Under repair", text: `${counts.repair.toLocaleString("en")} of ${all} under repair, ${working} being filled now; ${nodesText}.` };
  }
  const moving = counts.moving > 0 ? ` ${count(counts.moving, "chain is", "chains are")} being moved.` : "";
  return { state: "whole", word: "Whole", text: `All ${all} ${chains.length === 1 ? "has" : "have"} ${replicas === 1 ? "their copy" : `${replicas} copies`}; ${nodesText}.${moving}` };
}
