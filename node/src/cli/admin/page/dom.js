// What is written into the page: texts as texts, and only where they differ from what is there.

/** A new element with these classes and children; a child may be a text. */
export function make(tag, classes = "", ...children) {
  const element = document.createElement(tag);
  element.className = classes;
  element.append(...children);
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a data attribute, which the style sheet goes by; none, if there is no value. */
export function setData(element, name, value) {
  if (value === undefined || value === null) {
    if (name in element.dataset) delete element.dataset[name];
  } else if (element.dataset[name] !== String(value)) {
    element.dataset[name] = value;
  }
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** Elements of a kind in a parent, used again for whatever is to be shown next: drawing costs what has changed. */
export class Pool {
  #parent;
  #create;
  #items = [];

  /** `create` makes one: an object whose `element` goes into the parent. */
  constructor(parent, create) {
    this.#parent = parent;
    this.#create = create;
  }

  /** Shows as many as there are data, each as `update(item, datum)` has it. */
  show(data, update) {
    while (this.#items.length > data.length) this.#items.pop().element.remove();
    while (this.#items.length < data.length) {
      const item = this.#create();
      this.#items.push(item);
      this.#parent.append(item.element);
    }
    data.forEach((datum, index) => update(this.#items[index], datum));
  }
}

/** Buttons to go through a list in parts, and what is shown of it. */
export class Pager {
  #size;
  #first = 0;
  #count = 0;
  #text = make("span");
  #back;
  #on;

  constructor(parent, size, changed) {
    this.#size = size;
    const button = (text, name, step) => {
      const made = make("button", "", text);
      made.type = "button";
      made.setAttribute("aria-label", name);
      made.addEventListener("click", () => {
        this.#first += step;
        changed();
      });
      return made;
    };
    this.#back = button("‹", "back", -size);
    this.#on = button("›", "on", size);
    parent.append(this.#back, this.#text, this.#on);
  }

  rewind() {
    this.#first = 0;
  }

  /** The part of the list that is to be shown. */
  cut(list) {
    this.#count = list.length;
    const last = Math.max(0, Math.ceil(this.#count / this.#size) - 1) * this.#size;
    this.#first = Math.min(Math.max(0, this.#first), last);
    const end = Math.min(this.#first + this.#size, this.#count);
    setText(this.#text, this.#count === 0 ? "none" : `${this.#first + 1}–${end} of ${this.#count}`);
    this.#back.disabled = this.#first === 0;
    this.#on.disabled = end === this.#count;
    return list.slice(this.#first, end);
  }
}

/** A time in words: two figures at most. */
export function span(ms) {
  if (ms < 1000) return `${ms} ms`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** `1 chain`, `2 chains`. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
