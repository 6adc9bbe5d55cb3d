// Figures, times and answers in words.

import { element } from "./dom.js";

const STEPS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(seconds) {
  const since = Math.min(0, Math.round(seconds - Date.now() / 1000));
  const [unit, length] = STEPS.find(([, length]) => -since >= length) || STEPS.at(-1);
  return relative.format(Math.trunc(since / length), unit);
}

export function time(seconds) {
  const at = new Date(seconds * 1000);
  return element("time", { datetime: at.toISOString(), title: at.toLocaleString() }, ago(seconds));
}

export const figure = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–");

export const answer = (value) => (Array.isArray(value) ? value.join("; ") : String(value));

export function answers(values) {
  if (!values) return "no usable answer";
  return Object.entries(values).map(([name, value]) => `${name}: ${answer(value)}`).join(", ");
}

// A table that may be wider than its place, with what it is called.
export function table(caption, heads, rows, how = {}) {
  const cells = heads.map((head) => element("th", { scope: "col", ...(head.class ? { class: head.class } : {}) }, head.title ?? head));
  const made = element("table", { class: `cells ${how.class || ""}`.trim() },
    element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
  return element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption }, made);
}

let last = 0;

// A label and what it is for.
export function labelled(text, control) {
  control.id ||= `field-${++last}`;
  return [element("label", { for: control.id }, text), control];
}

// A dialog with a form; `done()` does what it is for, and what goes wrong is shown in it.
export function openDialog(title, content, action, done) {
  const wrong = element("p", { class: "notice", role: "alert", hidden: "" });
  const cancel = element("button", { type: "button" }, "Cancel"), save = element("button", { type: "submit", class: "main" }, action);
  const name = `dialog-${++last}`;
  const form = element("form", {}, element("h2", { id: name }, title), ...content, wrong, element("div", { class: "buttons" }, cancel, save));
  const dialog = element("dialog", { "aria-labelledby": name }, form);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      await done();
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
      wrong.hidden = false;
      save.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
