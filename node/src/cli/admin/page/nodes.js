// The nodes, by what fails together.

import { Pool, byId, count, make, setData, setHidden, setText } from "./dom.js";

export class Nodes {
  #domains = new Pool(byId("domains"), domain);

  show(domains) {
    const most = Math.max(1, ...domains.flatMap(({ nodes }) => nodes.map((node) => node.replicas + node.joining)));
    this.#domains.show(domains, (item, { name, nodes }) => {
      const alone = name === "" && domains.length === 1;
      setHidden(item.title, alone);
      setText(item.name, name === "" ? "without labels" : name);
      setText(item.sum, summary(nodes));
      setData(item.sum, "state", nodes.some((node) => node.state === "stuck") ? "stuck" : null);
      item.nodes.show(nodes, (card, node) => update(card, node, most));
    });
  }
}

function summary(nodes) {
  const well = nodes.filter((node) => node.health === "healthy").length;
  return well === nodes.length ? count(well, "node") : `${well} of ${count(nodes.length, "node")} healthy`;
}

function domain() {
  const [name, sum, nodes] = [make("span"), make("small"), make("div", "nodes")];
  const title = make("h3", "", name, sum);
  return { element: make("div", "domain", title, nodes), title, name, sum, nodes: new Pool(nodes, card) };
}

function card() {
  const [id, health, address, filled, joining, load, notes] = ["id", "health", "address", "filled", "filling", "load", "notes"].map(
    (name) => make("span", name),
  );
  const bar = make("div", "bar", filled, joining);
  return {
    element: make("article", "node", make("div", "who", id, health), bar, load, address, notes),
    id, health, address, filled, joining, load, notes,
  };
}

function update(item, node, most) {
  setData(item.element, "node", node.id);
  setData(item.element, "state", node.state);
  setText(item.id, node.id);
  setText(item.health, node.health);
  setText(item.address, node.address);
  width(item.filled, node.replicas / most);
  width(item.joining, node.joining / most);
  const joining = node.joining === 0 ? "" : `, ${node.joining} being filled`;
  setText(item.load, `${count(node.replicas, "replica")}: ${count(node.heads, "head")}, ${count(node.tails, "tail")}${joining}`);
  setText(item.notes, node.notes.join("; "));
}

function width(element, part) {
  const percent = `${(100 * part).toFixed(1)}%`;
  if (element.style.width !== percent) element.style.width = percent;
}
