// What happened lately, the latest first.

import { Pager, Pool, byId, clock, make, setData, setText } from "./dom.js";

/** Rows of the list. */
const PAGE = 20;

const CHANGES = {
  placed: "laid",
  "member-left": "a member has left",
  "join-began": "a copy is begun",
  "join-done": "a copy is complete",
  "join-given-up": "a copy is given up",
  other: "changed",
};

export class Events {
  #events = [];
  #withChains = byId("with-chains");
  #pager = new Pager(byId("events-pager"), PAGE, () => this.#list());
  #rows = new Pool(byId("events"), row);

  constructor() {
    this.#withChains.addEventListener("change", () => {
      this.#pager.rewind();
      this.#list();
    });
  }

  show(events) {
    this.#events = events;
    this.#list();
  }

  #list() {
    const fits = (event) => this.#withChains.checked || event.slot === undefined;
    const shown = this.#pager.cut(this.#events.filter(fits).reverse());
    this.#rows.show(shown, (item, event) => {
      const at = event.at_ns / 1e6;
      setText(item.time, clock(at));
      setText(item.text, described(event));
      setData(item.element, "state", weight(event));
      const exact = new Date(at).toISOString();
      if (item.time.dateTime !== exact) item.time.title = item.time.dateTime = exact;
    });
  }
}

function row() {
  const [time, text] = [make("time"), make("span")];
  return { element: make("li", "", time, text), time, text };
}

/** A sentence for an event. */
function described({ what, node_id: node, slot, chain_version: version, detail }) {
  if (what === "health") return `${node} is ${detail}`;
  if (what === "chain") {
    const [change, members] = (detail ?? "").split(": ");
    return `slot ${slot} v${version}: ${CHANGES[change] ?? change}: ${members ?? ""}`;
  }
  const whom = [node, slot === undefined ? undefined : `slot ${slot}`].filter((word) => word !== undefined).join(" ");
  return [whom, what.replaceAll("-", " ")].filter((word) => word !== "").join(": ") + (detail === undefined ? "" : ` (${detail})`);
}

function weight({ what, detail }) {
  if (["evicted", "restrained", "refused", "follows"].includes(what) || (what === "health" && detail === "dead")) return "stuck";
  if (what === "disconnected" || (what === "health" && detail === "suspect")) return "repair";
  if (what === "chain" && /^(member-left|join-given-up)/.test(detail ?? "")) return "repair";
  return null;
}
