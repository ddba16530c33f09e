// The chains: how many are how, all of them as a map, and a part of them as a list.

import { Pager, Pool, byId, make, setData, setHidden, setText } from "./dom.js";
import { NAMES, STATES, remarks } from "./judge.js";

/** Rows of the list. */
const PAGE = 20;

export class Chains {
  #model;
  #only = null;
  #tiles = new Map();
  #map = new SlotMap((chain) => this.#look(String(chain.slot)));
  #filter = byId("filter");
  #pager = new Pager(byId("chains-pager"), PAGE, () => this.#list());
  #rows = new Pool(byId("chain-list"), row);

  constructor() {
    for (const state of [...STATES].reverse()) {
      const number = make("b");
      const tile = make("button", "tile", number, make("span", "", NAMES[state]));
      tile.type = "button";
      tile.id = `tile-${state}`;
      tile.dataset.state = state;
      tile.setAttribute("aria-pressed", "false");
      tile.addEventListener("click", () => this.#choose(this.#only === state ? null : state));
      this.#tiles.set(state, { tile, number });
      byId("tiles").append(tile);
    }
    this.#filter.addEventListener("input", () => this.#again());
  }

  show(model) {
    this.#model = model;
    for (const [state, { tile, number }] of this.#tiles) {
      setText(number, model.counts[state].toLocaleString("en"));
      setData(tile, "none", model.counts[state] === 0 ? "" : null);
    }
    this.#map.show(model.chains);
    this.#list();
  }

  #choose(state) {
    this.#only = state;
    for (const [its, { tile }] of this.#tiles) tile.setAttribute("aria-pressed", String(its === state));
    this.#again();
  }

  #look(text) {
    this.#filter.value = text;
    this.#choose(null);
  }

  #again() {
    this.#pager.rewind();
    this.#list();
  }

  #list() {
    if (this.#model === undefined) return;
    const fits = filter(this.#filter.value);
    const by = Object.fromEntries(STATES.map((state) => [state, []]));
    for (const chain of this.#model.chains) {
      if ((this.#only === null || chain.state === this.#only) && fits(chain)) by[chain.state].push(chain);
    }
    // What is not as it should be comes first.
    const shown = this.#pager.cut(STATES.flatMap((state) => by[state]));
    setHidden(byId("no-chains"), shown.length > 0);
    this.#rows.show(shown, (item, chain) => update(item, chain, this.#model.nodes));
  }
}

/** Whether a chain is looked for: every word is a slot, a range of them, a node, or a part of why it waits. */
function filter(text) {
  const tests = text.toLowerCase().split(/[\s,]+/).filter((word) => word !== "").map((word) => {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(word) ?? [];
    if (first !== undefined) return (chain) => chain.slot >= Number(first) && chain.slot <= Number(last ?? first);
    const has = (id) => id?.toLowerCase() === word;
    return (chain) =>
      chain.members.some(has) || has(chain.joining) || NAMES[chain.state].includes(word) || (chain.wait ?? "").includes(word);
  });
  return (chain) => tests.every((test) => test(chain));
}

function row() {
  const [slot, state, version, members, why] = ["slot", "state", "version", "members", "why"].map((name) => make("span", name));
  const element = make("div", "chain", slot, state, version, members, why);
  element.setAttribute("role", "listitem");
  return { element, slot, state, version, why, members: new Pool(members, pill) };
}

function pill() {
  const [id, part] = [make("span"), make("small")];
  return { element: make("span", "pill", id, part), id, part };
}

function update(item, chain, nodes) {
  setText(item.slot, String(chain.slot));
  setText(item.state, NAMES[chain.state]);
  setText(item.version, `v${chain.version}`);
  setText(item.why, remarks(chain, nodes));
  setData(item.element, "state", chain.state);
  item.members.show(pills(chain, nodes), (each, { id, part, kind, health }) => {
    setText(each.id, id);
    setText(each.part, part);
    setData(each.element, "kind", kind);
    setData(each.element, "health", health);
  });
}

function pills(chain, nodes) {
  const last = chain.members.length - 1;
  const part = (index) => (last === 0 ? "only" : index === 0 ? "head" : index === last ? "tail" : "");
  const health = (id) => nodes.get(id)?.health ?? "unheard";
  const members = chain.members.map((id, index) => ({ id, part: part(index), kind: "member", health: health(id) }));
  const joining = chain.joining === null ? [] : [{ id: chain.joining, part: "joins", kind: "joining", health: health(chain.joining) }];
  const lacking = Math.max(0, chain.missing - joining.length);
  return [...members, ...joining, ...Array.from({ length: lacking }, () => ({ id: "missing", part: "", kind: "missing", health: null }))];
}

/** Every slot as a cell; drawn anew when one has changed. */
class SlotMap {
  #canvas = byId("map");
  #text = byId("map-text");
  #chains = [];
  #drawn = "";
  #columns = 1;
  #cell = 1;

  constructor(chosen) {
    this.#canvas.addEventListener("pointermove", (event) => this.#point(this.#at(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#point(undefined));
    this.#canvas.addEventListener("click", (event) => {
      const chain = this.#at(event);
      if (chain !== undefined) chosen(chain);
    });
    new ResizeObserver(() => this.#draw()).observe(this.#canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#drawn = "";
      this.#draw();
    });
    this.#point(undefined);
  }

  show(chains) {
    this.#chains = chains;
    this.#draw();
  }

  #draw() {
    const width = this.#width();
    const [count, ratio] = [this.#chains.length, devicePixelRatio];
    if (width <= 0 || count === 0) return;
    const digest = `${width} ${ratio} ${this.#chains.map((chain) => chain.state[0]).join("")}`;
    if (digest === this.#drawn) return;
    this.#drawn = digest;
    // As large as fits into some 160 pixels of height, from 2 to 22.
    this.#cell = Math.max(2, Math.min(22, Math.floor(Math.sqrt((width * 160) / count))));
    this.#columns = Math.floor(width / this.#cell);
    const height = Math.ceil(count / this.#columns) * this.#cell;
    [this.#canvas.width, this.#canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    [this.#canvas.style.width, this.#canvas.style.height] = [`${width}px`, `${height}px`];
    this.#paint(this.#canvas.getContext("2d"), ratio);
  }

  /** What there is inside of the frame around it. */
  #width() {
    const style = getComputedStyle(this.#canvas.parentElement);
    return Math.floor(this.#canvas.parentElement.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  }

  #paint(context, ratio) {
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(STATES.map((state) => [state, style.getPropertyValue(`--map-${state}`)]));
    const gap = this.#cell >= 6 ? 1 : this.#cell >= 4 ? 0.5 : 0;
    this.#chains.forEach((chain, index) => {
      const [x, y] = [(index % this.#columns) * this.#cell, Math.floor(index / this.#columns) * this.#cell];
      context.fillStyle = colours[chain.state];
      context.fillRect(x, y, this.#cell - gap, this.#cell - gap);
    });
  }

  #at(event) {
    const column = Math.floor(event.offsetX / this.#cell);
    const row = Math.floor(event.offsetY / this.#cell);
    return column < this.#columns ? this.#chains[row * this.#columns + column] : undefined;
  }

  #point(chain) {
    const text = "Each cell is a slot; point at one to see what it is, and choose it to see its chain below.";
    setText(this.#text, chain === undefined ? text : `Slot ${chain.slot}: ${NAMES[chain.state]}, ${chain.members.join(" → ")}`);
  }
}
