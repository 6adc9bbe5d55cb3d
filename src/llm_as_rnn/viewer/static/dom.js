// Building blocks of pages. They only ever set text, never markup: what is shown was written by models.


export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const number = (value) => value.toLocaleString("en");

// Put other content into an element, unless it is the same: what a reader selected, scrolled or unfolded stays.
export function fill(place, ...content) {
  const fresh = element("div", {}, ...content), folded = place.querySelectorAll("details");
  fresh.querySelectorAll("details").forEach((one, at) => { if (folded[at]) one.open = folded[at].open; });
  const same = fresh.childNodes.length === place.childNodes.length
    && [...fresh.childNodes].every((one, at) => one.isEqualNode(place.childNodes[at]));
  if (!same) place.replaceChildren(...fresh.childNodes);
}

// Items of a memory with what an update did to them; `text` gives the text of one that stands for it.
export function memoryItems(items, text) {
  return items.length ? element("ul", { class: "items" }, ...items.map((item) => memoryItem(item, text))) : element("p", { class: "note" }, "empty");
}

const SIGNS = { "=": "", "+": "+", "-": "−", "~": "~" };
const CLASSES = { "=": "same", "+": "added", "-": "removed", "~": "edited" };
const SIGN_NAMES = { "+": "added", "-": "removed", "~": "edited" };

function memoryItem([id, since, mark, content], text) {
  const body = element("span", { class: "body" });
  if (mark === "~") {
    for (const [change, part] of content) {
      body.append(change === "=" ? part : element(change === "+" ? "ins" : "del", {}, part));
    }
  } else {
    body.append(text(content));
  }
  const sign = element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[mark]);
  const row = element("li", { class: CLASSES[mark], "data-item": id }, element("span", { class: "number" }, String(id)), sign, body);
  row.title = since === null ? `item ${id}, from before the steps that are here` : `item ${id}, since t = ${since}`;
  if (SIGN_NAMES[mark]) body.prepend(element("span", { class: "hidden" }, `${SIGN_NAMES[mark]}: `));
  return row;
}
